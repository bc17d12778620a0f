//! The deletion of messages, calls and recordings. A deleted message has neither text nor recipient, and is not found any more.

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::json;

use super::{ID, error::ApiError};
use crate::simulator::SimulatorState;

/// The status of a deleted message.
pub const DELETED: &str = "deleted";

/// Deletes a message that has arrived. One on its way is refused (20009).
pub async fn message(State(simulator): State<SimulatorState>, Path((_, file)): Path<(String, String)>) -> Response {
    let sid = file.strip_suffix(".json").unwrap_or(&file);
    match simulator.find(ID, sid) {
        Some(message) if matches!(message.status, "queued" | "sending") => ApiError::bad(
            20009,
            "Delete rejected because the message has not reached a final state",
        )
        .into_response(),
        Some(message) if message.status != DELETED => {
            simulator.redact(ID, sid, DELETED);
            StatusCode::NO_CONTENT.into_response()
        }
        _ => ApiError::not_found().into_response(),
    }
}

/// Lists the media of a message: none, because links of senders are not copied.
pub async fn media(State(simulator): State<SimulatorState>, Path((_, sid)): Path<(String, String)>) -> Response {
    match simulator.find(ID, &sid) {
        Some(message) if message.status != DELETED => Json(json!({ "media_list": [] })).into_response(),
        _ => ApiError::not_found().into_response(),
    }
}

/// Deletes a call that has ended.
pub async fn resource(State(simulator): State<SimulatorState>, Path((_, file)): Path<(String, String)>) -> Response {
    let sid = file.strip_suffix(".json").unwrap_or(&file);
    match simulator.note_deletion(sid) {
        true => StatusCode::NO_CONTENT.into_response(),
        false => ApiError::not_found().into_response(),
    }
}
