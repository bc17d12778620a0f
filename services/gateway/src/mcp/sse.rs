//! The legacy transport of 2024-11-05: a stream of events, and messages posted beside it, to whichever replica.

use std::{convert::Infallible, sync::Arc};

use axum::{
    Extension,
    extract::{Query, State},
    http::{Extensions, StatusCode},
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use butt_dial_comms::identity::Caller;
use butt_dial_runtime::http::{BodyRejection, FullBody, failure};
use bytes::Bytes;
use futures::{Stream, StreamExt};
use http::request::Parts;
use rmcp::model::{
    ClientJsonRpcMessage, ClientNotification, ClientRequest, ErrorCode, ErrorData, GetExtensions,
    InitializeRequestParams, JsonRpcMessage, RequestId, ServerJsonRpcMessage, ServerResult,
};
use serde::Deserialize;
use serde_json::{Map, Value};
use tracing::Instrument;

use super::{
    KEEP_ALIVE, MAX_BODY, Tier,
    audience::Audience,
    connection::{Change, Connection},
    exchange,
};
use crate::operations::After;

/// Opens the stream. Its first event says where messages go; the path is relative, because clients stay on one origin.
pub async fn open(State(tier): State<Tier>, Extension(caller): Extension<Arc<Caller>>) -> Response {
    let agent = match caller.agent() {
        Ok(profile) => profile.agent.id.clone(),
        Err(refusal) => return failure(&refusal),
    };
    match tier.streams.open_sse(agent).await {
        Ok((id, stream)) => {
            let events = events(format!("/messages?sessionId={id}"), stream);
            let unbuffered = [("x-accel-buffering", "no"), ("cache-control", "no-store")];
            (
                unbuffered,
                Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)),
            )
                .into_response()
        }
        Err(refusal) => failure(&refusal),
    }
}

fn events(endpoint: String, messages: impl Stream<Item = String>) -> impl Stream<Item = Result<Event, Infallible>> {
    let first = Event::default().event("endpoint").data(endpoint);
    let rest = messages.map(|text| Event::default().event("message").data(text));
    futures::stream::once(std::future::ready(first)).chain(rest).map(Ok)
}

#[derive(Deserialize)]
pub struct Target {
    #[serde(rename = "sessionId")]
    session_id: String,
}

/// Takes a message. The answer goes to the stream: clients hang on a POST that is answered with an error, so anything
/// that is wrong with the message itself is told there too.
pub async fn receive(
    State(tier): State<Tier>,
    Query(target): Query<Target>,
    Extension(caller): Extension<Arc<Caller>>,
    Extension(span): Extension<tracing::Span>,
    FullBody(body): FullBody<MAX_BODY>,
) -> Response {
    let connection = match tier.streams.find(&target.session_id).await {
        Ok(Some(connection)) if Some(&connection.agent) == caller.principal.agent.as_ref() => connection,
        Ok(_) => return (StatusCode::NOT_FOUND, "Not Found: Session not found").into_response(),
        Err(refusal) => return failure(&refusal),
    };
    let message = read(body);
    let answering = {
        let (tier, span) = (tier.clone(), span.clone());
        async move {
            match message {
                Ok(message) => answer(&tier, &connection, caller, span, message).await,
                Err(unreadable) => refuse(&tier, &connection, unreadable).await,
            }
        }
    };
    tier.streams.answer(answering.instrument(span));
    (StatusCode::ACCEPTED, "Accepted").into_response()
}

async fn answer(
    tier: &Tier,
    connection: &Connection,
    caller: Arc<Caller>,
    span: tracing::Span,
    mut message: ClientJsonRpcMessage,
) {
    let JsonRpcMessage::Request(request) = &mut message else {
        return take(tier, connection, message).await;
    };
    let introduction = match &request.request {
        ClientRequest::InitializeRequest(initialize) => Some(initialize.params.clone()),
        _ => None,
    };
    let after = After::default();
    let mut parts = parts(caller, span, connection);
    parts.extensions.insert(after.clone());
    request.request.extensions_mut().insert(parts);
    let mut answers = exchange::run(tier.legacy.clone(), connection.peer.as_ref(), message);
    // Without a stream nobody waits for the answer.
    let closed = tier.streams.closed(connection);
    while let Some(Some(answer)) = closed.run_until_cancelled(answers.next()).await {
        let is_last = exchange::is_answer(&answer);
        if let Some(peer) = negotiated(introduction.as_ref(), &answer) {
            tier.streams.note(connection, Change::Introduced(Box::new(peer))).await;
        }
        if !bring(tier, connection, &answer).await {
            // Too large for the bus, or the way there is gone: the client must not wait for it.
            return tier.streams.close(connection).await;
        }
        if is_last {
            return after.run(tier.streams.tasks());
        }
    }
}

/// What asks for nothing: the client is ready, or answers a request of ours.
async fn take(tier: &Tier, connection: &Connection, message: ClientJsonRpcMessage) {
    match message {
        JsonRpcMessage::Notification(notification) if is_initialized(&notification.notification) => {
            let now = tier.streams.now();
            tier.streams.note(connection, Change::Initialized(now)).await;
        }
        answer => tier.streams.bring_answer(&connection.agent, answer).await,
    }
}

pub fn is_initialized(notification: &ClientNotification) -> bool {
    matches!(notification, ClientNotification::InitializedNotification(_))
}

/// What the handler needs of an HTTP request; the one that came has been answered already.
fn parts(caller: Arc<Caller>, span: tracing::Span, connection: &Connection) -> Parts {
    let (mut parts, ()) = http::Request::new(()).into_parts();
    let mut extensions = Extensions::new();
    extensions.insert(caller);
    extensions.insert(span);
    extensions.insert(Audience::Stream(Box::new(connection.clone())));
    parts.extensions = extensions;
    parts
}

fn negotiated(
    introduction: Option<&InitializeRequestParams>,
    answer: &ServerJsonRpcMessage,
) -> Option<InitializeRequestParams> {
    let JsonRpcMessage::Response(response) = answer else {
        return None;
    };
    let ServerResult::InitializeResult(result) = &response.result else {
        return None;
    };
    let mut peer = introduction?.clone();
    peer.protocol_version = result.protocol_version.clone();
    Some(peer)
}

/// A message that can't be run. Its id, if it has one, is how the client is told.
struct Unreadable {
    id: Option<RequestId>,
}

fn read(body: Result<Bytes, BodyRejection>) -> Result<ClientJsonRpcMessage, Unreadable> {
    let body = body.map_err(|_| Unreadable { id: None })?;
    serde_json::from_slice(&body).map_err(|_| {
        let message: Option<Map<String, Value>> = serde_json::from_slice(&body).ok();
        Unreadable {
            id: message.and_then(|mut fields| serde_json::from_value(fields.remove("id")?).ok()),
        }
    })
}

/// Without an id nobody could be told, and the client would wait for ever: the end of the stream tells it.
async fn refuse(tier: &Tier, connection: &Connection, unreadable: Unreadable) {
    match unreadable.id {
        Some(id) => {
            let error = ErrorData::new(
                ErrorCode::INVALID_REQUEST,
                "the message is no JSON-RPC 2.0 request",
                None,
            );
            bring(tier, connection, &ServerJsonRpcMessage::error(error, Some(id))).await;
        }
        None => tier.streams.close(connection).await,
    }
}

async fn bring(tier: &Tier, connection: &Connection, message: &ServerJsonRpcMessage) -> bool {
    match serde_json::to_string(message) {
        Ok(text) => tier.streams.push(connection, text).await,
        Err(error) => {
            tracing::error!(%error, "an answer could not be written");
            false
        }
    }
}
