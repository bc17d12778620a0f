//! The JSON form of a session.

use butt_dial_messaging::{HistoryEntry, OpenedConversation, Participant, ParticipantKind};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::views::time;

#[derive(Serialize, JsonSchema)]
pub struct ParticipantView {
    id: String,
    /// agent or human.
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EntryView {
    message_id: String,
    /// inbound or outbound.
    direction: &'static str,
    channel: String,
    contact: String,
    /// Absent when the text is not stored any more: texts are deleted once they are delivered.
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<String>,
    /// The text resembles instructions to the agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    taint: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<String>,
    timestamp: String,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionView {
    session_id: String,
    /// The same: messages of the session have this thread.
    thread_id: String,
    /// active, paused or closed.
    status: &'static str,
    /// The channel of the last message.
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<String>,
    participants: Vec<ParticipantView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    context: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    summary: Option<String>,
    created_at: String,
    updated_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    closed_at: Option<String>,
}

impl From<Participant> for ParticipantView {
    fn from(participant: Participant) -> Self {
        Self {
            id: participant.id,
            kind: match participant.kind {
                ParticipantKind::Agent => "agent",
                ParticipantKind::Human => "human",
            },
            name: participant.name,
        }
    }
}

impl From<HistoryEntry> for EntryView {
    fn from(entry: HistoryEntry) -> Self {
        Self {
            message_id: entry.message,
            direction: if entry.is_sent { "outbound" } else { "inbound" },
            channel: entry.channel,
            contact: entry.contact,
            body: entry.body,
            taint: entry.taint,
            status: entry.status,
            timestamp: time(entry.at),
        }
    }
}

impl SessionView {
    /// Returns the session, and its history.
    pub fn split(opened: OpenedConversation) -> (Self, Vec<EntryView>) {
        let history = opened.history.into_iter().map(EntryView::from).collect();
        let view = Self {
            thread_id: opened.id.clone(),
            session_id: opened.id,
            status: opened.status.as_str(),
            channel: opened.channel,
            participants: opened
                .details
                .participants
                .into_iter()
                .map(ParticipantView::from)
                .collect(),
            context: opened.details.context,
            summary: opened.details.summary,
            created_at: time(opened.created_at),
            updated_at: time(opened.updated_at),
            closed_at: opened.closed_at.map(time),
        };
        (view, history)
    }
}
