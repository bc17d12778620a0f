//! Calls at Twilio: scripts as TwiML, conversations over ConversationRelay's socket, the Calls resource, and what the
//! callbacks tell. Placing a call is a send of the messaging port's; everything else about it is here.

mod control;
pub mod placing;
pub mod relay;
mod report;
pub mod twiml;

use async_trait::async_trait;
use axum::http::HeaderMap;
use butt_dial_domain::{
    call::CallReport,
    ports::{
        voice::{ControlError, FromCaller, ListedCall, Malformed, Rendered, Script, ToCaller, Voice},
        webhook::{Distrust, Unreadable, WebhookRequest},
    },
};

use super::{
    Client,
    webhook::{self, Payload},
};
use crate::Secret;

pub struct Calls {
    client: Client,
    /// Whatever may sign a socket's handshake: the account's tokens, two of them during a rotation, and its subaccounts'.
    tokens: Vec<Secret>,
}

/// Connection overrides: a callback of a call that did not reach us, or that we could not write down, comes again. They
/// stand in the fragment, which is neither sent nor signed (Twilio, Webhooks connection overrides).
const COMES_AGAIN: &str = "#rc=3&rp=ct,rt,5xx";

/// The address of a callback as Twilio is to be told it.
fn callback(url: &str) -> String {
    format!("{url}{COMES_AGAIN}")
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

    fn read_report(&self, request: &WebhookRequest) -> Result<CallReport, Unreadable> {
        report::read(request)
    }

    /// Signed over the URL of the TwiML as it stands there, `wss://` included, and nothing else (Twilio, ConversationRelay
    /// noun; Webhooks security).
    fn verify_socket(&self, url: &str, headers: &HeaderMap) -> Result<(), Distrust> {
        let signature = headers.get(webhook::HEADER).ok_or(Distrust::Unsigned)?;
        let signature = signature.to_str().map_err(|_| Distrust::WrongSignature)?;
        if webhook::verify(&self.tokens, url, Payload::Form(&[]), signature) {
            Ok(())
        } else {
            Err(Distrust::WrongSignature)
        }
    }

    fn read_frame(&self, text: &str) -> Result<FromCaller, Malformed> {
        relay::read_frame(text)
    }

    fn write_frame(&self, frame: &ToCaller) -> String {
        relay::write_frame(frame)
    }

    async fn redirect(&self, carrier_id: &str, script: &Script) -> Result<(), ControlError> {
        control::redirect(&self.client, carrier_id, script).await
    }

    async fn hang_up(&self, carrier_id: &str) -> Result<(), ControlError> {
        control::hang_up(&self.client, carrier_id).await
    }

    async fn start_recording(&self, carrier_id: &str, recording_url: &str) -> Result<(), ControlError> {
        control::start_recording(&self.client, carrier_id, recording_url).await
    }

    async fn invite(&self, conference: &str, from: &str, to: &str, status_url: &str) -> Result<(), ControlError> {
        control::invite(&self.client, conference, from, to, status_url).await
    }

    async fn look_up(&self, carrier_id: &str) -> Result<ListedCall, ControlError> {
        control::look_up(&self.client, carrier_id).await
    }
}

#[cfg(test)]
mod tests;
