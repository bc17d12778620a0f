//! ElevenLabs: speech synthesis.

mod client;
pub mod errors;
mod simulator;
#[cfg(test)]
mod tests;
mod wire;

use std::{sync::Arc, time::Duration};

pub use self::client::Client;
use crate::vendor::{AiService, Connected, CredentialField, Credentials, Manifest, Vendor};

const API_KEY: &str = "ELEVENLABS_API_KEY";
const VOICE: &str = "ELEVENLABS_VOICE_ID";
const MODEL: &str = "ELEVENLABS_MODEL";
const ENDPOINT: &str = "ELEVENLABS_API_URL";

const DEFAULT_VOICE: &str = "UgBBYS2sOqTuMpoF3BR0";
/// The fastest model (ElevenLabs, Models).
const DEFAULT_MODEL: &str = "eleven_flash_v2_5";

pub static VENDOR: Vendor = Vendor {
    manifest: Manifest {
        id: "elevenlabs",
        title: "ElevenLabs",
        channels: &[],
        ai_services: &[AiService::Speech],
        credentials: &[
            CredentialField {
                env: API_KEY,
                required: true,
                secret: true,
                help: "an API key from elevenlabs.io with access to text to speech",
            },
            CredentialField {
                env: VOICE,
                required: false,
                secret: false,
                help: "the id of the voice of requests without one; default UgBBYS2sOqTuMpoF3BR0",
            },
            CredentialField {
                env: MODEL,
                required: false,
                secret: false,
                help: "the model id; default eleven_flash_v2_5",
            },
        ],
        endpoint_env: ENDPOINT,
        default_endpoint: "https://api.elevenlabs.io",
        docs: "https://elevenlabs.io/docs/api-reference/text-to-speech/convert",
    },
    connect,
    simulator: simulator::router,
    accounts: None,
    inbound: None,
    simulated_settings: &[(API_KEY, simulator::API_KEY)],
};

fn connect(credentials: &Credentials, http: &reqwest::Client, deadline: Duration) -> Result<Connected, String> {
    Ok(Connected {
        speech: Some(Arc::new(
            Client::new(credentials, http.clone())?.with_deadline(deadline),
        )),
        ..Connected::default()
    })
}
