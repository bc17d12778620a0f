//! The JSON of LINE's webhooks (LINE, Webhook event objects). All fields that LINE may omit are optional.

use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
pub struct Call {
    /// The bot's user id.
    pub destination: String,
    /// Raw values, so that one unreadable event does not spoil the others. Empty in LINE's test request for the URL.
    #[serde(default)]
    pub events: Vec<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    #[serde(rename = "type")]
    pub kind: String,
    /// `standby`: another module answers the user.
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
