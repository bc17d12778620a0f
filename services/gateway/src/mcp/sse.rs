//! The legacy transport of 2024-11-05: a stream of events, and messages that are posted to any replica.

use std::{convert::Infallible, sync::Arc};

use axum::{
    Extension,
    extract::{Query, State, rejection::QueryRejection},
    http::{Extensions, HeaderMap, StatusCode},
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use butt_dial_domain::{Code, Failure};
use butt_dial_identity::Caller;
use butt_dial_operations::{OnResponseSent, granted};
use butt_dial_runtime::http::{BodyRejection, FullBody, failure};
use butt_dial_sessions::{ClientChange, Connection};
use bytes::Bytes;
use futures::{Stream, StreamExt};
use http::request::Parts;
use rmcp::model::{
    ClientJsonRpcMessage, ClientRequest, GetExtensions, InitializeRequestParams, JsonRpcMessage, ServerJsonRpcMessage,
    ServerResult,
};
use serde::Deserialize;
use tracing::Instrument;

use super::{
    client_ref::ClientRef,
    exchange,
    http::session_not_found,
    message::{self, InvalidMessage},
    protocol::is_initialized,
    state::{KEEP_ALIVE, MAX_BODY, McpState},
};
use crate::auth::QueryToken;

/// Opens the stream. Its first event names the path for messages; it is relative, because clients accept only one origin.
pub async fn open(
    State(state): State<McpState>,
    Extension(caller): Extension<Arc<Caller>>,
    query_token: Option<Extension<QueryToken>>,
    headers: HeaderMap,
) -> Response {
    let agent = match caller.agent() {
        Ok(profile) => &profile.agent,
        Err(refusal) => return failure(&refusal),
    };
    match state
        .sessions
        .streams
        .open_sse(agent.id.clone(), agent.org_id.clone(), granted::reach(&caller))
        .await
    {
        Ok(stream) => {
            let base = state.base_path.of_request(&headers);
            let mut endpoint = format!("{base}/messages?sessionId={}", stream.id());
            // A client that can't send headers authenticates its messages the same way.
            if let Some(Extension(QueryToken(token))) = query_token {
                endpoint.push_str("&token=");
                endpoint.extend(url::form_urlencoded::byte_serialize(token.as_bytes()));
            }
            let events = events(endpoint, stream);
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

/// Receives a message. The response goes to the stream. So do errors of the message itself, because clients hang after a
/// POST that fails.
pub async fn receive(
    State(state): State<McpState>,
    target: Result<Query<Target>, QueryRejection>,
    Extension(caller): Extension<Arc<Caller>>,
    Extension(span): Extension<tracing::Span>,
    FullBody(body): FullBody<MAX_BODY>,
) -> Response {
    let Ok(Query(target)) = target else {
        let missing = Failure::new(Code::MissingFields, "the query parameter sessionId is required");
        return failure(&missing.hint("post to the path that the endpoint event of /sse names"));
    };
    let connection = match state.sessions.streams.find(&target.session_id).await {
        Ok(Some(connection))
            if Some(&connection.agent) == caller.principal.agent.as_ref()
                && connection.flags.reach == granted::reach(&caller) =>
        {
            connection
        }
        Ok(_) => return failure(&session_not_found()),
        Err(refusal) => return failure(&refusal),
    };
    let message = parse(body);
    let responding = {
        let (state, span) = (state.clone(), span.clone());
        async move {
            match message {
                Ok(message) => respond(&state, &connection, caller, span, message).await,
                Err(invalid) => refuse(&state, &connection, invalid).await,
            }
        }
    };
    let streams = &state.sessions.streams;
    streams.spawn_response(responding.instrument(span));
    (StatusCode::ACCEPTED, "Accepted").into_response()
}

async fn respond(
    state: &McpState,
    connection: &Connection,
    caller: Arc<Caller>,
    span: tracing::Span,
    mut message: ClientJsonRpcMessage,
) {
    let JsonRpcMessage::Request(request) = &mut message else {
        return accept(state, connection, message).await;
    };
    let introduction = match &request.request {
        ClientRequest::InitializeRequest(initialize) => Some(initialize.params.clone()),
        _ => None,
    };
    let on_sent = OnResponseSent::default();
    let mut parts = parts(caller, span, connection);
    parts.extensions.insert(on_sent.clone());
    request.request.extensions_mut().insert(parts);
    let running = state.clients.register_request(&connection.id, &message);
    let mut replies = exchange::run(state.legacy.clone(), connection.peer.as_ref(), message, running);
    // Without a stream no client waits for the response.
    let streams = &state.sessions.streams;
    let closed = streams.closed(connection);
    while let Some(Some(reply)) = closed.run_until_cancelled(replies.next()).await {
        let is_last = exchange::is_response(&reply);
        if let Some(peer) = negotiated(introduction.as_ref(), &reply) {
            let introduced = ClientChange::Introduced(Box::new(peer));
            streams.update(connection, introduced).await;
        }
        if !push(state, connection, &reply).await {
            // It is too large for the bus, or the replica is unreachable: the client must not wait for it.
            return streams.close(connection).await;
        }
        if is_last {
            return on_sent.run(streams.tasks());
        }
    }
}

/// Accepts a message that needs no response: `notifications/initialized`, or a response to a request of the server.
async fn accept(state: &McpState, connection: &Connection, message: ClientJsonRpcMessage) {
    let streams = &state.sessions.streams;
    match message {
        JsonRpcMessage::Notification(notification) if is_initialized(&notification.notification) => {
            let initialized = ClientChange::Initialized(streams.now());
            streams.update(connection, initialized).await;
        }
        JsonRpcMessage::Notification(notification) => {
            state
                .clients
                .cancel_request(&connection.id, &notification.notification)
                .await;
        }
        response => {
            let reach = connection.flags.reach;
            streams.forward_response(&connection.agent, reach, response).await;
        }
    }
}

/// Builds the HTTP request that the handler reads. The received one has been answered already.
fn parts(caller: Arc<Caller>, span: tracing::Span, connection: &Connection) -> Parts {
    let (mut parts, ()) = http::Request::new(()).into_parts();
    let mut extensions = Extensions::new();
    extensions.insert(caller);
    extensions.insert(span);
    extensions.insert(ClientRef::Stream(Box::new(connection.clone())));
    parts.extensions = extensions;
    parts
}

fn negotiated(
    introduction: Option<&InitializeRequestParams>,
    reply: &ServerJsonRpcMessage,
) -> Option<InitializeRequestParams> {
    let JsonRpcMessage::Response(response) = reply else {
        return None;
    };
    let ServerResult::InitializeResult(result) = &response.result else {
        return None;
    };
    let mut peer = introduction?.clone();
    peer.protocol_version = result.protocol_version.clone();
    Some(peer)
}

fn parse(body: Result<Bytes, BodyRejection>) -> Result<ClientJsonRpcMessage, InvalidMessage> {
    let body = body.map_err(|_| InvalidMessage::unreadable(None))?;
    let checked = message::check(&body)?;
    let message = checked.repaired.as_deref().unwrap_or(&body);
    serde_json::from_slice(message).map_err(|_| InvalidMessage::unreadable(checked.id))
}

/// Answers with an error. Without an id no client recognizes it, and the client would wait forever: its stream is closed.
async fn refuse(state: &McpState, connection: &Connection, invalid: InvalidMessage) {
    match invalid.id {
        Some(_) => drop(push(state, connection, &invalid.into_response()).await),
        None => state.sessions.streams.close(connection).await,
    }
}

async fn push(state: &McpState, connection: &Connection, message: &ServerJsonRpcMessage) -> bool {
    match serde_json::to_string(message) {
        Ok(text) => state.sessions.streams.push(connection, text).await,
        Err(error) => {
            tracing::error!(%error, "response not serializable");
            false
        }
    }
}
