//! The recipients of messages: people by number or id, and groups.

use butt_dial_domain::{Address, ports::carrier::RefusalClass};
use serde_json::{Value, json};

/// Builds a message with one part. Fails for an address that WhatsApp does not have.
pub fn addressed(to: &Address, kind: &str, part: Value) -> Result<Value, RefusalClass> {
    // An id in `to` is accepted, and the message vanishes.
    let (recipient_type, recipient, to) = match to {
        Address::Phone(number) | Address::Opaque(number) => ("individual", "to", number.trim_start_matches('+')),
        Address::WhatsappUser(id) => ("individual", "recipient", id.as_str()),
        Address::WhatsappGroup(id) => ("group", "to", group_id(id)),
        Address::Email(_) | Address::Line(_) => return Err(RefusalClass::Configuration),
    };
    let mut message = json!({
        "messaging_product": "whatsapp",
        "recipient_type": recipient_type,
        "type": kind,
    });
    message[recipient] = json!(to);
    message[kind] = part;
    Ok(message)
}

/// Returns Meta's id of a group.
pub fn group_id(id: &str) -> &str {
    id.strip_prefix("group:").unwrap_or(id)
}
