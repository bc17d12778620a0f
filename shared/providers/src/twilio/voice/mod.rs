//! Calls at Twilio: scripts as TwiML, conversations over ConversationRelay's socket, the Calls resource, and
//! callbacks. The messaging port creates calls; this module does the rest.

mod control;
pub mod create_call;
pub mod relay;
mod report;
pub mod twiml;
mod values;

use async_trait::async_trait;
use axum::http::HeaderMap;
use butt_dial_domain::{
    call::CallReport,
    ports::{
        voice::{
            CarrierCall, ControlError, IncomingFrame, MalformedFrame, OutgoingFrame, RecordingChange, Rendered, Script,
            Voice,
        },
        webhook::{UnreadableRequest, VerificationError, WebhookRequest},
    },
};

use super::{
    Client,
    webhook::{self, Payload},
};
use crate::Secret;

pub struct Calls {
    client: Client,
    /// All tokens that can sign a socket handshake: the account's, two during a rotation, and those of subaccounts.
    tokens: Vec<Secret>,
}

/// Connection overrides: Twilio retries callbacks that did not reach us or that we could not store. They are in the
/// fragment, which is neither sent nor signed (Twilio, Webhooks connection overrides).
const RETRY_OVERRIDES: &str = "#rc=3&rp=ct,rt,5xx";

/// Adds the connection overrides to a callback URL.
fn callback(url: &str) -> String {
    format!("{url}{RETRY_OVERRIDES}")
}

impl Calls {
    pub fn new(client: Client, tokens: Vec<Secret>) -> Self {
        Self { client, tokens }
    }
}

#[async_trait]
impl Voice for Calls {
    fn render(&self, script: &Script) -> Rendered {
        twiml::render(script)
    }

    fn parse_report(&self, request: &WebhookRequest) -> Result<CallReport, UnreadableRequest> {
        report::read(request, self.client.rates())
    }

    fn other_account(&self, request: &WebhookRequest) -> Option<String> {
        report::account(request).filter(|account| account != self.client.account())
    }

    /// Verifies the signature over the TwiML's URL with `wss://`; it covers no other data (Twilio, ConversationRelay
    /// noun; Webhooks security).
    fn verify_socket(&self, url: &str, headers: &HeaderMap) -> Result<(), VerificationError> {
        let signature = headers.get(webhook::HEADER).ok_or(VerificationError::Unsigned)?;
        let signature = signature.to_str().map_err(|_| VerificationError::WrongSignature)?;
        if webhook::verify(&self.tokens, url, Payload::Form(&[]), signature) {
            Ok(())
        } else {
            Err(VerificationError::WrongSignature)
        }
    }

    fn parse_frame(&self, text: &str) -> Result<IncomingFrame, MalformedFrame> {
        relay::parse_frame(text)
    }

    fn encode_frame(&self, frame: &OutgoingFrame) -> String {
        relay::encode_frame(frame)
    }

    async fn redirect(&self, carrier_id: &str, script: &Script) -> Result<(), ControlError> {
        control::redirect(&self.client, carrier_id, script).await
    }

    async fn hang_up(&self, carrier_id: &str) -> Result<(), ControlError> {
        control::hang_up(&self.client, carrier_id).await
    }

    async fn change_recording(&self, carrier_id: &str, change: RecordingChange) -> Result<(), ControlError> {
        control::change_recording(&self.client, carrier_id, change).await
    }

    async fn fetch_call(&self, carrier_id: &str) -> Result<CarrierCall, ControlError> {
        control::fetch_call(&self.client, carrier_id).await
    }
}

#[cfg(test)]
mod tests;
