//! The event with the outcome of a message after its send was answered `pending`.

use butt_dial_domain::{AgentId, Channel, MessageId, message::Status};
use butt_dial_store::{EventReason, NewEvent, SendResult, StoreError};
use serde_json::json;

use super::Outbound;
use crate::delivery::MESSAGE_STATUS;

/// The hint of an unconfirmed message.
pub const UNCONFIRMED_HINT: &str = "it may or may not have arrived; send it again with a new idempotencyKey only if a duplicate does less harm than a gap";

/// Appends the event to the agent's log. It is written before the outcome itself: after a crash in between, the outcome is
/// found again and the event is recognized by its id. An outcome without its event would never be looked at again.
pub(super) async fn append_status_event(
    outbound: &Outbound,
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
    let now = outbound.clock.now();
    let mut data = json!({
        "type": "status", "messageId": message, "status": status.as_str(), "channel": channel,
        "timestamp": now.to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
    });
    if let Some(failure) = failure {
        data["code"] = json!(failure);
    }
    if status == Status::Unconfirmed {
        data["remediation"] = json!(UNCONFIRMED_HINT);
    }
    let id = format!("evt_{message}_{}", status.as_str());
    let event = NewEvent {
        agent,
        id: &id,
        kind: MESSAGE_STATUS,
        channel: Some(channel),
        reason: EventReason::AgentOffline,
        data: &data,
    };
    outbound.store.append_event(&event, now).await.map(drop)
}
