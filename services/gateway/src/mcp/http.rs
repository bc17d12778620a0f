//! HTTP entry of the MCP transports: allowed hosts, authentication, session ownership, and fixes to responses of rmcp.
//! Two layers and not one per concern, because each layer boxes the request's future once more.

use std::sync::Arc;

use axum::{
    Json,
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use butt_dial_domain::{Code, Failure};
use butt_dial_identity::Caller;
use butt_dial_operations::{OnResponseSent, granted};
use butt_dial_runtime::http::{failure, read_body};
use butt_dial_sessions::SessionRegistry;
use bytes::Bytes;
use http::HeaderName;
use rmcp::model::RequestId;
use serde_json::{Value, json};
use tokio_util::task::TaskTracker;

use super::{
    accept::{Accepted, is_event_stream},
    client_ref::SESSION_HEADER,
    early_response,
    event_stream::EXTENSION,
    message,
    state::MAX_BODY,
};
use crate::{auth::AuthLayer, cors::CorsOrigins, response_sent};

/// SEP-2243: the method of a request, for intermediaries that do not read its body.
const METHOD_HEADER: HeaderName = HeaderName::from_static("mcp-method");
/// Bytes of an error text of rmcp, which are all short.
const MAX_ERROR_TEXT: usize = 4 * 1024;

/// State of the layer around all transports.
#[derive(Clone)]
pub struct Entry {
    /// `None`: any host.
    pub allowed_hosts: Arc<Option<Vec<String>>>,
    pub origins: CorsOrigins,
    pub auth: AuthLayer,
}

/// Refuses foreign hosts and unauthenticated callers.
pub async fn authenticate(State(entry): State<Entry>, mut request: Request, next: Next) -> Response {
    if let Some(allowed) = &*entry.allowed_hosts
        && let Err(reason) = check_host(allowed, &entry.origins, &request)
    {
        return failure(&reason);
    }
    match entry.auth.agent(&request).await {
        Ok(caller) => request.extensions_mut().insert(caller),
        Err(reason) => return failure(&reason),
    };
    let origin = entry.auth.origin(&request);
    request.extensions_mut().insert(origin);
    if let Some(token) = entry.auth.query_token(&request) {
        request.extensions_mut().insert(token);
    }
    // rmcp may run handlers in its own tasks; they find the span of their request here.
    request.extensions_mut().insert(tracing::Span::current());
    next.run(request).await
}

/// State of the layer around Streamable HTTP.
#[derive(Clone)]
pub struct StreamableEntry {
    pub sessions: SessionRegistry,
    pub tasks: TaskTracker,
}

/// Refuses foreign sessions and invalid messages, and adapts what rmcp answers.
pub async fn handle_streamable(State(entry): State<StreamableEntry>, mut request: Request, next: Next) -> Response {
    let (session, caller) = (request.headers().get(SESSION_HEADER), request.extensions().get());
    if let Some(id) = session
        && let Err(reason) = check_session(&entry.sessions, id, caller).await
    {
        return failure(&reason);
    }
    let has_session = session.is_some();
    let accepted = Accepted::of(request.headers());
    accepted.widen(request.headers_mut());
    if request.method() != Method::POST {
        return adapted(request, next).await;
    }
    if !accepted.json && !accepted.events || !is_json(request.headers()) {
        // rmcp refuses it without reading the body.
        return adapted(request, next).await;
    }
    let (mut parts, body) = request.into_parts();
    let message = match read_message(body).await {
        Ok(message) => message,
        Err(refusal) => return refusal,
    };
    // A client may leave out the type.
    parts
        .headers
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    parts.headers.remove(header::CONTENT_LENGTH);
    let on_sent = OnResponseSent::default();
    parts.extensions.insert(on_sent.clone());
    let request = Request::from_parts(parts, Body::from(message.body));
    let response = adapted(request, next);
    // The stream of a session has a first event at once (`manager.rs`).
    let response = match accepted.events && !has_session {
        true => early_response::respond(response, message.id).await,
        false => accepted.convert(response.await).await,
    };
    match response.status().is_success() {
        true => watch_response(response, on_sent, entry.tasks),
        false => response,
    }
}

/// Returns whether the body is said to be JSON, or nothing is said.
fn is_json(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_none_or(|value| {
        let essence = value.to_str().unwrap_or_default().split(';').next().unwrap_or_default();
        essence.trim().eq_ignore_ascii_case("application/json")
    })
}

struct ReadMessage {
    id: Option<RequestId>,
    body: Bytes,
}

/// Reads the body of a POST. Returns the response that refuses an invalid one.
async fn read_message(body: Body) -> Result<ReadMessage, Response> {
    let body = match read_body(body, MAX_BODY).await {
        Ok(body) => body,
        Err(rejection) => return Err(failure(&rejection.into())),
    };
    match message::check(&body) {
        Ok(checked) => Ok(ReadMessage {
            id: checked.id,
            body: checked.repaired.map_or(body, Bytes::from),
        }),
        Err(invalid) => {
            let status = match invalid.is_malformed {
                true => StatusCode::BAD_REQUEST,
                false => StatusCode::OK,
            };
            Err((status, Json(invalid.into_response())).into_response())
        }
    }
}

/// Runs the request, and adapts the response.
async fn adapted(request: Request, next: Next) -> Response {
    let is_delete = request.method() == Method::DELETE;
    let discovers = request
        .headers()
        .get(METHOD_HEADER)
        .is_some_and(|method| method == "server/discover");
    let mut response = next.run(request).await;
    // rmcp answers DELETE with 202; the Python client accepts only 200 and 204.
    if is_delete && response.status() == StatusCode::ACCEPTED {
        *response.status_mut() = StatusCode::NO_CONTENT;
    }
    if discovers {
        response = add_events_capability(response).await;
    }
    if response.status().is_client_error() || response.status().is_server_error() {
        return with_envelope(response).await;
    }
    response
}

/// Refuses a name that is not allowed. A web page can make a browser call a local server under the page's own name (DNS
/// rebinding).
fn check_host(allowed: &[String], origins: &CorsOrigins, request: &Request) -> Result<(), Failure> {
    let is_allowed = |authority: &str| {
        let host = authority.parse::<http::uri::Authority>().ok();
        host.is_some_and(|host| {
            let host = host.host().trim_matches(['[', ']']);
            allowed.iter().any(|allowed| allowed.eq_ignore_ascii_case(host))
        })
    };
    let refusal = |message| Failure::new(Code::AuthForbidden, message).hint("add the name to ALLOWED_HOSTS");
    if !requested_host(request.headers(), request.uri()).is_some_and(is_allowed) {
        return Err(refusal("the Host of the request is not in ALLOWED_HOSTS"));
    }
    let is_own = |origin: &HeaderValue| {
        let authority = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
        authority.is_some_and(|(_, authority)| is_allowed(authority))
    };
    if let Some(origin) = request.headers().get(header::ORIGIN)
        && !origins.allow(origin)
        && !is_own(origin)
    {
        let refusal = Failure::new(Code::AuthForbidden, "pages of this Origin may not call this server");
        return Err(refusal.hint("add the origin to CORS_ALLOWED_ORIGINS"));
    }
    Ok(())
}

fn requested_host<'a>(headers: &'a HeaderMap, uri: &'a Uri) -> Option<&'a str> {
    headers
        .get(header::HOST)
        .and_then(|value| value.to_str().ok())
        .or_else(|| uri.authority().map(|a| a.as_str()))
}

/// Refuses a session that the caller's agent did not open, as if it did not exist. The same for a session of a token that is
/// granted more or less: what is pushed to it is for that token.
async fn check_session(
    sessions: &SessionRegistry,
    id: &HeaderValue,
    caller: Option<&Arc<Caller>>,
) -> Result<(), Failure> {
    let agent = caller.and_then(|caller| caller.principal.agent.as_ref());
    match sessions.find(id.to_str().unwrap_or_default()).await? {
        Some(session)
            if Some(&session.agent) == agent
                && caller.is_some_and(|caller| session.flags.reach == granted::reach(caller)) =>
        {
            Ok(())
        }
        _ => Err(session_not_found()),
    }
}

/// Only a 404 makes clients open a new session.
pub fn session_not_found() -> Failure {
    Failure::new(Code::NotFound, "Session not found").hint("initialize a new session")
}

/// Runs the hooks of the operation, such as acknowledging events, once the response is sent.
fn watch_response(response: Response, on_sent: OnResponseSent, tasks: TaskTracker) -> Response {
    // In a stream the response is yet to come. Any other response is complete, and its hooks are registered.
    if is_event_stream(&response) || !on_sent.is_empty() {
        return response_sent::watch(response, on_sent, tasks);
    }
    response
}

/// Gives a plain-text error of rmcp the error envelope. The status and the text stay.
async fn with_envelope(response: Response) -> Response {
    let content_type = response.headers().get(header::CONTENT_TYPE);
    if content_type.is_some_and(|value| value.as_bytes().starts_with(b"application/json")) {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let text = to_bytes(body, MAX_ERROR_TEXT).await.unwrap_or_default();
    let text = String::from_utf8_lossy(&text).trim().to_owned();
    let (code, message) = match parts.status {
        status if text.is_empty() || status.is_server_error() => {
            (code_of(status), "the MCP request was refused".to_owned())
        }
        status => (code_of(status), text),
    };
    let body = Failure::new(code, message).envelope().to_string();
    parts.headers.remove(header::CONTENT_LENGTH);
    let json = HeaderValue::from_static("application/json");
    parts.headers.insert(header::CONTENT_TYPE, json);
    Response::from_parts(parts, Body::from(body))
}

/// The code of a status that rmcp chose itself.
fn code_of(status: StatusCode) -> Code {
    match status {
        StatusCode::NOT_FOUND => Code::NotFound,
        StatusCode::METHOD_NOT_ALLOWED => Code::MethodNotAllowed,
        StatusCode::NOT_ACCEPTABLE => Code::NotAcceptable,
        StatusCode::PAYLOAD_TOO_LARGE => Code::PayloadTooLarge,
        StatusCode::UNSUPPORTED_MEDIA_TYPE => Code::UnsupportedMediaType,
        StatusCode::SERVICE_UNAVAILABLE => Code::ServiceUnavailable,
        status if status.is_server_error() => Code::Internal,
        _ => Code::InvalidArgument,
    }
}

/// Adds the Events extension to the capabilities, where some clients look for it: rmcp's capabilities have no such field.
async fn add_events_capability(response: Response) -> Response {
    let content_type = response.headers().get(header::CONTENT_TYPE);
    if content_type.is_none_or(|value| value != "application/json") {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    // The response is our own and short.
    let Ok(bytes) = to_bytes(body, usize::MAX).await else {
        return failure(&Failure::internal());
    };
    let extended = serde_json::from_slice::<Value>(&bytes).ok().and_then(|mut answer| {
        let capabilities = answer.get_mut("result")?.get_mut("capabilities")?.as_object_mut()?;
        let extensions = capabilities.get("extensions");
        if extensions.and_then(|all| all.get(EXTENSION)).is_some() {
            capabilities.insert("events".into(), json!({}));
        }
        serde_json::to_vec(&answer).ok()
    });
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, extended.map_or_else(|| Body::from(bytes), Body::from))
}
