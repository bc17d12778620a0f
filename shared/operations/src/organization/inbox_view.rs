//! The wire format of the inbox.

use butt_dial_messaging::InboxEntry;
use schemars::JsonSchema;
use serde::Serialize;

use crate::time;

/// A message or a call of a conversation with a person.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InboxEntryView {
    /// message or call.
    kind: &'static str,
    /// The message, the event of a message from the person, or the call.
    id: String,
    agent_id: String,
    channel: String,
    /// inbound or outbound.
    direction: &'static str,
    /// The address of the person.
    address: String,
    /// Your address.
    own_address: String,
    /// Outbound: pending, accepted, sent, delivered, read, failed or unconfirmed. Inbound: delivered to the agent, or waiting.
    /// Of a call: that of the call, such as completed or no-answer.
    status: String,
    /// Inbound: when the agent got it.
    #[serde(skip_serializing_if = "Option::is_none")]
    told_at: Option<String>,
    /// Inbound: failed requests to the callback.
    #[serde(skip_serializing_if = "is_zero")]
    failed_callbacks: i64,
    /// Outbound: the code of the failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    /// Absent: not kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    /// The number of attachments, where the text is kept.
    #[serde(skip_serializing_if = "is_empty")]
    attachments: usize,
    /// Calls, when they have ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_seconds: Option<i64>,
    /// Calls: who spoke for you, such as agent or machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    handled_by: Option<String>,
    /// Calls: why they ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    end_reason: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_zero(number: &i64) -> bool {
    *number == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_empty(number: &usize) -> bool {
    *number == 0
}

impl From<InboxEntry> for InboxEntryView {
    fn from(entry: InboxEntry) -> Self {
        let kind = if entry.call.is_some() { "call" } else { "message" };
        let (duration_seconds, handled_by, end_reason) = entry.call.map_or((None, None, None), |call| {
            (call.duration_seconds, call.handled_by, call.end_reason)
        });
        Self {
            kind,
            duration_seconds,
            handled_by,
            end_reason,
            id: entry.id,
            agent_id: entry.agent.host_id().to_owned(),
            channel: entry.channel,
            direction: if entry.is_inbound { "inbound" } else { "outbound" },
            address: entry.address,
            own_address: entry.ours,
            status: entry.status,
            told_at: entry.told_at.map(time),
            failed_callbacks: entry.tries,
            code: entry.failure,
            at: time(entry.at),
            subject: entry.subject,
            text: entry.text,
            attachments: entry.attachments,
        }
    }
}
