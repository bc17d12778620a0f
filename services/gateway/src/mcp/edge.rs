//! What stands in front of the transports: which hosts may be named, whose session it is, and a quirk of one answer.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{HeaderMap, Method, StatusCode, Uri, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use butt_dial_comms::identity::Caller;
use butt_dial_runtime::http::failure;
use tokio_util::task::TaskTracker;

use super::sessions::{SESSION_HEADER, Sessions};
use crate::{operations::After, sent::confirm};

/// A web page can make a browser ask a local server under the page's own name (DNS rebinding): such a name is refused.
pub async fn check_host(State(allowed): State<Arc<Option<Vec<String>>>>, request: Request, next: Next) -> Response {
    let Some(allowed) = allowed.as_ref() else {
        return next.run(request).await;
    };
    let known = |authority: &str| {
        let host = authority.parse::<http::uri::Authority>().ok();
        host.is_some_and(|host| {
            allowed
                .iter()
                .any(|a| a.eq_ignore_ascii_case(host.host().trim_matches(['[', ']'])))
        })
    };
    if !named_host(request.headers(), request.uri()).is_some_and(known) {
        return refuse("Forbidden: this Host is not one of ours; ALLOWED_HOSTS names more");
    }
    let origin = request
        .headers()
        .get(header::ORIGIN)
        .map(|value| value.to_str().unwrap_or_default());
    if let Some(origin) = origin
        && !origin.split_once("://").is_some_and(|(_, authority)| known(authority))
    {
        return refuse("Forbidden: this Origin is not one of ours; ALLOWED_HOSTS names more");
    }
    next.run(request).await
}

fn named_host<'a>(headers: &'a HeaderMap, uri: &'a Uri) -> Option<&'a str> {
    headers
        .get(header::HOST)
        .and_then(|value| value.to_str().ok())
        .or_else(|| uri.authority().map(|a| a.as_str()))
}

fn refuse(text: &'static str) -> Response {
    (StatusCode::FORBIDDEN, text).into_response()
}

/// A session belongs to the agent that opened it; to anybody else it does not exist.
pub async fn own_session(State(sessions): State<Sessions>, request: Request, next: Next) -> Response {
    let id = request
        .headers()
        .get(SESSION_HEADER)
        .map(|value| value.to_str().unwrap_or_default().to_owned());
    if let Some(id) = id {
        let agent = request
            .extensions()
            .get::<Arc<Caller>>()
            .and_then(|caller| caller.principal.agent.clone());
        match sessions.find(&id).await {
            Ok(Some(session)) if Some(&session.agent) == agent.as_ref() => {}
            // 404 and nothing else makes clients open a new session.
            Ok(_) => return (StatusCode::NOT_FOUND, "Not Found: Session not found").into_response(),
            Err(refusal) => return failure(&refusal),
        }
    }
    next.run(request).await
}

/// rmcp answers DELETE with 202; the Python client takes anything but 200 and 204 for a failure.
pub async fn answer_delete(request: Request, next: Next) -> Response {
    let is_delete = request.method() == Method::DELETE;
    let mut response = next.run(request).await;
    if is_delete && response.status() == StatusCode::ACCEPTED {
        *response.status_mut() = StatusCode::NO_CONTENT;
    }
    response
}

/// Runs what is to follow an answer, such as taking what it held off the agent's queue, once the answer has left.
pub async fn confirm_answers(State(tasks): State<TaskTracker>, mut request: Request, next: Next) -> Response {
    let after = After::default();
    request.extensions_mut().insert(after.clone());
    let is_post = request.method() == Method::POST;
    let response = next.run(request).await;
    let streams = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"text/event-stream"));
    // In a stream the answer is yet to come; anything else is complete, and so is what is to follow it.
    if is_post && (streams || !after.is_empty()) {
        return confirm(response, after, tasks);
    }
    response
}

/// Handlers run in tasks of rmcp's own; through this they find the span of their request.
pub async fn carry_span(mut request: Request, next: Next) -> Response {
    request.extensions_mut().insert(tracing::Span::current());
    next.run(request).await
}
