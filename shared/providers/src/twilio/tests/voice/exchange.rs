//! Twilio's calls for the conformance suite.

use std::sync::Arc;

use axum::http::HeaderMap;
use butt_dial_domain::ports::{
    voice::{Rendered, Step, Voice},
    webhook::{WebhookRequest, Webhooks},
};
use butt_dial_testkit::{conformance::voice::Exchange, voice_conformance};
use serde_json::json;

use super::{ANN, CallContext, US, context};
use crate::{
    Secret,
    tests::harness::TEST_TIMEOUT,
    twilio::{
        simulator::{
            self,
            voice::{
                frames,
                speech::{Interruptible, SpeechOptions},
                twiml,
            },
        },
        webhook::{self, Payload},
    },
};

voice_conformance!(super::context);

impl Exchange for CallContext {
    fn voice(&self) -> Arc<dyn Voice> {
        self.server.voice.clone()
    }

    fn webhooks(&self) -> Arc<dyn Webhooks> {
        self.server.webhooks.clone()
    }

    fn texts(&self, rendered: &Rendered) -> Result<Vec<String>, String> {
        let (_, warnings) = twiml::parse(&rendered.body).map_err(|code| code.to_string())?;
        if !warnings.is_empty() {
            return Err(format!("{warnings:?}"));
        }
        let document = roxmltree::Document::parse(&rendered.body).map_err(|error| error.to_string())?;
        let nodes = document.descendants();
        let texts = nodes.flat_map(|node| {
            let attributes = node.attributes().map(|attribute| attribute.value().to_owned());
            attributes.chain(node.text().map(str::to_owned)).collect::<Vec<_>>()
        });
        Ok(texts.collect())
    }

    fn takes(&self, frame: &str) -> bool {
        let options = SpeechOptions {
            interruptible: Interruptible::ANY,
            preemptible: false,
        };
        frames::read(frame, options, &["en-US".to_owned(), "de-DE".to_owned()]).is_ok()
    }

    fn frames(&self) -> Vec<String> {
        let frames = [
            json!({ "type": "setup", "sessionId": "VX1", "accountSid": "AC1", "callSid": "CA1", "parentCallSid": "",
                    "from": ANN, "to": US, "forwardedFrom": "", "callerName": "", "direction": "inbound",
                    "callType": "PSTN", "callStatus": "RINGING", "customParameters": { "epoch": "1" } }),
            json!({ "type": "prompt", "voicePrompt": "Hi \"you\" é 👍", "lang": "en-US", "last": true }),
            json!({ "type": "prompt", "voicePrompt": "Hi", "lang": "en-US", "last": false }),
            json!({ "type": "dtmf", "digit": "#" }),
            json!({ "type": "interrupt", "utteranceUntilInterrupt": "Life is", "durationUntilInterruptMs": 460 }),
            json!({ "type": "interrupt", "utteranceUntilInterrupt": "", "durationUntilInterruptMs": "0" }),
            json!({ "type": "info", "name": "agentSpeaking", "value": "on" }),
            json!({ "type": "info", "name": "clientSpeaking", "value": "off" }),
            json!({ "type": "info", "name": "tokensPlayed", "value": "Hello," }),
            json!({ "type": "error", "description": "Invalid message received" }),
        ];
        frames.iter().map(ToString::to_string).collect()
    }

    fn handshake(&self, url: &str, is_carrier: bool) -> HeaderMap {
        let token = if is_carrier { simulator::AUTH_TOKEN } else { "other" };
        let signature = webhook::sign(&Secret::new(token), url, Payload::Form(&[]));
        HeaderMap::from_iter([("x-twilio-signature".parse().unwrap(), signature.parse().unwrap())])
    }

    async fn inbound_call(&self) -> WebhookRequest {
        let mut receiver = self.harness.listen().await;
        self.harness.state().dial(ANN, US).await.unwrap();
        receiver.next().await
    }

    async fn live_call(&self) -> String {
        self.server
            .answer_with_twiml("/webhooks/twilio/voice", r#"<Pause length="600"/>"#);
        let call = self.harness.state().dial(ANN, US).await.unwrap();
        assert!(call.wait_until(|state| state.answered_ms.is_some(), TEST_TIMEOUT).await);
        call.id().to_owned()
    }

    async fn past_call(&self) -> String {
        self.server.answer("/webhooks/twilio/voice", vec![Step::Reject]);
        let call = self.harness.state().dial(ANN, US).await.unwrap();
        assert!(call.wait_until(|state| state.status.is_over(), TEST_TIMEOUT).await);
        call.id().to_owned()
    }

    fn no_call(&self) -> String {
        "CA00000000000000000000000000000000".to_owned()
    }
}
