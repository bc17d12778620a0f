//! The routes for people and scripts outside the process: what was received, what people
//! write, and what is to go wrong.

use std::{convert::Infallible, time::Duration};

use axum::{
    Json, Router,
    extract::{Query, State},
    http::{HeaderMap, StatusCode, header},
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
    misbehaviour::Misbehaviour,
    page,
    people::{Manner, PersonWrites},
    world::World,
};

/// The page asks for itself at most this often, however much traffic there is.
const REFRESH: Duration = Duration::from_millis(300);
const MOST_LISTED: usize = 1_000;

pub fn router(world: World) -> Router {
    Router::new()
        .route("/", get(show))
        .route("/conversations", get(conversations))
        .route("/events", get(events))
        .route("/messages", get(messages))
        .route("/totals", get(totals))
        .route("/model-requests", get(model_requests))
        .route("/misbehave", post(misbehave))
        .route("/behave", post(behave))
        .route("/opt-out", post(opt_out))
        .route("/call-back-to", post(call_back_to))
        .route("/person-writes", post(person_writes))
        .route("/manner", post(manner))
        .merge(calls::control::router())
        .layer(middleware::from_fn(only_for_this_machine))
        .with_state(world)
}

/// A web page elsewhere can make a browser send requests here under a name of its own (DNS rebinding), so the name
/// counts.
async fn only_for_this_machine(request: axum::extract::Request, next: Next) -> Response {
    if is_local(request.headers()) {
        next.run(request).await
    } else {
        (StatusCode::FORBIDDEN, "ask for localhost").into_response()
    }
}

fn is_local(headers: &HeaderMap) -> bool {
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
    name.eq_ignore_ascii_case("localhost") || ip.is_ok_and(|ip| ip.is_loopback())
}

async fn show(State(world): State<World>) -> Html<String> {
    Html(page::render(&world).into_string())
}

async fn conversations(State(world): State<World>) -> Html<String> {
    Html(page::conversations(&world).into_string())
}

/// Says that there is something new; the page then asks what.
async fn events(State(world): State<World>) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let (changes, letters) = (world.changes(), world.letters());
    let news = stream::unfold(
        (world, changes, letters),
        |(world, mut changes, mut letters)| async move {
            tokio::select! {
                received = changes.recv() => if matches!(received, Err(RecvError::Closed)) { return None },
                written = letters.changed() => if written.is_err() { return None },
                () = world.stopped() => return None,
            }
            // What comes meanwhile is told with the same event.
            tokio::time::sleep(REFRESH).await;
            changes = changes.resubscribe();
            Some((Ok(Event::default().data("new")), (world, changes, letters)))
        },
    );
    Sse::new(news).keep_alive(KeepAlive::default())
}

#[derive(Deserialize)]
struct Listing {
    to: Option<String>,
    limit: Option<usize>,
}

async fn messages(State(world): State<World>, Query(listing): Query<Listing>) -> Response {
    let limit = listing.limit.unwrap_or(100).min(MOST_LISTED);
    let newest = world.newest(listing.to.as_deref(), limit);
    let newest: Vec<_> = newest.iter().map(AsRef::as_ref).collect();
    Json(json!({ "messages": newest })).into_response()
}

async fn totals(State(world): State<World>) -> Json<serde_json::Value> {
    let totals: serde_json::Map<_, _> = world
        .vendors()
        .into_iter()
        .map(|vendor| {
            let counts = json!({ "accepted": world.accepted_total(vendor), "requests": world.requests_total(vendor) });
            (vendor.to_owned(), counts)
        })
        .collect();
    Json(totals.into())
}

async fn model_requests(State(world): State<World>) -> Response {
    Json(json!({ "requests": world.model_requests() })).into_response()
}

#[derive(Deserialize)]
struct Order {
    vendor: String,
    #[serde(default = "once")]
    times: u32,
    #[serde(flatten)]
    misbehaviour: Misbehaviour,
}

fn once() -> u32 {
    1
}

async fn misbehave(State(world): State<World>, Json(order): Json<Order>) -> Response {
    at(&world, &order.vendor, |vendor| {
        world.misbehave(vendor, order.misbehaviour, order.times)
    })
}

#[derive(Deserialize)]
struct Reprieve {
    vendor: String,
}

async fn behave(State(world): State<World>, Json(order): Json<Reprieve>) -> Response {
    at(&world, &order.vendor, |vendor| world.behave(vendor))
}

/// Does something to a vendor, if it is one.
fn at(world: &World, vendor: &str, change: impl FnOnce(&'static str)) -> Response {
    let vendors = world.vendors();
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
    /// A number, or an e-mail address.
    number: String,
}

async fn opt_out(State(world): State<World>, Json(order): Json<OptOut>) -> StatusCode {
    world.opt_out(order.number.trim());
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
struct Installation {
    /// The public base URL of the program whose webhooks the vendors call.
    base_url: String,
}

async fn call_back_to(State(world): State<World>, Json(order): Json<Installation>) -> Response {
    let is_web = |url: url::Url| matches!(url.scheme(), "http" | "https") && url.has_host();
    if !url::Url::parse(order.base_url.trim()).is_ok_and(is_web) {
        return wrong("`base_url` is no http URL");
    }
    world.call_back_to(&order.base_url);
    StatusCode::NO_CONTENT.into_response()
}

/// A person writes: answers with what the webhook was answered with.
async fn person_writes(State(world): State<World>, Json(text): Json<PersonWrites>) -> Response {
    match world.person_writes(text).await {
        Ok(written) => Json(written).into_response(),
        Err(error) => wrong(&error),
    }
}

#[derive(Deserialize)]
struct Habit {
    vendor: String,
    #[serde(flatten)]
    manner: Manner,
}

async fn manner(State(world): State<World>, Json(order): Json<Habit>) -> Response {
    at(&world, &order.vendor, |vendor| world.set_manner(vendor, order.manner))
}

fn wrong(error: &str) -> Response {
    (StatusCode::BAD_REQUEST, Json(json!({ "error": error }))).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_local_names_pass() {
        for (host, passes) in [
            ("localhost", true),
            ("localhost:8080", true),
            ("127.0.0.1:1", true),
            ("[::1]:1", true),
            ("evil.example:80", false),
            ("localhost.evil.example", false),
            ("", false),
        ] {
            let headers = HeaderMap::from_iter([(header::HOST, host.parse().unwrap())]);
            assert_eq!(is_local(&headers), passes, "{host}");
        }
    }
}
