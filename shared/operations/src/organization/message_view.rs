//! The wire format of a message in lists of administrators.

use butt_dial_domain::{Channel, Micros, inbound::DeliveryStatus};
use butt_dial_messaging::{inbound::status_label, outbound::Message};
use schemars::JsonSchema;
use serde::Serialize;

use crate::time;

/// A message of an agent.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MessageView {
    message_id: String,
    agent_id: String,
    /// pending, accepted, sent, delivered, read, failed or unconfirmed.
    status: &'static str,
    channel: Channel,
    from: String,
    to: String,
    provider: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    provider_message_id: Option<String>,
    /// In the carrier's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    provider_status: Option<String>,
    /// The carrier's error code.
    #[serde(skip_serializing_if = "Option::is_none")]
    provider_code: Option<String>,
    /// The code of the failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code_detail: Option<String>,
    /// The verdict of the compliance stage: allow or advise.
    verdict: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    segments: Option<i64>,
    /// US dollars, reserved before the send.
    estimate: f64,
    /// US dollars; absent until the price is settled.
    #[serde(skip_serializing_if = "Option::is_none")]
    cost: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thread_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    task_id: Option<String>,
    attempts: i64,
    created_at: String,
    updated_at: String,
}

impl From<Message> for MessageView {
    fn from(message: Message) -> Self {
        let stage = message.stage.as_deref().and_then(DeliveryStatus::parse);
        Self {
            status: stage
                .and_then(status_label)
                .unwrap_or_else(|| message.status.for_agent()),
            message_id: message.id.into_string(),
            agent_id: message.agent.host_id().to_owned(),
            channel: message.channel,
            from: message.sender,
            to: message.recipient,
            provider: message.carrier,
            provider_message_id: message.carrier_id,
            provider_status: message.stage.or(message.carrier_status),
            provider_code: message.stage_error,
            code: message.failure,
            code_detail: message.failure_detail,
            verdict: message.verdict,
            rule: message.rule,
            segments: message.segments,
            estimate: Micros(message.estimate).as_units(),
            cost: message.cost.map(|micros| Micros(micros).as_units()),
            thread_id: message.thread.thread_id,
            task_id: message.thread.task_id,
            attempts: message.attempts,
            created_at: time(message.created_at),
            updated_at: time(message.updated_at),
        }
    }
}
