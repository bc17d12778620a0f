//! The parts of an inbound message that are more than text: places, contact cards, orders, reactions, choices, notices. Each
//! describes itself in words, so that every message can be read as text.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Number, Value};

use crate::text;

/// A part of an inbound message. Field names are part of the API. Contains contents: must not be logged.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Part {
    Text {
        text: String,
    },
    /// An attachment of the message, by its place in the list.
    Media {
        attachment: usize,
        /// `image`, `audio`, `video`, `document`, `voice`.
        kind: String,
    },
    Location {
        latitude: Number,
        longitude: Number,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        address: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        url: Option<String>,
    },
    Contact(Card),
    Order {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        catalog_id: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        text: Option<String>,
        items: Vec<OrderItem>,
    },
    Sticker {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        package_id: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        text: Option<String>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        keywords: Vec<String>,
    },
    /// Without an emoji, a reaction is removed.
    Reaction {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message_id: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        emoji: Option<String>,
        removed: bool,
    },
    /// A button or an entry of a list that the person chose.
    Choice {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        title: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        description: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        payload: Option<String>,
        /// Further choices of the person, such as a time.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        params: BTreeMap<String, String>,
    },
    /// A form that the person filled in.
    FlowReply {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
        data: Value,
    },
    /// The answer to the question whether the business may call.
    CallPermission {
        response: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires_at: Option<String>,
    },
    /// A notice of the carrier about the conversation.
    System {
        notice: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        text: Option<String>,
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        details: BTreeMap<String, String>,
    },
    /// The text of the message replaces that of an earlier one.
    Edit {
        edits: String,
    },
    Deletion {
        message_id: String,
    },
    /// The advertisement or post that the person came from.
    Referral {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        source_type: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        source_id: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        url: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        headline: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        text: Option<String>,
    },
    /// The product that the person asks about.
    Product {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        catalog_id: Option<String>,
        product_id: String,
    },
    /// Content that can't be shown here, with the carrier's name for it.
    Unsupported {
        raw_type: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        code: Option<String>,
    },
    /// Of a newer release.
    #[serde(other)]
    Other,
}

/// A contact card.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Card {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organization: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub phones: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub emails: Vec<String>,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderItem {
    pub product_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantity: Option<Number>,
    /// Of one item, in `currency`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Number>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
}

impl Part {
    pub fn unsupported(raw_type: &str) -> Self {
        Self::Unsupported {
            raw_type: raw_type.to_owned(),
            code: None,
        }
    }

    /// Returns the part without characters that a reader can't see.
    #[must_use]
    pub fn cleaned(self) -> Self {
        // Consists of strings, numbers and lists of them, so neither direction can fail.
        let cleaned = serde_json::to_value(&self).map(clean_value);
        cleaned.and_then(serde_json::from_value).unwrap_or(self)
    }
}

fn clean_value(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(text::clean(&text)),
        Value::Array(items) => Value::Array(items.into_iter().map(clean_value).collect()),
        Value::Object(fields) => {
            let fields = fields.into_iter();
            Value::Object(
                fields
                    .map(|(name, value)| (text::clean(&name), clean_value(value)))
                    .collect::<Map<_, _>>(),
            )
        }
        other => other,
    }
}

/// Joins what is there, with a comma.
fn joined<'a>(parts: impl IntoIterator<Item = Option<&'a str>>) -> String {
    let parts: Vec<&str> = parts.into_iter().flatten().filter(|part| !part.is_empty()).collect();
    parts.join(", ")
}

/// Describes the part in words: `[location 52.52, 13.4: Alexanderplatz]`. A choice and a text describe themselves.
impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text { text } => f.write_str(text),
            Self::Media { kind, .. } => write!(f, "[{kind}]"),
            Self::Location {
                latitude,
                longitude,
                name,
                address,
                ..
            } => {
                let place = joined([name.as_deref(), address.as_deref()]);
                bracketed(f, &format!("location {latitude}, {longitude}"), &place)
            }
            Self::Contact(card) => {
                let name = joined([card.name.as_deref(), card.organization.as_deref()]);
                let ways = card.phones.iter().chain(&card.emails).map(String::as_str).map(Some);
                bracketed(f, format!("contact {name}").trim_end(), &joined(ways))
            }
            Self::Order { text, items, .. } => {
                let items: Vec<String> = items.iter().map(OrderItem::to_string).collect();
                bracketed(f, "order", &items.join(", "))?;
                text.as_ref().map_or(Ok(()), |text| write!(f, " {text}"))
            }
            Self::Sticker { text, keywords, .. } => {
                let words = keywords.iter().map(String::as_str).map(Some);
                bracketed(f, "sticker", &joined([text.as_deref()].into_iter().chain(words)))
            }
            Self::Reaction { message_id, emoji, .. } => {
                let about = message_id
                    .as_ref()
                    .map(|id| format!(" to message {id}"))
                    .unwrap_or_default();
                match emoji {
                    Some(emoji) => write!(f, "[reaction {emoji}{about}]"),
                    None => write!(f, "[reaction{about} removed]"),
                }
            }
            Self::Choice {
                id,
                title,
                payload,
                params,
                ..
            } => match title {
                Some(title) if params.is_empty() => f.write_str(title),
                _ => {
                    let params = params.values().map(String::as_str).map(Some);
                    let chosen = [title.as_deref().or(payload.as_deref()).or(id.as_deref())];
                    bracketed(f, "choice", &joined(chosen.into_iter().chain(params)))
                }
            },
            Self::FlowReply { data, .. } => bracketed(f, "form", &fields(data)),
            Self::CallPermission { response, .. } => write!(f, "[permission to call: {response}]"),
            Self::System { notice, text, details } => {
                let details: Vec<String> = details.iter().map(|(name, value)| format!("{name} {value}")).collect();
                let said = joined([text.as_deref(), Some(details.join(", ").as_str())]);
                bracketed(f, &format!("notice {notice}"), &said)
            }
            Self::Edit { edits } => write!(f, "[message {edits} was edited]"),
            Self::Deletion { message_id } => write!(f, "[message {message_id} was deleted]"),
            Self::Referral {
                source_id,
                url,
                headline,
                text,
                ..
            } => {
                let parts = [headline, text, source_id, url].map(Option::as_deref);
                bracketed(f, "came from", &joined(parts))
            }
            Self::Product { product_id, .. } => write!(f, "[about product {product_id}]"),
            Self::Unsupported { raw_type, code } => {
                let kind = joined([Some(raw_type.as_str()), code.as_deref()]);
                write!(f, "[a message that can't be shown here: {kind}]")
            }
            Self::Other => f.write_str("[a message that can't be shown here]"),
        }
    }
}

impl fmt::Display for OrderItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(quantity) = &self.quantity {
            write!(f, "{quantity} x ")?;
        }
        f.write_str(&self.product_id)
    }
}

fn bracketed(f: &mut fmt::Formatter<'_>, kind: &str, said: &str) -> fmt::Result {
    match said {
        "" => write!(f, "[{kind}]"),
        said => write!(f, "[{kind}: {said}]"),
    }
}

/// Renders the fields of a form, without the token that identifies it.
fn fields(data: &Value) -> String {
    let Value::Object(fields) = data else {
        return plain(data);
    };
    let fields = fields.iter().filter(|(name, _)| *name != "flow_token");
    let fields: Vec<String> = fields
        .map(|(name, value)| format!("{name} = {}", plain(value)))
        .collect();
    fields.join(", ")
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn part(value: Value) -> Part {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn describes_parts_in_words() {
        for (value, words) in [
            (
                json!({ "type": "location", "latitude": 52.52, "longitude": 13.4, "name": "Alexanderplatz" }),
                "[location 52.52, 13.4: Alexanderplatz]",
            ),
            (
                json!({ "type": "contact", "name": "Bob Stone", "phones": ["+1 415 555 0177"] }),
                "[contact Bob Stone: +1 415 555 0177]",
            ),
            (
                json!({ "type": "order", "text": "asap", "items": [{ "productId": "SKU-1", "quantity": 2 }] }),
                "[order: 2 x SKU-1] asap",
            ),
            (
                json!({ "type": "sticker", "keywords": ["thanks", "bow"] }),
                "[sticker: thanks, bow]",
            ),
            (json!({ "type": "sticker" }), "[sticker]"),
            (
                json!({ "type": "reaction", "messageId": "w.1", "emoji": "👍", "removed": false }),
                "[reaction 👍 to message w.1]",
            ),
            (
                json!({ "type": "reaction", "messageId": "w.1", "removed": true }),
                "[reaction to message w.1 removed]",
            ),
            (json!({ "type": "choice", "id": "x", "title": "Cancel" }), "Cancel"),
            (
                json!({ "type": "choice", "payload": "slot", "params": { "datetime": "2026-12-01T10:00" } }),
                "[choice: slot, 2026-12-01T10:00]",
            ),
            (
                json!({ "type": "flowReply", "data": { "rating": "5", "n": 2, "flow_token": "t" } }),
                "[form: n = 2, rating = 5]",
            ),
            (
                json!({ "type": "deletion", "messageId": "w.1" }),
                "[message w.1 was deleted]",
            ),
            (json!({ "type": "referral", "headline": "Sofa" }), "[came from: Sofa]"),
            (
                json!({ "type": "unsupported", "rawType": "poll", "code": "131051" }),
                "[a message that can't be shown here: poll, 131051]",
            ),
            (
                json!({ "type": "hologram", "x": 1 }),
                "[a message that can't be shown here]",
            ),
        ] {
            assert_eq!(part(value.clone()).to_string(), words, "{value}");
        }
    }

    #[test]
    fn removes_invisible_characters_from_parts() {
        let part = part(json!({ "type": "flowReply", "data": { "a\u{0}": ["x\u{202e}y", { "b": "\u{7}" }] } }));
        let cleaned = serde_json::to_value(part.cleaned()).unwrap();
        assert_eq!(
            cleaned,
            json!({ "type": "flowReply", "data": { "a": ["xy", { "b": "" }] } })
        );
    }
}
