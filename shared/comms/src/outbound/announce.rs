//! Tells an agent what became of a message that it was answered `pending` for: an event in its durable log.

use butt_dial_domain::{AgentId, Channel, MessageId, message::Status};
use butt_dial_store::{NewEvent, SendResult, StoreError};
use serde_json::json;

use crate::Comms;

/// What an agent has to know before it sends an unconfirmed message again.
pub const UNCONFIRMED: &str = "it may or may not have arrived; send it again with a new idempotencyKey only if a duplicate does less harm than a gap";

/// Written before the outcome itself is: should we die in between, the outcome is found again and this event is known by
/// its id, whereas an outcome without its event would never be looked at again.
pub async fn announce(
    comms: &Comms,
    agent: &AgentId,
    message: &MessageId,
    channel: Channel,
    result: &SendResult,
) -> Result<(), StoreError> {
    let (status, failure) = match result {
        SendResult::Accepted { .. } => (Status::Accepted, None),
        SendResult::Failed { failure, .. } => (Status::Failed, Some(*failure)),
        SendResult::Unconfirmed => (Status::Unconfirmed, None),
        SendResult::Unknown { .. } => return Ok(()),
    };
    let now = comms.clock.now();
    let mut data = json!({
        "type": "status", "messageId": message, "status": status.as_str(), "channel": channel,
        "timestamp": now.to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
    });
    if let Some(failure) = failure {
        data["code"] = json!(failure);
    }
    if status == Status::Unconfirmed {
        data["remediation"] = json!(UNCONFIRMED);
    }
    let id = format!("evt_{message}_{}", status.as_str());
    let event = NewEvent {
        agent,
        id: &id,
        kind: "message.status",
        channel: Some(channel),
        reason: "agent_offline",
        data: &data,
    };
    comms.store.append_event(&event, now).await.map(drop)
}
