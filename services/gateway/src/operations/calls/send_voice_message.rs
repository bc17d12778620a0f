//! `comms_send_voice_message`: somebody is called and told something, or their machine is.

use butt_dial_comms::{
    calls::place::{self, PlaceRequest},
    media::sound,
};
use butt_dial_domain::{
    Failure, Scope,
    call::Purpose,
    ports::speech::{AudioFormat, Utterance},
};
use schemars::JsonSchema;
use serde::Deserialize;

use super::views::PlacedView;
use crate::operations::{Context, Hints, Operation, Route};

pub struct SendVoiceMessage;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    /// A telephone number in E.164 form.
    to: String,
    /// What is said, at most 1,600 characters. Before it the person is told that an AI calls, and for whom.
    text: String,
    /// The synthesizer's name of a voice, or the carrier's where there is no synthesizer.
    #[serde(default)]
    voice: Option<String>,
    /// What is spoken, as in en-US.
    #[serde(default)]
    language: Option<String>,
    /// The same key calls once: a repeat returns the first call.
    #[serde(default, alias = "idempotency_key")]
    idempotency_key: Option<String>,
    /// Taken, and not used: name a voice instead.
    #[serde(default, alias = "target_gender")]
    #[expect(dead_code, reason = "clients send it")]
    target_gender: Option<String>,
}

impl Operation for SendVoiceMessage {
    const NAME: &'static str = "comms_send_voice_message";
    const TITLE: &'static str = "Send a voice message";
    const DESCRIPTION: &'static str = "Calls a person, says a text and hangs up; an answering machine is left the text after its \
        beep. Nobody can answer you: use comms_make_call to talk. Returns callId and status; call.ended tells who answered. \
        [scope: agent]";
    const SCOPE: Scope = Scope::Agent;
    const HINTS: Option<Hints> = Some(Hints {
        read_only: false,
        idempotent: false,
        open_world: true,
    });
    const ROUTE: Option<Route> = Some(Route {
        method: "POST",
        path: "/api/v1/voice-messages",
        status: 200,
    });

    type Args = Args;
    type Output = PlacedView;

    async fn run(context: Context, args: Args) -> Result<PlacedView, Failure> {
        let (comms, profile) = (&context.comms, context.caller.agent()?);
        let is_known = match &args.idempotency_key {
            Some(key) => place::is_known(comms, &profile.agent.id, key).await?,
            None => false,
        };
        // What has been said before is not read again: the first call is told of.
        let sound_url = if is_known || args.text.trim().is_empty() || !sound::is_possible(comms) {
            None
        } else {
            let utterance = Utterance {
                text: args.text.clone(),
                voice: args.voice.clone(),
                language: args.language.clone(),
                format: AudioFormat::Mp3,
            };
            // A synthesizer that is down leaves us the carrier's own voice.
            let made = sound::make(comms, &profile.agent.org_id, &utterance).await;
            made.inspect_err(|failure| tracing::warn!(%failure, "a voice message is read by the carrier"))
                .ok()
        };
        // A name of the synthesizer's means nothing to the carrier.
        let voice = args.voice.filter(|_| comms.speech.is_none());
        let purpose = Purpose::Message {
            text: args.text,
            sound_url,
        };
        let request = PlaceRequest {
            voice,
            language: args.language,
            detects_machine: true,
            idempotency_key: args.idempotency_key,
            ..PlaceRequest::new(context.caller.clone(), args.to, purpose)
        };
        Ok(place::place(comms, request).await?.into())
    }
}
