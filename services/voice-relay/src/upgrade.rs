//! The socket request of a carrier. It needs the carrier's signature over the URL, and a ticket that opens one socket.

use axum::{
    extract::{Path, State, WebSocketUpgrade, ws::rejection::WebSocketUpgradeRejection},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use butt_dial_calls::socket_ticket;
use butt_dial_domain::ports::kv::KvError;

use crate::{Relay, acquire::VerifiedSocket, session};

/// Frames of carriers are small: half a minute of speech is below 1 KiB. A longer one would end the socket, so the limit is
/// far above all that a carrier sends.
const MAX_FRAME: usize = 1024 * 1024;
/// Memory of each socket for the length of its call.
const READ_BUFFER: usize = 4 * 1024;

pub async fn open(
    State(relay): State<Relay>,
    Path(token): Path<String>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    let upgrade = match upgrade {
        Ok(upgrade) => upgrade,
        Err(rejection) => return rejection.into_response(),
    };
    if relay.lifecycle.draining().is_cancelled() {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    match verify(&relay, &token, &headers).await {
        Ok(Ok(verified)) => upgrade
            .max_message_size(MAX_FRAME)
            .max_frame_size(MAX_FRAME)
            .read_buffer_size(READ_BUFFER)
            .write_buffer_size(0)
            .on_upgrade(move |socket| async move {
                let (lifecycle, sessions) = (relay.lifecycle.clone(), relay.sessions.clone());
                lifecycle.spawn(sessions.track_future(session::run(relay, socket, verified)));
            }),
        Ok(Err(status)) => status.into_response(),
        Err(error) => {
            tracing::warn!(%error, "call socket refused: call lookup failed");
            StatusCode::SERVICE_UNAVAILABLE.into_response()
        }
    }
}

async fn verify(
    relay: &Relay,
    token: &str,
    headers: &HeaderMap,
) -> Result<Result<VerifiedSocket, StatusCode>, KvError> {
    let calls = &relay.calls;
    let refused = |carrier: &str, reason: &str, status| {
        calls.record_webhook(carrier, reason);
        Ok(Err(status))
    };
    let Some(call) = socket_ticket::find(calls, token).await? else {
        return refused("unknown", "unknown_call", StatusCode::NOT_FOUND);
    };
    let state = calls.find_state(&call).await?;
    let Some(state) = state.filter(|state| state.is_live()) else {
        return refused("unknown", "unknown_call", StatusCode::NOT_FOUND);
    };
    let found = match calls.find_voice(&state.info).await {
        Ok(found) => found,
        Err(error) => {
            tracing::warn!(%error, %call, "carrier of a call not found");
            return refused("unknown", "unavailable", StatusCode::SERVICE_UNAVAILABLE);
        }
    };
    let Some(((carrier, voice), base)) = found.zip(calls.public_urls().base()) else {
        return refused("unknown", "unknown_carrier", StatusCode::NOT_FOUND);
    };
    if let Err(error) = voice.verify_socket(&socket_ticket::socket_url(base, token), headers) {
        tracing::warn!(carrier, reason = error.as_str(), "call socket verification failed");
        return refused(carrier, error.as_str(), StatusCode::FORBIDDEN);
    }
    if !socket_ticket::redeem(calls, token).await? {
        return refused(carrier, "repeated", StatusCode::CONFLICT);
    }
    Ok(Ok(VerifiedSocket { voice, state }))
}
