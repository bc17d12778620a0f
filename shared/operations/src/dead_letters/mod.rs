//! Dead letters, for the operator: webhook events that could not be applied.

pub mod drop_dead_letter;
pub mod get_dead_letter;
pub mod list_dead_letters;
pub mod replay_dead_letter;

use butt_dial_messaging::inbound::DeadLetterView;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::views::time;

/// A dead letter without message text and addresses.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Item {
    id: String,
    /// unreadable, or data: the database refuses the event's data.
    reason: &'static str,
    created_at: String,
    /// A dispatcher appends it to the stream again within seconds.
    replay_requested: bool,
    size_bytes: usize,
    /// Absent if the entry is no event.
    #[serde(skip_serializing_if = "Option::is_none")]
    event_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    carrier: Option<String>,
    /// message, receipt or call.
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    org_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    agent_id: Option<String>,
}

impl From<DeadLetterView> for Item {
    fn from(letter: DeadLetterView) -> Self {
        let event = letter.event;
        Self {
            id: letter.id,
            reason: letter.reason.into(),
            created_at: time(letter.created_at),
            replay_requested: letter.is_replay_requested,
            size_bytes: letter.size,
            kind: event.as_ref().map(|event| event.kind),
            carrier: event.as_ref().map(|event| event.carrier.clone()),
            org_id: event.as_ref().and_then(|event| event.org.clone()),
            agent_id: event.as_ref().and_then(|event| event.agent.clone()),
            event_id: event.map(|event| event.id),
        }
    }
}

/// The dead letter of a route.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Named {
    dead_letter_id: String,
}

#[derive(Serialize, JsonSchema)]
pub struct Done {
    success: bool,
}
