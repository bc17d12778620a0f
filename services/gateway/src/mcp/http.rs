//! What stands in front of the transports: which hosts may be named, who calls, whose session it is, and quirks of answers.
//! Two layers and not one for each: every layer boxes the request's future once more.

use std::sync::Arc;

use axum::{
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use butt_dial_comms::identity::Caller;
use butt_dial_runtime::http::failure;
use http::HeaderName;
use serde_json::{Value, json};
use tokio_util::task::TaskTracker;

use super::{
    events::EXTENSION,
    sessions::{SESSION_HEADER, Sessions},
};
use crate::{auth::Door, operations::After, sent::confirm};

/// SEP-2243: the method of a request, for whoever does not read its body.
const METHOD_HEADER: HeaderName = HeaderName::from_static("mcp-method");

/// Of all transports.
#[derive(Clone)]
pub struct Edge {
    /// `None`: any.
    pub allowed_hosts: Arc<Option<Vec<String>>>,
    pub door: Door,
}

pub async fn enter(State(edge): State<Edge>, mut request: Request, next: Next) -> Response {
    if let Some(allowed) = &*edge.allowed_hosts
        && let Err(why) = check_host(allowed, &request)
    {
        return (StatusCode::FORBIDDEN, why).into_response();
    }
    match edge.door.agent(&request).await {
        Ok(caller) => request.extensions_mut().insert(caller),
        Err(refusal) => return failure(&refusal),
    };
    // Handlers may run in tasks of rmcp's own; through this they find the span of their request.
    request.extensions_mut().insert(tracing::Span::current());
    next.run(request).await
}

/// Of Streamable HTTP.
#[derive(Clone)]
pub struct StreamableEdge {
    pub sessions: Sessions,
    pub tasks: TaskTracker,
}

pub async fn enter_streamable(State(edge): State<StreamableEdge>, mut request: Request, next: Next) -> Response {
    let (named, caller) = (request.headers().get(SESSION_HEADER), request.extensions().get());
    if let Some(id) = named
        && let Err(refusal) = own_session(&edge.sessions, id, caller).await
    {
        return refusal;
    }
    let after = After::default();
    request.extensions_mut().insert(after.clone());
    let method = request.method().clone();
    let discovers = request
        .headers()
        .get(METHOD_HEADER)
        .is_some_and(|method| method == "server/discover");
    let mut response = next.run(request).await;
    // rmcp answers DELETE with 202; the Python client takes anything but 200 and 204 for a failure.
    if method == Method::DELETE && response.status() == StatusCode::ACCEPTED {
        *response.status_mut() = StatusCode::NO_CONTENT;
    }
    if discovers {
        response = name_events(response).await;
    }
    if method == Method::POST {
        response = confirm_answer(response, after, edge.tasks);
    }
    response
}

/// A web page can make a browser ask a local server under the page's own name (DNS rebinding): such a name is refused.
fn check_host(allowed: &[String], request: &Request) -> Result<(), &'static str> {
    let known = |authority: &str| {
        let host = authority.parse::<http::uri::Authority>().ok();
        host.is_some_and(|host| {
            allowed
                .iter()
                .any(|a| a.eq_ignore_ascii_case(host.host().trim_matches(['[', ']'])))
        })
    };
    if !named_host(request.headers(), request.uri()).is_some_and(known) {
        return Err("Forbidden: this Host is not one of ours; ALLOWED_HOSTS names more");
    }
    let origin = request
        .headers()
        .get(header::ORIGIN)
        .map(|value| value.to_str().unwrap_or_default());
    if let Some(origin) = origin
        && !origin.split_once("://").is_some_and(|(_, authority)| known(authority))
    {
        return Err("Forbidden: this Origin is not one of ours; ALLOWED_HOSTS names more");
    }
    Ok(())
}

fn named_host<'a>(headers: &'a HeaderMap, uri: &'a Uri) -> Option<&'a str> {
    headers
        .get(header::HOST)
        .and_then(|value| value.to_str().ok())
        .or_else(|| uri.authority().map(|a| a.as_str()))
}

/// A session belongs to the agent that opened it; to anybody else it does not exist.
async fn own_session(sessions: &Sessions, id: &HeaderValue, caller: Option<&Arc<Caller>>) -> Result<(), Response> {
    let agent = caller.and_then(|caller| caller.principal.agent.as_ref());
    match sessions.find(id.to_str().unwrap_or_default()).await {
        Ok(Some(session)) if Some(&session.agent) == agent => Ok(()),
        // 404 and nothing else makes clients open a new session.
        Ok(_) => Err((StatusCode::NOT_FOUND, "Not Found: Session not found").into_response()),
        Err(refusal) => Err(failure(&refusal)),
    }
}

/// Runs what is to follow an answer, such as taking what it held off the agent's queue, once the answer has left.
fn confirm_answer(response: Response, after: After, tasks: TaskTracker) -> Response {
    let content_type = response.headers().get(header::CONTENT_TYPE);
    let streams = content_type.is_some_and(|value| value.as_bytes().starts_with(b"text/event-stream"));
    // In a stream the answer is yet to come; anything else is complete, and so is what is to follow it.
    if streams || !after.is_empty() {
        return confirm(response, after, tasks);
    }
    response
}

/// Names the Events extension where some clients look for it: rmcp's capabilities have no such field.
async fn name_events(response: Response) -> Response {
    let content_type = response.headers().get(header::CONTENT_TYPE);
    if content_type.is_none_or(|value| value != "application/json") {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    // The answer is our own, and short.
    let Ok(bytes) = to_bytes(body, usize::MAX).await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let named = serde_json::from_slice::<Value>(&bytes).ok().and_then(|mut answer| {
        let capabilities = answer.get_mut("result")?.get_mut("capabilities")?.as_object_mut()?;
        if capabilities
            .get("extensions")
            .and_then(|all| all.get(EXTENSION))
            .is_some()
        {
            capabilities.insert("events".into(), json!({}));
        }
        serde_json::to_vec(&answer).ok()
    });
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, named.map_or_else(|| Body::from(bytes), Body::from))
}
