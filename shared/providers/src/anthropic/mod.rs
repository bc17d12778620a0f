//! Anthropic: a language model over the Messages API, streamed.

mod client;
pub mod errors;
mod events;
mod simulator;
#[cfg(test)]
mod tests;
mod wire;

use std::{sync::Arc, time::Duration};

pub use self::client::Client;
use crate::vendor::{AiService, Connected, CredentialField, Credentials, Manifest, Vendor};

const API_KEY: &str = "ANTHROPIC_API_KEY";
const MODEL: &str = "ANTHROPIC_MODEL";
const ENDPOINT: &str = "ANTHROPIC_API_URL";

/// The fastest model (Anthropic, Models overview).
const DEFAULT_MODEL: &str = "claude-haiku-4-5";

pub static VENDOR: Vendor = Vendor {
    manifest: Manifest {
        id: "anthropic",
        title: "Anthropic",
        channels: &[],
        ai_services: &[AiService::LanguageModel],
        credentials: &[
            CredentialField {
                env: API_KEY,
                required: true,
                secret: true,
                help: "an API key from console.anthropic.com; the model answers calls that no agent takes",
            },
            CredentialField {
                env: MODEL,
                required: false,
                secret: false,
                help: "the model id; default claude-haiku-4-5, because calls need a fast model",
            },
        ],
        endpoint_env: ENDPOINT,
        default_endpoint: "https://api.anthropic.com",
        docs: "https://platform.claude.com/docs/en/api/messages",
    },
    connect,
    simulator: simulator::router,
    accounts: None,
    inbound: None,
    simulated_settings: &[(API_KEY, simulator::API_KEY)],
};

fn connect(credentials: &Credentials, http: &reqwest::Client, deadline: Duration) -> Result<Connected, String> {
    Ok(Connected {
        model: Some(Arc::new(
            Client::new(credentials, http.clone())?.with_deadline(deadline),
        )),
        ..Connected::default()
    })
}
