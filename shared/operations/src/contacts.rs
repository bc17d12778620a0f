//! Common parts of the operations about contacts: other names of their argument, channels and addresses.

use butt_dial_accounts::parse_contact;
use butt_dial_domain::{Address, Channel, Code, Failure};
use butt_dial_messaging::outbound::parse_recipient;
use serde::{Deserialize, Deserializer};

/// Other names of the argument `contact`.
pub const CONTACT: &[(&str, &str)] = &[
    ("contactAddress", "contact"),
    ("to", "contact"),
    ("number", "contact"),
    ("phoneNumber", "contact"),
    ("address", "contact"),
];

/// Other names of the argument `to`.
pub const TO: &[(&str, &str)] = &[
    ("contact", "to"),
    ("contactAddress", "to"),
    ("number", "to"),
    ("phoneNumber", "to"),
    ("address", "to"),
];

/// Parses the name of a channel. `phone` is one for texts.
pub fn parse_channel(text: &str) -> Result<Channel, Failure> {
    let named = match text.trim().to_ascii_lowercase().as_str() {
        "phone" | "mms" => Some(Channel::Sms),
        "call" | "voiceai" => Some(Channel::Voice),
        other => Channel::parse(other),
    };
    named.ok_or_else(|| {
        Failure::new(
            Code::InvalidArgument,
            "channel must be one of sms, whatsapp, email, line, voice",
        )
    })
}

/// Parses a contact on a channel; without one, on the channel that the address belongs to.
pub fn contact_on(channel: Option<&str>, contact: &str) -> Result<(Channel, Address), Failure> {
    match channel {
        Some(channel) => {
            let channel = parse_channel(channel)?;
            Ok((channel, parse_recipient(channel, contact)?))
        }
        None => parse_contact(contact),
    }
}

/// Reads a text that some clients send as a number.
pub fn text_or_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum TextOrNumber {
        Text(String),
        Number(u64),
    }
    Ok(match TextOrNumber::deserialize(deserializer)? {
        TextOrNumber::Text(text) => text,
        TextOrNumber::Number(number) => number.to_string(),
    })
}
