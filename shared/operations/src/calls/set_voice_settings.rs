//! `comms_set_voice_settings`: sets how an agent speaks and listens on the phone.

use butt_dial_calls::voice_settings::{VoiceSettingsChange, change_voice_settings};
use butt_dial_domain::{
    Code, Failure, Scope, bounds,
    call::{AutomatonAction, AutomatonActions, InterruptSensitivity, VoiceSettings},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::require_storage;
use crate::{Context, Hints, Operation, Route};

pub struct SetVoiceSettings;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    /// The spoken language, such as en-US.
    #[serde(default)]
    #[schemars(extend("examples" = ["en-US"]))]
    language: Option<String>,
    /// The carrier's name for a voice.
    #[serde(default)]
    #[schemars(length(max = bounds::VOICE))]
    voice: Option<String>,
    /// The first words to callers, after the disclosure that an AI speaks.
    #[serde(default)]
    #[schemars(length(max = bounds::GREETING))]
    greeting: Option<String>,
    /// Likely words, such as names and products, for speech recognition.
    #[serde(default)]
    #[schemars(length(max = bounds::HINTS), inner(length(max = bounds::HINT)))]
    hints: Option<Vec<String>>,
    /// Speech that ends yours. high: any word. medium (the default), low: not acknowledgements such as uh-huh.
    #[serde(default)]
    interrupt_sensitivity: Option<InterruptSensitivity>,
    /// The key that ends the input of digits; the default is #. none: no key does.
    #[serde(default)]
    #[schemars(extend("examples" = ["#"]))]
    finish_on_key: Option<String>,
    /// true: numbers, prices, dates and addresses are read the way people say them; the default is the voice's way.
    #[serde(default)]
    spoken_forms: Option<bool>,
    /// true: your calls are recorded, after an announcement.
    #[serde(default)]
    record_calls: Option<bool>,
    /// When a screening service answers your call. introduce (the default): your greeting is spoken to it. tell: you get its words as a
    /// turn. wait: nothing is spoken. end: the call ends.
    #[serde(default)]
    #[schemars(extend("x-brief" = false))]
    on_screening: Option<AutomatonAction>,
    /// When a queue with music and announcements answers your call; the default is wait.
    #[serde(default)]
    #[schemars(extend("x-brief" = false))]
    on_hold: Option<AutomatonAction>,
    /// When a phone menu answers your call; the default is tell, and comms_send_digits presses keys.
    #[serde(default)]
    #[schemars(extend("x-brief" = false))]
    on_menu: Option<AutomatonAction>,
    /// When an answering machine answers your call, as far as its words show; the default is tell.
    #[serde(default)]
    #[schemars(extend("x-brief" = false))]
    on_voicemail: Option<AutomatonAction>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    #[serde(skip_serializing_if = "Option::is_none")]
    language: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    voice: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    greeting: Option<String>,
    hints: Vec<String>,
    interrupt_sensitivity: InterruptSensitivity,
    /// none: no key ends the input.
    finish_on_key: String,
    spoken_forms: bool,
    record_calls: bool,
    on_screening: AutomatonAction,
    on_hold: AutomatonAction,
    on_menu: AutomatonAction,
    on_voicemail: AutomatonAction,
}

impl From<VoiceSettings> for Output {
    fn from(settings: VoiceSettings) -> Self {
        let finish_on_key = settings.finish_on_key.unwrap_or_else(|| "#".to_owned());
        Self {
            language: settings.language,
            voice: settings.voice,
            greeting: settings.greeting,
            hints: settings.hints,
            interrupt_sensitivity: settings.interrupt_sensitivity.unwrap_or_default(),
            spoken_forms: settings.spoken_forms.unwrap_or_default(),
            record_calls: settings.records_calls.unwrap_or_default(),
            on_screening: settings.automata.on_screening(),
            on_hold: settings.automata.on_hold(),
            on_menu: settings.automata.on_menu(),
            on_voicemail: settings.automata.on_voicemail(),
            finish_on_key: match finish_on_key.is_empty() {
                true => "none".to_owned(),
                false => finish_on_key,
            },
        }
    }
}

impl Operation for SetVoiceSettings {
    const NAME: &'static str = "comms_set_voice_settings";
    const TITLE: &'static str = "Set how I speak on the phone";
    const DESCRIPTION: &'static str = "Sets your language, voice, greeting and more for calls, and returns all settings. What you omit stays; an empty value \
        removes it. [scope: agent]";
    const BRIEF: &'static str = "Sets how you speak in calls; an empty value removes.";
    const SCOPE: Scope = Scope::Agent;
    const HINTS: Option<Hints> = Some(Hints {
        read_only: false,
        idempotent: true,
        open_world: false,
    });
    const ROUTE: Option<Route> = Some(Route {
        method: "PUT",
        path: "/api/v1/voice-settings",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[&[Code::AgentNotFound, Code::ContentBlocked, Code::NotSupported]];

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, args: Args) -> Result<Output, Failure> {
        require_storage(&context, args.record_calls)?;
        let change = VoiceSettingsChange {
            language: args.language,
            voice: args.voice,
            greeting: args.greeting,
            hints: args.hints,
            interrupt_sensitivity: args.interrupt_sensitivity,
            finish_on_key: args.finish_on_key,
            spoken_forms: args.spoken_forms,
            records_calls: args.record_calls,
            automata: AutomatonActions {
                screening: args.on_screening,
                hold: args.on_hold,
                menu: args.on_menu,
                voicemail: args.on_voicemail,
            },
            ..VoiceSettingsChange::default()
        };
        let settings = change_voice_settings(&context.product.calls, &context.caller, change).await?;
        Ok(settings.into())
    }
}
