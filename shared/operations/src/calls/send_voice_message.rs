//! `comms_send_voice_message`: calls a person or their answering machine and speaks a text.

use butt_dial_billing::require_task_id;
use butt_dial_calls::{
    originate::{self, OriginateRequest},
    speech,
};
use butt_dial_domain::{
    Code, Failure, Scope, bounds,
    call::Purpose,
    ports::speech::{AudioFormat, Utterance},
};
use schemars::JsonSchema;
use serde::Deserialize;

use super::views::PlacedView;
use crate::{Context, Hints, Operation, Route, errors};

pub struct SendVoiceMessage;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    /// A telephone number in E.164 form.
    #[schemars(extend("examples" = ["+14155550123"]))]
    to: String,
    /// The text to speak, at most 1,600 characters. A disclosure that an AI calls, and on behalf of which person, precedes it.
    #[schemars(extend("examples" = ["Your parcel is here."]))]
    #[schemars(length(max = bounds::SPOKEN_MESSAGE))]
    #[schemars(extend("x-error" = "INVALID_CONTENT"))]
    text: String,
    /// The synthesizer's name for a voice; without a synthesizer, the carrier's.
    #[serde(default)]
    #[schemars(length(max = bounds::VOICE))]
    voice: Option<String>,
    /// The spoken language, such as en-US.
    #[serde(default)]
    language: Option<String>,
    /// A repeated request with the same key places no second call and returns the first one.
    #[serde(default)]
    #[schemars(length(max = bounds::IDEMPOTENCY_KEY))]
    idempotency_key: Option<String>,
    /// The task that this is charged to, besides your account: 1 to 64 letters, digits, -, _, . or :.
    #[serde(default)]
    #[schemars(extend("x-brief" = false))]
    #[schemars(length(max = bounds::TASK))]
    task_id: Option<String>,
}

impl Operation for SendVoiceMessage {
    const NAME: &'static str = "comms_send_voice_message";
    const TITLE: &'static str = "Send a voice message";
    const DESCRIPTION: &'static str = "Calls a person, speaks a text and hangs up. An answering machine receives the text after its beep. The person can't \
        reply: use comms_make_call for a conversation. Returns callId and status; the event call.ended reports who answered. \
        [scope: agent]";
    const BRIEF: &'static str = "Calls a person, speaks a text and hangs up.";
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
    const ERRORS: &'static [&'static [Code]] = &[errors::SEND];
    // The Python client sends a time zone and a gender, among others.
    const ACCEPTS_EXTRA_ARGUMENTS: bool = true;

    type Args = Args;
    type Output = PlacedView;

    async fn run(context: Context, args: Args) -> Result<PlacedView, Failure> {
        let (calls, media) = (&context.product.calls, &context.product.media);
        let profile = context.caller.agent()?;
        originate::require_granted(&context.caller, &args.to)?;
        // Before the synthesizer is paid.
        args.task_id.as_deref().map(require_task_id).transpose()?;
        let is_replay = match &args.idempotency_key {
            Some(key) => originate::is_key_used(calls, &profile.agent.id, key).await?,
            None => false,
        };
        // A repeated request places no call, so its text is not synthesized again.
        let audio_url = if is_replay || args.text.trim().is_empty() || !media.can_synthesize() {
            None
        } else {
            let utterance = Utterance {
                text: speech::require_speakable("text", &args.text, args.language.as_deref())?,
                voice: args.voice.clone(),
                language: args.language.clone(),
                format: AudioFormat::Mp3,
            };
            match media.synthesize(&context.caller, &utterance).await {
                Ok(url) => Some(url),
                Err(refusal) if matches!(refusal.code, Code::RateLimited | Code::SpendLimit) => return Err(refusal),
                // When the synthesizer fails, the carrier's voice is used.
                Err(failure) => {
                    tracing::warn!(%failure, "speech synthesis failed; carrier voice used");
                    None
                }
            }
        };
        // The carrier does not know the synthesizer's voices.
        let voice = args.voice.filter(|_| !media.has_synthesizer());
        let purpose = Purpose::Message {
            text: args.text,
            sound_url: audio_url,
        };
        let request = OriginateRequest {
            voice,
            language: args.language,
            detects_machine: true,
            idempotency_key: args.idempotency_key,
            task: args.task_id,
            ..OriginateRequest::new(context.caller.clone(), args.to, purpose)
        };
        Ok(originate::originate(calls, request).await?.into())
    }
}
