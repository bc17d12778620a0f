//! A message as its recipient sees it.

use butt_dial_domain::{Channel, clock::Timestamp};
use serde::Serialize;

/// A message that a vendor accepted. `from` and `to` have no `whatsapp:` prefix and no display name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SimulatedMessage {
    /// The position among the messages of all vendors; set on acceptance.
    pub sequence: u64,
    pub vendor: &'static str,
    pub channel: Channel,
    pub from: String,
    /// The sender's display name, on channels that have one.
    pub from_name: Option<String>,
    pub to: String,
    pub subject: Option<String>,
    pub body: String,
    pub html: Option<String>,
    pub media: Vec<String>,
    pub at: Timestamp,
    pub updated_at: Timestamp,
    pub carrier_id: String,
    /// The vendor's label.
    pub status: &'static str,
    /// The vendor's code, for a failure after acceptance.
    pub error_code: Option<u32>,
    /// The sender pool, for vendors that have one.
    pub sender_pool: Option<String>,
    /// E-mail only.
    pub mail: SimulatedMail,
}

/// The parts of a simulated e-mail besides its text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SimulatedMail {
    pub cc: Vec<String>,
    pub bcc: Vec<String>,
    pub reply_to: Vec<String>,
    pub headers: std::collections::BTreeMap<String, String>,
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
            mail: SimulatedMail::default(),
        }
    }
}
