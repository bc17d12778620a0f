//! The send receipt: what the caller learns about a message, right after the send or later.

use butt_dial_domain::{
    Channel, Failure, MessageId, Micros,
    clock::Timestamp,
    message::{Status, ThreadRef},
};
use butt_dial_store::Message;

use super::refusals::{explain, stored_error_code};

#[derive(Clone, Debug)]
pub struct SendReceipt {
    pub message: MessageId,
    pub status: Status,
    pub channel: Channel,
    pub from: String,
    pub to: String,
    /// `None` until the message has left.
    pub carrier: Option<String>,
    pub carrier_id: Option<String>,
    pub carrier_status: Option<String>,
    pub segments: Option<i64>,
    pub cost: Option<Micros>,
    pub thread: ThreadRef,
    /// The advice of compliance rules.
    pub advice: Vec<String>,
    /// The advice about a sender that carriers may block.
    pub sender_advice: Option<&'static str>,
    /// The requested channel, if a fallback channel was used.
    pub instead_of: Option<Channel>,
    /// The time at which a scheduled message is sent.
    pub scheduled_at: Option<Timestamp>,
    /// All messages of a text that was sent in parts, in order. Empty: it is one message.
    pub parts: Vec<PartReceipt>,
    /// This is the result of an earlier request with the same idempotency key.
    pub replayed: bool,
}

/// One message of a text that was sent in parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartReceipt {
    pub message: MessageId,
    pub status: Status,
}

impl PartReceipt {
    pub(super) fn of(receipt: &SendReceipt) -> Self {
        Self {
            message: receipt.message.clone(),
            status: receipt.status,
        }
    }
}

/// Returns the receipt of a stored message, or the error that it failed with.
pub fn describe(message: Message) -> Result<SendReceipt, Failure> {
    if message.status == Status::Failed {
        return Err(explain(stored_error_code(message.failure.as_deref()))
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
        thread: message.thread,
        advice: Vec::new(),
        sender_advice: None,
        instead_of: None,
        scheduled_at: None,
        parts: Vec::new(),
        replayed: false,
    })
}
