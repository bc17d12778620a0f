//! What the caller is told about a message: right after the send, when the same request comes again, or when it asks.

use std::time::Duration;

use butt_dial_domain::{Channel, Code, Failure, MessageId, Micros, clock::Timestamp, message::Status};
use butt_dial_store::Message;

use super::{admit::AdmittedMessage, record::explain};
use crate::{Comms, store_failure};

/// How long a repeated request waits for the first one that is still under way.
const PATIENCE: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(40);

#[derive(Clone, Debug)]
pub struct SendReceipt {
    pub message: MessageId,
    pub status: Status,
    pub channel: Channel,
    pub from: String,
    pub to: String,
    /// `None` as long as it has not left.
    pub carrier: Option<String>,
    pub carrier_id: Option<String>,
    pub carrier_status: Option<String>,
    pub segments: Option<i64>,
    pub cost: Option<Micros>,
    pub thread_id: Option<String>,
    pub entity_id: Option<String>,
    pub reply_msg_id: Option<String>,
    /// What a rule wants the caller to know.
    pub advice: Option<&'static str>,
    /// The channel that was asked for, where another one had to do.
    pub instead_of: Option<Channel>,
    /// When it leaves, where that is later.
    pub scheduled_at: Option<Timestamp>,
    /// An earlier request with the same key has been answered with this.
    pub replayed: bool,
}

impl SendReceipt {
    /// The message is written down; what became of it is not known yet.
    pub(super) fn pending(admitted: AdmittedMessage) -> Self {
        Self {
            message: admitted.dispatch.message,
            status: Status::Unknown,
            channel: admitted.dispatch.channel,
            from: admitted.dispatch.from.as_str().to_owned(),
            to: admitted.dispatch.to.as_str().to_owned(),
            carrier: Some(admitted.carrier.id.to_owned()),
            carrier_id: None,
            carrier_status: None,
            segments: None,
            cost: None,
            thread_id: admitted.thread_id,
            entity_id: admitted.entity_id,
            reply_msg_id: admitted.reply_msg_id,
            advice: admitted.advice,
            instead_of: None,
            scheduled_at: None,
            replayed: false,
        }
    }
}

/// The message that an idempotency key has named before, and what is asked for under that key now.
pub struct Earlier {
    pub id: MessageId,
    pub request_hash: String,
}

/// Answers a repeated request with the first one's result; waits a little for a result that is still to come.
pub async fn replay(comms: &Comms, earlier: Earlier) -> Result<SendReceipt, Failure> {
    let begun = tokio::time::Instant::now();
    loop {
        let found = comms.store.find_message(&earlier.id).await.map_err(store_failure)?;
        let message = found.ok_or_else(Failure::internal)?;
        if message.request_hash != earlier.request_hash {
            return Err(Failure::new(
                Code::IdempotencyConflict,
                "this idempotencyKey has been used for another message",
            )
            .remedy("use a new key for a new message")
            .on(message.channel));
        }
        if message.status != Status::Sending || begun.elapsed() >= PATIENCE {
            return describe(message).map(|receipt| SendReceipt {
                replayed: true,
                ..receipt
            });
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// What is known of a message; the failure it ended with, if it did.
pub fn describe(message: Message) -> Result<SendReceipt, Failure> {
    if message.status == Status::Failed {
        let code = message
            .failure
            .as_deref()
            .and_then(refusal_code)
            .unwrap_or(Code::ProviderRefused);
        return Err(explain(code)
            .on(message.channel)
            .detail("failedMessageId", message.id.as_str()));
    }
    Ok(SendReceipt {
        message: message.id,
        status: message.status,
        channel: message.channel,
        from: message.sender,
        to: message.recipient,
        carrier: Some(message.carrier),
        carrier_id: message.carrier_id,
        carrier_status: message.carrier_status,
        segments: message.segments,
        cost: message.cost.map(Micros),
        thread_id: message.thread_id,
        entity_id: message.entity_id,
        reply_msg_id: message.reply_msg_id,
        advice: None,
        instead_of: None,
        scheduled_at: None,
        replayed: false,
    })
}

pub fn refusal_code(text: &str) -> Option<Code> {
    use butt_dial_domain::ports::carrier::RefusalClass as Class;
    [
        Class::Recipient,
        Class::OptedOut,
        Class::Configuration,
        Class::Content,
        Class::WindowClosed,
        Class::Throttled,
        Class::Unreachable,
    ]
    .into_iter()
    .map(super::record::code)
    .find(|code| code.as_str() == text)
}
