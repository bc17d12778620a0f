//! Pages of the agent's log as operations return them. A cursor is text and marks the start of the next page.

use butt_dial_domain::{Code, Failure};
use butt_dial_messaging::delivery::Page;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::calls::TurnView;

/// Callers may name kinds of events with the prefix of the Events extension.
const PREFIX: &str = "comms.";

/// A cursor of an earlier result. Some models convert it to a number.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Cursor {
    Text(String),
    Number(i64),
}

impl Cursor {
    pub fn position(&self) -> Result<i64, Failure> {
        let position = match self {
            Self::Text(text) => text.trim().parse().ok(),
            Self::Number(number) => Some(*number),
        };
        position.filter(|position| *position >= 0).ok_or_else(|| {
            Failure::new(Code::InvalidArgument, "the cursor is invalid")
                .hint("pass the cursor of the last result, or omit it")
        })
    }
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PageView {
    /// Oldest first.
    events: Vec<Map<String, Value>>,
    /// Pass it to the next call.
    cursor: String,
    /// More events follow the cursor.
    has_more: bool,
    /// draining: this server is stopping; call again to reach another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'static str>,
}

impl PageView {
    /// Creates a page without events.
    pub fn empty(cursor: i64, status: Option<&'static str>) -> Self {
        Self {
            events: Vec::new(),
            cursor: cursor.to_string(),
            has_more: false,
            status,
        }
    }

    /// Creates a page with an event of a call. The cursor stays: such events are not in the log.
    pub fn of_call(cursor: i64, turn: TurnView) -> Self {
        Self {
            events: vec![turn.into_event()],
            ..Self::empty(cursor, None)
        }
    }
}

impl From<Page> for PageView {
    fn from(page: Page) -> Self {
        Self {
            events: page.events,
            cursor: page.cursor.to_string(),
            has_more: page.has_more,
            status: None,
        }
    }
}

/// Returns the kinds without the prefix.
pub fn kinds(types: Vec<String>) -> Vec<String> {
    types
        .into_iter()
        .map(|kind| kind.strip_prefix(PREFIX).map(str::to_owned).unwrap_or(kind))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_cursor_as_text_or_number() {
        let parse = |text: &str| serde_json::from_str::<Cursor>(text).unwrap().position();
        assert_eq!(parse("\"12\""), Ok(12));
        assert_eq!(parse("12"), Ok(12));
        assert!(parse("\"-1\"").is_err() && parse("\"twelve\"").is_err());
    }

    #[test]
    fn accepts_kinds_with_and_without_prefix() {
        let both = vec!["comms.message.received".to_owned(), "message.status".to_owned()];
        assert_eq!(kinds(both), ["message.received", "message.status"]);
    }
}
