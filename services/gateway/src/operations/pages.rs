//! Pages of the agent's log, as tools show them: a cursor is text, and it is where the next page begins.

use butt_dial_comms::delivery::log::Page;
use butt_dial_domain::{Code, Failure};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::calls::TurnView;

/// Kinds of events may be named as the Events extension names them.
const PREFIX: &str = "comms.";

/// As it was handed out. Some models make a number of it.
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
            Failure::new(Code::InvalidArgument, "cursor is not one that was handed out")
                .remedy("pass the cursor of the last result, or leave it out")
        })
    }
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PageView {
    /// Oldest first.
    events: Vec<Map<String, Value>>,
    /// Pass it with the next call.
    cursor: String,
    /// There are more behind the cursor right now.
    has_more: bool,
    /// draining: this server is about to stop; call again, and another one answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'static str>,
}

impl PageView {
    /// Nothing new, for a reason.
    pub fn empty(cursor: i64, status: Option<&'static str>) -> Self {
        Self {
            events: Vec::new(),
            cursor: cursor.to_string(),
            has_more: false,
            status,
        }
    }

    /// Somebody waits on the line. The log has not moved.
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
    fn cursors_are_text_and_may_be_numbers() {
        let read = |text: &str| serde_json::from_str::<Cursor>(text).unwrap().position();
        assert_eq!(read("\"12\""), Ok(12));
        assert_eq!(read("12"), Ok(12));
        assert!(read("\"-1\"").is_err() && read("\"twelve\"").is_err());
    }

    #[test]
    fn kinds_have_two_spellings() {
        let both = vec!["comms.message.received".to_owned(), "message.status".to_owned()];
        assert_eq!(kinds(both), ["message.received", "message.status"]);
    }
}
