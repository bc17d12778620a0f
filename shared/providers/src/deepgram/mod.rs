//! Deepgram: transcription of recordings.

mod client;
pub mod errors;
mod simulator;
#[cfg(test)]
mod tests;
mod wire;

use std::{sync::Arc, time::Duration};

pub use self::client::Client;
use crate::vendor::{AiService, Connected, CredentialField, Credentials, Manifest, Vendor};

const API_KEY: &str = "DEEPGRAM_API_KEY";
const MODEL: &str = "DEEPGRAM_MODEL";
const ENDPOINT: &str = "DEEPGRAM_API_URL";

const DEFAULT_MODEL: &str = "nova-3";

pub static VENDOR: Vendor = Vendor {
    manifest: Manifest {
        id: "deepgram",
        title: "Deepgram",
        channels: &[],
        ai_services: &[AiService::Transcription],
        credentials: &[
            CredentialField {
                env: API_KEY,
                required: true,
                secret: true,
                help: "an API key from console.deepgram.com",
            },
            CredentialField {
                env: MODEL,
                required: false,
                secret: false,
                help: "the id of the model; default nova-3",
            },
        ],
        endpoint_env: ENDPOINT,
        default_endpoint: "https://api.deepgram.com",
        docs: "https://developers.deepgram.com/reference/speech-to-text/listen-pre-recorded",
    },
    connect,
    simulator: simulator::router,
    accounts: None,
    inbound: None,
    simulated_settings: &[(API_KEY, simulator::API_KEY)],
};

fn connect(credentials: &Credentials, http: &reqwest::Client, deadline: Duration) -> Result<Connected, String> {
    Ok(Connected {
        transcription: Some(Arc::new(
            Client::new(credentials, http.clone())?.with_deadline(deadline),
        )),
        ..Connected::default()
    })
}
