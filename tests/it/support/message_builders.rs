//! Send requests of agents. Each has its own idempotency key unless the test sets one.

use butt_dial_domain::ids;
use serde_json::{Value, json};

pub fn sms(to: &str, body: &str) -> Value {
    message("sms", to, body)
}

pub fn whatsapp(to: &str, body: &str) -> Value {
    message("whatsapp", to, body)
}

pub fn email(to: &str, body: &str) -> Value {
    message("email", to, body)
}

/// Adds fields to a message, or replaces them.
pub fn with(mut message: Value, fields: Value) -> Value {
    let fields = fields.as_object().expect("fields").clone();
    message.as_object_mut().expect("a message").extend(fields);
    message
}

fn message(channel: &str, to: &str, body: &str) -> Value {
    json!({ "channel": channel, "to": to, "body": body, "idempotencyKey": ids::random() })
}
