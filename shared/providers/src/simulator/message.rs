//! A message as the simulated people see it.

use butt_dial_domain::{Channel, clock::Timestamp};
use serde::Serialize;

/// Something that a vendor took. `from` and `to` are bare: without `whatsapp:` and without a display name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SimulatedMessage {
    /// One stream over all vendors; set when the simulator takes the message.
    pub sequence: u64,
    pub vendor: &'static str,
    pub channel: Channel,
    pub from: String,
    /// What stands beside the sender's address, where the channel has such a thing.
    pub from_name: Option<String>,
    pub to: String,
    pub subject: Option<String>,
    pub body: String,
    pub html: Option<String>,
    pub media: Vec<String>,
    pub at: Timestamp,
    pub updated_at: Timestamp,
    pub carrier_id: String,
    /// The vendor's own word.
    pub status: &'static str,
    /// The vendor's code, where the message failed after it was taken.
    pub error_code: Option<u32>,
    /// The pool of senders that it went through, where the vendor has such a thing.
    pub sender_pool: Option<String>,
}

impl SimulatedMessage {
    pub fn new(vendor: &'static str, channel: Channel, carrier_id: String, at: Timestamp) -> Self {
        Self {
            sequence: 0,
            vendor,
            channel,
            from: String::new(),
            from_name: None,
            to: String::new(),
            subject: None,
            body: String::new(),
            html: None,
            media: Vec::new(),
            at,
            updated_at: at,
            carrier_id,
            status: "queued",
            error_code: None,
            sender_pool: None,
        }
    }
}
