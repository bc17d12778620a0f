//! LINE: messages to the friends of an official account. Each push carries a key derived from the message id, so an
//! ambiguous send is repeated with the same key and goes out at most once within 24 hours. LINE reports no deliveries.

mod client;
pub mod errors;
mod event;
mod inbound;
mod simulator;
#[cfg(test)]
mod tests;
pub mod webhook;
mod wire;

use std::{sync::Arc, time::Duration};

use butt_dial_domain::Channel;

pub use self::{client::Client, inbound::Inbound};
use crate::vendor::{Connected, CredentialField, Credentials, InboundSimulation, Manifest, Vendor};

const ACCESS_TOKEN: &str = "LINE_CHANNEL_ACCESS_TOKEN";
const CHANNEL_SECRET: &str = "LINE_CHANNEL_SECRET";
const ENDPOINT: &str = "LINE_API_URL";
const DATA_ENDPOINT: &str = "LINE_DATA_API_URL";

const DEFAULT_ENDPOINT: &str = "https://api.line.me";
/// The base URL of files for `DEFAULT_ENDPOINT`.
const DEFAULT_DATA_ENDPOINT: &str = "https://api-data.line.me";

pub static VENDOR: Vendor = Vendor {
    manifest: Manifest {
        id: "line",
        title: "LINE",
        channels: &[Channel::Line],
        ai_services: &[],
        credentials: &[
            CredentialField {
                env: ACCESS_TOKEN,
                required: true,
                secret: true,
                help: "the access token of the Messaging API channel, from the LINE Developers console",
            },
            CredentialField {
                env: CHANNEL_SECRET,
                required: false,
                secret: true,
                help: "the channel secret, from the basic settings of the channel: it signs the webhooks",
            },
            CredentialField {
                env: DATA_ENDPOINT,
                required: false,
                secret: false,
                help: "the base URL of files; default api-data.line.me, or LINE_API_URL if that is changed",
            },
        ],
        endpoint_env: ENDPOINT,
        default_endpoint: DEFAULT_ENDPOINT,
        docs: "https://developers.line.biz/en/reference/messaging-api/",
    },
    connect,
    simulator: simulator::router,
    accounts: None,
    inbound: Some(InboundSimulation {
        webhook: simulator::inbound_webhook,
        sign: simulator::sign,
    }),
    simulated_settings: &[
        (ACCESS_TOKEN, simulator::ACCESS_TOKEN),
        (CHANNEL_SECRET, simulator::CHANNEL_SECRET),
    ],
};

fn connect(credentials: &Credentials, http: &reqwest::Client, deadline: Duration) -> Result<Connected, String> {
    Ok(Connected {
        messaging: Some(Arc::new(
            Client::new(credentials, http.clone())?.with_deadline(deadline),
        )),
        webhooks: Some(Arc::new(Inbound::new(credentials)?)),
        ..Connected::default()
    })
}
