//! Control routes for people and scripts outside the process: received messages, inbound messages and faults.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::{Query, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    middleware::{self, Next},
    response::{
        Html, IntoResponse, Response, Sse,
        sse::{Event, KeepAlive},
    },
    routing::{get, post},
};
use futures::{Stream, stream};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::broadcast::error::RecvError;

use super::{
    calls,
    injected_fault::InjectedFault,
    page,
    person_message::{PersonMessage, WebhookBehavior},
    state::SimulatorState,
};

/// The page refreshes at most this often, whatever the traffic.
const REFRESH: Duration = Duration::from_millis(300);
const MAX_LISTED: usize = 1_000;

/// `hosts` are names of this simulator that requests may have besides those of this machine.
pub fn router(simulator: SimulatorState, hosts: &[String]) -> Router {
    let hosts: Arc<[String]> = hosts.into();
    Router::new()
        .route("/", get(show))
        .route("/conversations", get(conversations))
        .route("/events", get(events))
        .route("/messages", get(messages))
        .route("/totals", get(totals))
        .route("/model-requests", get(model_requests))
        .route("/misbehave", post(inject_fault))
        .route("/behave", post(clear_faults))
        .route("/opt-out", post(opt_out))
        .route("/check-registrations", post(check_registrations))
        .route("/call-back-to", post(set_webhook_base_url))
        .route("/person-writes", post(send_as_person))
        .route("/manner", post(set_behavior))
        .merge(calls::control::router())
        .layer(middleware::from_fn_with_state(hosts, only_for_known_hosts))
        .with_state(simulator)
}

/// Rejects other host names, because a web page elsewhere can reach a loopback server through DNS rebinding, and requests of
/// other pages, which a browser marks.
async fn only_for_known_hosts(
    State(hosts): State<Arc<[String]>>,
    request: axum::extract::Request,
    next: Next,
) -> Response {
    if !is_known(request.headers(), &hosts) {
        let text = "the host name must be localhost, or one that `butt-dial simulator --allowed-host` names";
        (StatusCode::FORBIDDEN, text).into_response()
    } else if is_of_other_page(request.headers()) {
        (
            StatusCode::FORBIDDEN,
            "a page of another origin must not use the simulator",
        )
            .into_response()
    } else {
        next.run(request).await
    }
}

/// Returns whether a browser sent the request for a page that is not the simulator's.
fn is_of_other_page(headers: &HeaderMap) -> bool {
    let host = headers.get(header::HOST).map_or(&b""[..], HeaderValue::as_bytes);
    let is_foreign_origin = |origin: &HeaderValue| origin.as_bytes().strip_prefix(b"http://") != Some(host);
    let is_foreign_site = |site: &HeaderValue| !matches!(site.as_bytes(), b"same-origin" | b"none");
    headers.get_all(header::ORIGIN).iter().any(is_foreign_origin)
        || headers.get_all("sec-fetch-site").iter().any(is_foreign_site)
}

fn is_known(headers: &HeaderMap, hosts: &[String]) -> bool {
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok())
        .unwrap_or_default();
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    let ip = name
        .trim_start_matches('[')
        .trim_end_matches(']')
        .parse::<std::net::IpAddr>();
    name.eq_ignore_ascii_case("localhost")
        || ip.is_ok_and(|ip| ip.is_loopback())
        || hosts.iter().any(|host| name.eq_ignore_ascii_case(host))
}

async fn show(State(simulator): State<SimulatorState>) -> Html<String> {
    Html(page::render(&simulator).into_string())
}

async fn conversations(State(simulator): State<SimulatorState>) -> Html<String> {
    Html(page::conversations(&simulator).into_string())
}

/// Streams an event for each change; the page then requests the content.
async fn events(State(simulator): State<SimulatorState>) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let (changes, person_message_changes) = (simulator.changes(), simulator.person_message_changes());
    let news = stream::unfold(
        (simulator, changes, person_message_changes),
        |(simulator, mut changes, mut person_message_changes)| async move {
            tokio::select! {
                received = changes.recv() => if matches!(received, Err(RecvError::Closed)) { return None },
                result = person_message_changes.changed() => if result.is_err() { return None },
                () = simulator.stopped() => return None,
            }
            // One event covers all changes in this interval.
            tokio::time::sleep(REFRESH).await;
            changes = changes.resubscribe();
            Some((
                Ok(Event::default().data("new")),
                (simulator, changes, person_message_changes),
            ))
        },
    );
    Sse::new(news).keep_alive(KeepAlive::default())
}

#[derive(Deserialize)]
struct Listing {
    to: Option<String>,
    limit: Option<usize>,
}

async fn messages(State(simulator): State<SimulatorState>, Query(listing): Query<Listing>) -> Response {
    let limit = listing.limit.unwrap_or(100).min(MAX_LISTED);
    let newest = simulator.newest(listing.to.as_deref(), limit);
    let newest: Vec<_> = newest.iter().map(AsRef::as_ref).collect();
    Json(json!({ "messages": newest })).into_response()
}

async fn totals(State(simulator): State<SimulatorState>) -> Json<serde_json::Value> {
    let totals: serde_json::Map<_, _> = simulator
        .vendors()
        .into_iter()
        .map(|vendor| {
            let counts =
                json!({ "accepted": simulator.accepted_total(vendor), "requests": simulator.requests_total(vendor) });
            (vendor.to_owned(), counts)
        })
        .collect();
    Json(totals.into())
}

async fn model_requests(State(simulator): State<SimulatorState>) -> Response {
    Json(json!({ "requests": simulator.model_requests() })).into_response()
}

#[derive(Deserialize)]
struct FaultRequest {
    vendor: String,
    #[serde(default = "default_times")]
    times: u32,
    #[serde(flatten)]
    fault: InjectedFault,
}

fn default_times() -> u32 {
    1
}

async fn inject_fault(State(simulator): State<SimulatorState>, Json(request): Json<FaultRequest>) -> Response {
    with_vendor(&simulator, &request.vendor, |vendor| {
        simulator.inject_fault(vendor, request.fault, request.times)
    })
}

#[derive(Deserialize)]
struct ClearFaultsRequest {
    vendor: String,
}

async fn clear_faults(State(simulator): State<SimulatorState>, Json(request): Json<ClearFaultsRequest>) -> Response {
    with_vendor(&simulator, &request.vendor, |vendor| simulator.clear_faults(vendor))
}

/// Applies a change to a vendor, or returns 404.
fn with_vendor(simulator: &SimulatorState, vendor: &str, change: impl FnOnce(&'static str)) -> Response {
    let vendors = simulator.vendors();
    match vendors.iter().find(|id| **id == vendor) {
        Some(vendor) => {
            change(vendor);
            StatusCode::NO_CONTENT.into_response()
        }
        None => {
            let error = json!({ "error": "no such vendor", "vendors": vendors });
            (StatusCode::NOT_FOUND, Json(error)).into_response()
        }
    }
}

#[derive(Deserialize)]
struct OptOut {
    /// A phone number or an e-mail address.
    number: String,
}

async fn opt_out(State(simulator): State<SimulatorState>, Json(request): Json<OptOut>) -> StatusCode {
    simulator.opt_out(request.number.trim());
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
struct RegistrationChecks {
    /// true: US numbers that were bought here send nothing without their registration.
    checked: bool,
}

async fn check_registrations(
    State(simulator): State<SimulatorState>,
    Json(request): Json<RegistrationChecks>,
) -> StatusCode {
    simulator.check_registrations(request.checked);
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
struct WebhookBaseUrl {
    /// The public base URL of the program that receives the webhooks.
    base_url: String,
}

async fn set_webhook_base_url(
    State(simulator): State<SimulatorState>,
    Json(request): Json<WebhookBaseUrl>,
) -> Response {
    let is_web = |url: url::Url| matches!(url.scheme(), "http" | "https") && url.has_host();
    if !url::Url::parse(request.base_url.trim()).is_ok_and(is_web) {
        return bad_request("`base_url` is not an http URL");
    }
    simulator.set_webhook_base_url(&request.base_url);
    StatusCode::NO_CONTENT.into_response()
}

/// Sends an inbound message and returns the webhook's response status.
async fn send_as_person(State(simulator): State<SimulatorState>, Json(text): Json<PersonMessage>) -> Response {
    match simulator.send_as_person(text).await {
        Ok(result) => Json(result).into_response(),
        Err(error) => bad_request(&error),
    }
}

#[derive(Deserialize)]
struct BehaviorRequest {
    vendor: String,
    #[serde(flatten)]
    behavior: WebhookBehavior,
}

async fn set_behavior(State(simulator): State<SimulatorState>, Json(request): Json<BehaviorRequest>) -> Response {
    with_vendor(&simulator, &request.vendor, |vendor| {
        simulator.set_webhook_behavior(vendor, request.behavior)
    })
}

fn bad_request(error: &str) -> Response {
    (StatusCode::BAD_REQUEST, Json(json!({ "error": error }))).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_local_and_listed_host_names_only() {
        for (host, passes) in [
            ("localhost", true),
            ("localhost:8080", true),
            ("127.0.0.1:1", true),
            ("[::1]:1", true),
            ("simulator:3101", true),
            ("simulator.evil.example", false),
            ("evil.example:80", false),
            ("localhost.evil.example", false),
            ("", false),
        ] {
            let headers = HeaderMap::from_iter([(header::HOST, host.parse().unwrap())]);
            assert_eq!(is_known(&headers, &["Simulator".into()]), passes, "{host}");
        }
    }

    #[test]
    fn rejects_requests_of_other_pages() {
        for (name, value, is_foreign) in [
            ("origin", "http://localhost:3101", false),
            ("origin", "https://evil.example", true),
            ("origin", "http://localhost:4000", true),
            ("origin", "null", true),
            ("sec-fetch-site", "same-origin", false),
            ("sec-fetch-site", "none", false),
            ("sec-fetch-site", "cross-site", true),
            ("sec-fetch-site", "same-site", true),
            ("accept", "*/*", false),
        ] {
            let host = (header::HOST, HeaderValue::from_static("localhost:3101"));
            let sent = (name.parse().unwrap(), HeaderValue::from_static(value));
            let headers = HeaderMap::from_iter([host, sent]);
            assert_eq!(is_of_other_page(&headers), is_foreign, "{name}: {value}");
        }
    }
}
