//! Inbound messages as data: a message of a simulated person, the vendor's webhook for it, and the kept messages.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use butt_dial_domain::Channel;
use serde::Deserialize;
use serde_json::{Map, Value};
use tokio::sync::watch;

use super::{message::SimulatedMessage, webhook::OutgoingWebhook};

/// The newest messages are kept for the page and for the vendors' APIs.
const MAX_MESSAGES: usize = 1_000;

/// An inbound message, independent of the vendor.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PersonMessage {
    pub channel: Channel,
    /// The person's address.
    pub from: String,
    /// One of our addresses.
    pub to: String,
    #[serde(default)]
    pub body: String,
    /// URLs. `voice:Hello` stands for a voice note with these words, any other text, such as `picture`, for a small image: the
    /// vendor's simulator serves both.
    #[serde(default)]
    pub media: Vec<String>,
    #[serde(default)]
    pub sender_name: Option<String>,
    /// `STOP`, `START` or `HELP`: the vendor has recognized and answered the keyword.
    #[serde(default)]
    pub opt_out_type: Option<String>,
    /// E-mail only.
    #[serde(default)]
    pub subject: Option<String>,
    /// E-mail only.
    #[serde(default)]
    pub html: Option<String>,
    /// The carrier's id of the message that this one replies to; for e-mail its Message-ID.
    #[serde(default)]
    pub in_reply_to: Option<String>,
    /// E-mail only: further recipients.
    #[serde(default)]
    pub cc: Vec<String>,
    /// E-mail only.
    #[serde(default)]
    pub reply_to: Option<String>,
    /// E-mail only: further headers.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// A reply button that the person pressed instead of writing.
    #[serde(default)]
    pub button: Option<String>,
    /// Fields of the vendor's own message, added to it or replacing them: of the form of Twilio, of the message of Meta, of the
    /// event of LINE. A null removes the field.
    #[serde(default)]
    pub fields: Map<String, Value>,
    /// Selects the vendor where several serve the channel. Default: the first one.
    #[serde(default)]
    pub vendor: Option<String>,
}

impl PersonMessage {
    pub fn new(channel: Channel, from: &str, to: &str, body: &str) -> Self {
        Self {
            channel,
            from: from.to_owned(),
            to: to.to_owned(),
            body: body.to_owned(),
            media: Vec::new(),
            sender_name: None,
            opt_out_type: None,
            subject: None,
            html: None,
            in_reply_to: None,
            cc: Vec::new(),
            reply_to: None,
            headers: BTreeMap::new(),
            button: None,
            fields: Map::new(),
            vendor: None,
        }
    }
}

/// Adds these fields to an object, or replaces or removes them.
pub fn merge(object: &mut Value, fields: &Map<String, Value>) {
    let Value::Object(object) = object else { return };
    for (name, value) in fields {
        match value {
            Value::Null => drop(object.remove(name)),
            value => drop(object.insert(name.clone(), value.clone())),
        }
    }
}

/// How a vendor sends its webhooks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct WebhookBehavior {
    /// How often each webhook is sent, even if the first was accepted. At least once.
    #[serde(default = "default_copies")]
    pub copies: u32,
    /// Whether the status webhooks of a message come in reverse order.
    #[serde(default)]
    pub reversed: bool,
}

impl Default for WebhookBehavior {
    fn default() -> Self {
        Self {
            copies: default_copies(),
            reversed: false,
        }
    }
}

fn default_copies() -> u32 {
    1
}

/// The vendor's webhook for an inbound message.
pub struct VendorWebhook {
    pub carrier_id: String,
    pub webhook: OutgoingWebhook,
}

/// The inbound messages, and how the vendors send them.
#[derive(Default)]
pub struct PersonMessages {
    state: Mutex<State>,
    changed: watch::Sender<()>,
}

#[derive(Default)]
pub struct State {
    pub webhook_base_url: Option<String>,
    pub behaviors: HashMap<&'static str, WebhookBehavior>,
    /// Oldest first.
    pub messages: VecDeque<(Arc<SimulatedMessage>, Arc<PersonMessage>)>,
}

impl PersonMessages {
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn push(&self, message: SimulatedMessage, original: PersonMessage) {
        {
            let mut state = self.state();
            if state.messages.len() == MAX_MESSAGES {
                state.messages.pop_front();
            }
            state.messages.push_back((Arc::new(message), Arc::new(original)));
        }
        self.changed.send_replace(());
    }

    /// Notifies of each new message.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }
}
