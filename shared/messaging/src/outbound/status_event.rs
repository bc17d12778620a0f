//! The event with the outcome of a message after its send was answered `pending`.

use butt_dial_domain::{AgentId, Channel, Code, MessageId, message::Status};
use butt_dial_store::{EventReason, NewEvent, SendResult, SettledSend, StoreError};
use serde_json::{Value, json};

use super::Outbound;
use crate::delivery::MESSAGE_STATUS;

/// The hint of an unconfirmed message.
pub const UNCONFIRMED_HINT: &str = "it may or may not have arrived; send it again with a new idempotencyKey only if a duplicate does less harm than a gap";

/// Persists an outcome and appends its event to the agent's log, both or neither. The event is left out when the agent has been
/// told of a later status already. Returns whether the message was not settled before.
pub(super) async fn settle_and_tell(
    outbound: &Outbound,
    agent: &AgentId,
    channel: Channel,
    settled: SettledSend,
) -> Result<bool, StoreError> {
    let Some(event) = StatusEvent::new(outbound, &settled.id, channel, &settled.result) else {
        return outbound.store.settle_send(settled).await;
    };
    outbound
        .store
        .settle_and_tell(settled, &event.row(agent, channel))
        .await
}

/// Appends the event of a message that is settled with this result, unless the agent has been told of a later status. The
/// event names `id`; `message` is the one that left.
pub(super) async fn tell(
    outbound: &Outbound,
    agent: &AgentId,
    (id, message): (&MessageId, &MessageId),
    channel: Channel,
    result: &SendResult,
) -> Result<(), StoreError> {
    let Some(event) = StatusEvent::new(outbound, id, channel, result) else {
        return Ok(());
    };
    let (row, now) = (event.row(agent, channel), outbound.clock.now());
    outbound.store.tell(message, result.status(), &row, now).await
}

/// Appends the event of a scheduled message that was not sent.
pub(super) async fn tell_unsent(
    outbound: &Outbound,
    agent: &AgentId,
    id: &MessageId,
    channel: Channel,
    failure: Code,
) -> Result<(), StoreError> {
    let result = SendResult::Failed {
        failure: failure.as_str(),
        frees_key: false,
    };
    let Some(event) = StatusEvent::new(outbound, id, channel, &result) else {
        return Ok(());
    };
    let now = outbound.clock.now();
    outbound
        .store
        .append_event(&event.row(agent, channel), now)
        .await
        .map(drop)
}

struct StatusEvent {
    id: String,
    data: Value,
}

impl StatusEvent {
    /// `None`: the outcome is not known yet.
    fn new(outbound: &Outbound, message: &MessageId, channel: Channel, result: &SendResult) -> Option<Self> {
        let (status, failure) = match result {
            SendResult::Accepted { .. } => (Status::Accepted, None),
            SendResult::Failed { failure, .. } => (Status::Failed, Some(*failure)),
            SendResult::Unconfirmed => (Status::Unconfirmed, None),
            SendResult::Unknown { .. } => return None,
        };
        let mut data = json!({
            "type": "status", "messageId": message, "status": status.as_str(), "channel": channel,
            "timestamp": outbound.clock.now().to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
        });
        if let Some(failure) = failure {
            data["code"] = json!(failure);
        }
        if status == Status::Unconfirmed {
            data["remediation"] = json!(UNCONFIRMED_HINT);
        }
        Some(Self {
            id: format!("evt_{message}_{}", status.as_str()),
            data,
        })
    }

    fn row<'a>(&'a self, agent: &'a AgentId, channel: Channel) -> NewEvent<'a> {
        NewEvent {
            agent,
            id: &self.id,
            kind: MESSAGE_STATUS,
            channel: Some(channel),
            reason: EventReason::AgentOffline,
            data: &self.data,
        }
    }
}
