//! Webhooks about a call: their common parameters, and their delivery with the vendor's webhook behavior.

use super::{super::signed, parameters};
use crate::{
    simulator::{FORM, OutgoingWebhook, SimulatorState, calls::Call},
    twilio::simulator::ID,
};

/// Builds a request about the call.
pub fn form(simulator: &SimulatorState, call: &Call, url: &str, more: &[(&str, String)]) -> OutgoingWebhook {
    let mut fields = parameters(simulator, call);
    // Specific fields replace the common ones.
    fields.retain(|(name, _)| more.iter().all(|(other, _)| other != name));
    fields.extend(more.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
    signed(simulator, url, &fields)
}

/// Sends a webhook in the background.
pub fn spawn(simulator: &SimulatorState, webhook: OutgoingWebhook) {
    debug_assert_eq!(webhook.content_type, FORM);
    let copies = copies(simulator);
    let sender = simulator.clone();
    simulator.spawn(async move {
        for _ in 0..copies {
            sender.post(&webhook).await;
        }
    });
}

pub async fn post(simulator: &SimulatorState, webhook: &OutgoingWebhook) {
    for _ in 0..copies(simulator) {
        simulator.post(webhook).await;
    }
}

fn copies(simulator: &SimulatorState) -> u32 {
    simulator.webhook_behavior(ID).copies.max(1)
}
