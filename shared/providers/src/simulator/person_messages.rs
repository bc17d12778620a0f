//! Inbound messages from simulated people. Each becomes a signed webhook of the vendor that serves the channel, sent
//! over real HTTP.

use std::sync::Arc;

use butt_dial_domain::{Address, Channel};
use serde::Serialize;
use tokio::sync::watch;

use super::{
    message::SimulatedMessage,
    person_message::{PersonMessage, VendorWebhook, WebhookBehavior},
    state::SimulatorState,
    webhook::WebhookOutcome,
};

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

    /// Returns how the vendor sends its webhooks.
    pub fn webhook_behavior(&self, vendor: &str) -> WebhookBehavior {
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
        self.person_message_log().changes()
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
        self.person_message_log().push(message, text.clone());
    }
}

/// Normalizes the addresses. Any sender is possible, as in reality.
fn normalized(mut text: PersonMessage) -> Result<PersonMessage, String> {
    if text.from.trim().is_empty() {
        return Err("`from`: a sender is required".to_owned());
    }
    text.from = Address::known(text.channel, &text.from).as_str().to_owned();
    let to = Address::parse_sender(text.channel, &text.to).map_err(|error| format!("`to`: {error}"))?;
    text.to = to.as_str().to_owned();
    Ok(text)
}
