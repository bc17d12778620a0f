//! OpenAI and compatible services: streamed chat completions, speech synthesis and transcription.

mod chunks;
mod client;
pub mod errors;
mod simulator;
mod speech;
#[cfg(test)]
mod tests;
mod transcriber;
mod wire;

use std::{sync::Arc, time::Duration};

use butt_dial_domain::ports::{model::LanguageModel, speech::SpeechSynthesis, transcription::Transcription};

pub use self::{client::Client, speech::Speaker, transcriber::Transcriber};
use crate::vendor::{AiService, Connected, CredentialField, Credentials, Manifest, Vendor};

const API_KEY: &str = "OPENAI_API_KEY";
const MODEL: &str = "OPENAI_MODEL";
const SPEECH_MODEL: &str = "OPENAI_SPEECH_MODEL";
const SPEECH_VOICE: &str = "OPENAI_SPEECH_VOICE";
const TRANSCRIPTION_MODEL: &str = "OPENAI_TRANSCRIPTION_MODEL";
const ENDPOINT: &str = "OPENAI_API_URL";

const DEFAULT_ENDPOINT: &str = "https://api.openai.com/v1";
const DEFAULT_SPEECH_MODEL: &str = "gpt-4o-mini-tts";
const DEFAULT_SPEECH_VOICE: &str = "alloy";
const DEFAULT_TRANSCRIPTION_MODEL: &str = "gpt-4o-mini-transcribe";
/// The value of a model that disables its service.
const NONE: &str = "none";

pub static VENDOR: Vendor = Vendor {
    manifest: Manifest {
        id: "openai",
        title: "OpenAI",
        channels: &[],
        ai_services: &[AiService::LanguageModel, AiService::Speech, AiService::Transcription],
        credentials: &[
            CredentialField {
                env: API_KEY,
                required: true,
                secret: true,
                help: "an API key from platform.openai.com, or of the service at OPENAI_API_URL",
            },
            CredentialField {
                env: MODEL,
                required: false,
                secret: false,
                help: "the id of a fast model that answers calls; without it only speech is available",
            },
            CredentialField {
                env: SPEECH_MODEL,
                required: false,
                secret: false,
                help: "the id of the speech model; default gpt-4o-mini-tts; none disables speech",
            },
            CredentialField {
                env: SPEECH_VOICE,
                required: false,
                secret: false,
                help: "the voice of requests without one; default alloy",
            },
            CredentialField {
                env: TRANSCRIPTION_MODEL,
                required: false,
                secret: false,
                help: "the id of the model of transcription; default gpt-4o-mini-transcribe; none disables it",
            },
        ],
        endpoint_env: ENDPOINT,
        default_endpoint: DEFAULT_ENDPOINT,
        docs: "https://platform.openai.com/docs/api-reference/chat",
    },
    connect,
    simulator: simulator::router,
    accounts: None,
    inbound: None,
    simulated_settings: &[(API_KEY, simulator::API_KEY), (MODEL, simulator::MODEL)],
};

fn connect(credentials: &Credentials, http: &reqwest::Client, deadline: Duration) -> Result<Connected, String> {
    let client = Client::new(credentials, http.clone())?.with_deadline(deadline);
    let setting = |env| credentials.find(env).map(|value| value.expose().to_owned());
    let speaks = setting(SPEECH_MODEL).is_none_or(|model| model != NONE);
    let model = setting(MODEL).map(|_| Arc::new(client.clone()) as Arc<dyn LanguageModel>);
    let listens = setting(TRANSCRIPTION_MODEL).is_none_or(|model| model != NONE);
    let transcriber = || Arc::new(Transcriber::new(credentials, client.clone())) as Arc<dyn Transcription>;
    let transcription = listens.then(transcriber);
    let speech = speaks.then(|| Arc::new(Speaker::new(credentials, client)) as Arc<dyn SpeechSynthesis>);
    Ok(Connected {
        model,
        speech,
        transcription,
        ..Connected::default()
    })
}
