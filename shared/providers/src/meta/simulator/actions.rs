//! Actions in a chat that create no message: read marks and typing (WhatsApp Cloud API, Messages).

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::json;

use super::{ID, error};
use crate::simulator::SimulatorState;

#[derive(Deserialize)]
struct Fields {
    messaging_product: String,
    status: String,
    #[serde(default)]
    message_id: Option<String>,
    #[serde(default)]
    typing_indicator: Option<serde_json::Value>,
}

/// Answers an action. `None`: the request is a message.
pub fn answer(simulator: &SimulatorState, body: &[u8]) -> Option<Response> {
    let fields: Fields = serde_json::from_slice(body).ok()?;
    let is_valid = fields.messaging_product == "whatsapp"
        && fields.status == "read"
        && fields.message_id.as_ref().is_some_and(|id| id.starts_with("wamid."))
        && fields
            .typing_indicator
            .as_ref()
            .is_none_or(|typing| typing["type"] == "text");
    if !is_valid {
        return Some(error::error_response(
            StatusCode::BAD_REQUEST,
            131_009,
            "Parameter value is not valid",
        ));
    }
    let action = match fields.typing_indicator {
        Some(_) => "typing",
        None => "mark_read",
    };
    simulator.record_chat_action(ID, action, fields.message_id.as_deref().unwrap_or_default());
    Some(Json(json!({ "success": true })).into_response())
}
