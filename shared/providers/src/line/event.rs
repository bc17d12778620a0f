//! The JSON of LINE's webhooks (LINE, Webhook event objects). Whatever an event may lack it may lack.

use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
pub struct Call {
    /// The bot's user id.
    pub destination: String,
    /// Values, so that one that can't be read spoils no other. None at all: LINE tries whether the address works.
    #[serde(default)]
    pub events: Vec<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    #[serde(rename = "type")]
    pub kind: String,
    /// `standby`: another program answers.
    #[serde(default)]
    pub mode: Option<String>,
    /// Unix milliseconds.
    #[serde(default)]
    pub timestamp: Option<i64>,
    #[serde(default)]
    pub source: Option<Source>,
    #[serde(default)]
    pub webhook_event_id: Option<String>,
    #[serde(default)]
    pub message: Option<Message>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Source {
    #[serde(default)]
    pub user_id: Option<String>,
    #[serde(default)]
    pub group_id: Option<String>,
    #[serde(default)]
    pub room_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Message {
    pub id: String,
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(default)]
    pub text: Option<String>,
    #[serde(default)]
    pub file_name: Option<String>,
    #[serde(default)]
    pub file_size: Option<u64>,
    #[serde(default)]
    pub quoted_message_id: Option<String>,
}
