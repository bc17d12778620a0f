//! A socket that a carrier opens: who opens it, and for which call. Believed only with the carrier's signature over the very
//! address that it was told, and a token that is good for one socket.

use std::time::Duration;

use axum::{
    extract::{Path, State, WebSocketUpgrade, ws::rejection::WebSocketUpgradeRejection},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use butt_dial_comms::calls::{
    script::{self, SocketTicket},
    state,
};
use butt_dial_domain::{keys, ports::kv::KvError};

use crate::{Relay, acquire::VerifiedSocket, session};

/// What carriers send is small: half a minute of speech is below 1 KiB.
const MAX_FRAME: usize = 64 * 1024;
/// Of each socket, for as long as the call lasts.
const BUFFER: usize = 4 * 1024;
/// A token is remembered as used for as long as it could be used.
const USED_FOR: Duration = Duration::from_secs(600);

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
    match admit(&relay, &token, &headers).await {
        Ok(Ok(admitted)) => upgrade
            .max_message_size(MAX_FRAME)
            .max_frame_size(MAX_FRAME)
            .read_buffer_size(BUFFER)
            .write_buffer_size(0)
            .on_upgrade(move |socket| async move {
                let lifecycle = relay.lifecycle.clone();
                let calls = relay.calls.clone();
                lifecycle.spawn(calls.track_future(session::run(relay, socket, admitted)));
            }),
        Ok(Err(status)) => status.into_response(),
        Err(error) => {
            tracing::warn!(%error, "a call's socket can't be looked up");
            StatusCode::SERVICE_UNAVAILABLE.into_response()
        }
    }
}

async fn admit(relay: &Relay, token: &str, headers: &HeaderMap) -> Result<Result<VerifiedSocket, StatusCode>, KvError> {
    let comms = &relay.comms;
    let refused = |carrier: &str, reason: &str, status| {
        comms.metrics.webhook(carrier, reason);
        Ok(Err(status))
    };
    let is_plain = token.len() <= 64 && token.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let known = match is_plain {
        true => comms.kv.get(&keys::call_token(token)).await?,
        false => None,
    };
    let admission: Option<SocketTicket> = known.and_then(|text| serde_json::from_str(&text).ok());
    let Some(admission) = admission else {
        return refused("unknown", "unknown_call", StatusCode::NOT_FOUND);
    };
    let state = state::find(comms, &admission.call).await?;
    let Some(state) = state.filter(|state| state.ended.is_none()) else {
        return refused("unknown", "unknown_call", StatusCode::NOT_FOUND);
    };
    let found = comms.carriers.find_voice(&state.info.carrier);
    let Some(((carrier, voice), base)) = found.zip(comms.settings.public_url.as_deref()) else {
        return refused("unknown", "unknown_carrier", StatusCode::NOT_FOUND);
    };
    if let Err(distrust) = voice.verify_socket(&script::socket_url(base, token), headers) {
        tracing::warn!(carrier, reason = distrust.as_str(), "a call's socket is not believed");
        return refused(carrier, distrust.as_str(), StatusCode::FORBIDDEN);
    }
    let used = format!("{}:used", keys::call_token(token));
    if !comms.kv.once(&used, USED_FOR).await? {
        return refused(carrier, "repeated", StatusCode::CONFLICT);
    }
    Ok(Ok(VerifiedSocket {
        voice: voice.clone(),
        state,
    }))
}
