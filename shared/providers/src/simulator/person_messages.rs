//! Inbound messages from simulated people. Each becomes a signed webhook of the vendor that serves the channel, sent
//! over real HTTP.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use butt_dial_domain::{Address, Channel};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::{
    message::SimulatedMessage,
    state::SimulatorState,
    webhook_client::{OutgoingWebhook, WebhookOutcome},
};

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
    /// URLs. Any other text, such as `picture`, stands for a small image that the vendor's simulator serves.
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
    /// A reply button that the person pressed instead of writing.
    #[serde(default)]
    pub button: Option<String>,
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
            button: None,
            vendor: None,
        }
    }
}

/// The result of an inbound message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PersonMessageResult {
    pub vendor: &'static str,
    pub carrier_id: String,
    /// The status of the last webhook response; `None` without a response.
    pub status: Option<u16>,
    /// How often the vendor called the webhook, copies included.
    pub calls: u32,
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

#[derive(Default)]
pub struct PersonMessages {
    state: Mutex<State>,
    changed: watch::Sender<()>,
}

#[derive(Default)]
struct State {
    webhook_base_url: Option<String>,
    behaviors: HashMap<&'static str, WebhookBehavior>,
    messages: VecDeque<(Arc<SimulatedMessage>, Arc<PersonMessage>)>,
}

impl PersonMessages {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SimulatorState {
    /// Sets the base URL of the webhooks, which are at `<base_url>/webhooks/<vendor>/<channel>`.
    pub fn set_webhook_base_url(&self, base_url: &str) {
        let base_url = base_url.trim().trim_end_matches('/').to_owned();
        self.person_message_log().state().webhook_base_url = Some(base_url);
    }

    /// Returns the URL of the vendor's webhook for this channel; `None` before `set_webhook_base_url`.
    pub fn webhook_url(&self, vendor: &str, channel: Channel) -> Option<String> {
        let state = self.person_message_log().state();
        let base = state.webhook_base_url.as_ref()?;
        Some(format!("{base}/webhooks/{vendor}/{channel}"))
    }

    /// Sets how the vendor sends its webhooks.
    pub fn set_webhook_behavior(&self, vendor: &'static str, behavior: WebhookBehavior) {
        self.person_message_log().state().behaviors.insert(vendor, behavior);
    }

    pub(crate) fn webhook_behavior(&self, vendor: &str) -> WebhookBehavior {
        self.person_message_log()
            .state()
            .behaviors
            .get(vendor)
            .copied()
            .unwrap_or_default()
    }

    /// Sends a message as a person. Returns after the response to the vendor's last webhook call. An error describes
    /// what is wrong with the request; no webhook was sent then.
    pub async fn send_as_person(&self, text: PersonMessage) -> Result<PersonMessageResult, String> {
        let serves = |vendor: &&&crate::Vendor| {
            let manifest = &vendor.manifest;
            manifest.channels.contains(&text.channel)
                && text.vendor.as_ref().is_none_or(|expected| expected == manifest.id)
        };
        let vendor = crate::VENDORS
            .iter()
            .find(serves)
            .ok_or_else(|| format!("no matching vendor serves {}", text.channel))?;
        let id = vendor.manifest.id;
        let inbound = vendor
            .inbound
            .as_ref()
            .ok_or_else(|| format!("{id} has no inbound messages"))?;
        let url = self
            .webhook_url(id, text.channel)
            .ok_or("the webhook base URL is not set: POST /call-back-to first")?;
        let text = normalized(text)?;
        let VendorWebhook { carrier_id, webhook } = (inbound.webhook)(self, &text, &url)?;
        if text.channel == Channel::Whatsapp {
            self.open_window(&text.from);
        }
        self.note(id, &carrier_id, &text);
        let (mut outcome, mut calls) = (WebhookOutcome::default(), 0);
        for _ in 0..self.webhook_behavior(id).copies.max(1) {
            outcome = self.post(&webhook).await;
            calls += outcome.attempts;
        }
        Ok(PersonMessageResult {
            vendor: id,
            carrier_id,
            status: outcome.status.map(|status| status.as_u16()),
            calls,
        })
    }

    /// Returns the newest thousand inbound messages, oldest first.
    pub fn person_messages(&self) -> Vec<Arc<SimulatedMessage>> {
        let state = self.person_message_log().state();
        state.messages.iter().map(|(message, _)| message.clone()).collect()
    }

    /// Returns an inbound message, for vendors with an API that serves it later.
    pub(crate) fn find_person_message(
        &self,
        vendor: &str,
        carrier_id: &str,
    ) -> Option<(Arc<SimulatedMessage>, Arc<PersonMessage>)> {
        let state = self.person_message_log().state();
        let mut newest_first = state.messages.iter().rev();
        newest_first
            .find(|(message, _)| message.vendor == vendor && message.carrier_id == carrier_id)
            .cloned()
    }

    /// Notifies of each new inbound message.
    pub(crate) fn person_message_changes(&self) -> watch::Receiver<()> {
        self.person_message_log().changed.subscribe()
    }

    fn note(&self, vendor: &'static str, carrier_id: &str, text: &PersonMessage) {
        let mut message = SimulatedMessage::new(vendor, text.channel, carrier_id.to_owned(), self.now());
        message.sequence = self.next_sequence();
        message.from.clone_from(&text.from);
        message.from_name.clone_from(&text.sender_name);
        message.to.clone_from(&text.to);
        message.subject.clone_from(&text.subject);
        message.body.clone_from(text.button.as_ref().unwrap_or(&text.body));
        message.html.clone_from(&text.html);
        message.media.clone_from(&text.media);
        message.status = "written";
        {
            let mut state = self.person_message_log().state();
            if state.messages.len() == MAX_MESSAGES {
                state.messages.pop_front();
            }
            state.messages.push_back((Arc::new(message), Arc::new(text.clone())));
        }
        self.person_message_log().changed.send_replace(());
    }
}

/// Normalizes the addresses.
fn normalized(mut text: PersonMessage) -> Result<PersonMessage, String> {
    for (name, address) in [("from", &mut text.from), ("to", &mut text.to)] {
        let parsed = Address::parse(text.channel, address).map_err(|error| format!("`{name}`: {error}"))?;
        *address = parsed.as_str().to_owned();
    }
    Ok(text)
}
