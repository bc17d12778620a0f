//! Messages that are more than text and files, and actions in a chat that are no messages. Only some carriers have them.

use serde::{Deserialize, Serialize};

use crate::{Address, Channel, parts::Card};

/// The part of a message besides its text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Rich {
    /// Answers to tap. The text is the body.
    Buttons { buttons: Vec<Button> },
    /// A place. Coordinates are decimal degrees.
    Location {
        latitude: String,
        longitude: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
    },
    /// A contact card.
    Contact { vcard: String },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Button {
    pub id: String,
    pub label: String,
}

impl Rich {
    /// Returns the texts that a person sees, besides the body.
    pub fn texts(&self) -> Vec<&str> {
        match self {
            Self::Buttons { buttons } => buttons.iter().map(|button| button.label.as_str()).collect(),
            Self::Location { name, .. } => name.iter().map(String::as_str).collect(),
            Self::Contact { vcard } => vec![vcard],
        }
    }
}

/// An action in a chat that is no message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChatAction {
    /// Shows that an answer is being written.
    Typing,
    MarkRead,
    /// An empty emoji removes the reaction.
    React {
        emoji: String,
    },
}

/// A request for an action in a chat.
#[derive(Clone, Debug)]
pub struct ChatRequest {
    pub channel: Channel,
    /// Our sender.
    pub from: Address,
    /// The person, or the group.
    pub to: Address,
    /// The carrier's id of the message that the action is about.
    pub message: String,
    pub action: ChatAction,
}

/// A member of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupMember {
    pub address: Option<Address>,
    pub user_id: Option<String>,
    pub username: Option<String>,
}

/// Reads the fields of a contact card (RFC 6350) that carriers transport. `None`: it is no card.
pub fn parse_vcard(text: &str) -> Option<Card> {
    // A line that begins with a space continues the one before (RFC 6350, 3.2).
    let unfolded = text.replace("\r\n", "\n").replace("\n ", "").replace("\n\t", "");
    let mut lines = unfolded.lines().map(str::trim).filter(|line| !line.is_empty());
    if !lines.next()?.eq_ignore_ascii_case("BEGIN:VCARD") {
        return None;
    }
    let mut card = Card::default();
    let mut structured = None;
    for line in lines {
        let Some((name, value)) = line.split_once(':') else {
            continue;
        };
        let name = name.split(';').next().unwrap_or_default();
        // Groups: `item1.TEL`.
        let name = name.rsplit('.').next().unwrap_or_default().to_ascii_uppercase();
        let value = value.replace("\\,", ",").replace("\\;", ";");
        let value = value.trim().to_owned();
        match name.as_str() {
            "FN" => card.name = Some(value),
            "N" => structured = Some(value),
            "ORG" => card.organization = value.split(';').next().map(str::to_owned),
            "TEL" => card.phones.push(value.trim_start_matches("tel:").to_owned()),
            "EMAIL" => card.emails.push(value),
            _ => {}
        }
    }
    let from_parts = structured.map(|name| {
        let mut parts = name.split(';');
        let family = parts.next().unwrap_or_default();
        let given = parts.next().unwrap_or_default();
        format!("{given} {family}").trim().to_owned()
    });
    card.name = card.name.or(from_parts).filter(|name| !name.is_empty());
    (card.name.is_some() || !card.phones.is_empty()).then_some(card)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_card_with_folds_groups_and_parameters() {
        let text = "BEGIN:VCARD\r\nVERSION:3.0\r\nN:Lee;Ann\r\nitem1.TEL;TYPE=CELL:+1 415\r\n  5550123\r\n\
            EMAIL:ann@example.com\r\nORG:Acme\\, Inc;Sales\r\nEND:VCARD";
        let card = parse_vcard(text).unwrap();
        assert_eq!(card.name.as_deref(), Some("Ann Lee"));
        assert_eq!(card.phones, ["+1 415 5550123"]);
        assert_eq!(card.emails, ["ann@example.com"]);
        assert_eq!(card.organization.as_deref(), Some("Acme, Inc"));
    }

    #[test]
    fn text_that_is_no_card_has_no_fields() {
        for text in ["", "Ann", "BEGIN:VCARD\nEND:VCARD", "TEL:+14155550123"] {
            assert!(parse_vcard(text).is_none(), "{text}");
        }
    }

    #[test]
    fn keeps_stored_form_of_rich_messages() {
        let location = Rich::Location {
            latitude: "1.5".into(),
            longitude: "-2".into(),
            name: None,
        };
        let stored = serde_json::json!({ "kind": "location", "latitude": "1.5", "longitude": "-2" });
        assert_eq!(serde_json::to_value(&location).unwrap(), stored);
        assert_eq!(serde_json::from_value::<Rich>(stored).unwrap(), location);
    }
}
