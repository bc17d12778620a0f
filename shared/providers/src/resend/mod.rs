//! Resend: e-mail. Each send carries the message id as idempotency key, so an ambiguous send is repeated with the same
//! key: within 24 hours Resend returns the first response and sends no second mail.

mod client;
mod details;
mod domains;
pub mod errors;
mod event;
mod inbound;
mod mailbox;
mod simulator;
#[cfg(test)]
mod tests;
pub mod webhook;
mod wire;

use std::{sync::Arc, time::Duration};

use butt_dial_domain::Channel;

pub use self::{client::Client, inbound::Inbound};
use crate::vendor::{Connected, CredentialField, Credentials, InboundSimulation, Manifest, Vendor};

const API_KEY: &str = "RESEND_API_KEY";
const WEBHOOK_SECRET: &str = "RESEND_WEBHOOK_SECRET";
const ENDPOINT: &str = "RESEND_API_URL";

pub static VENDOR: Vendor = Vendor {
    manifest: Manifest {
        id: "resend",
        title: "Resend",
        channels: &[Channel::Email],
        ai_services: &[],
        credentials: &[
            CredentialField {
                env: API_KEY,
                required: true,
                secret: true,
                help: "an API key, re_..., from the dashboard; sending needs sending access, receiving needs full access",
            },
            CredentialField {
                env: WEBHOOK_SECRET,
                required: false,
                secret: true,
                help: "the signing secret of the webhook, whsec_..., from the dashboard; during a rotation two, separated by a comma",
            },
        ],
        endpoint_env: ENDPOINT,
        default_endpoint: "https://api.resend.com",
        docs: "https://resend.com/docs/api-reference",
    },
    connect,
    simulator: simulator::router,
    accounts: None,
    inbound: Some(InboundSimulation {
        webhook: simulator::inbound_webhook,
        sign: simulator::sign,
    }),
    simulated_settings: &[
        (API_KEY, simulator::API_KEY),
        (WEBHOOK_SECRET, simulator::WEBHOOK_SECRET),
    ],
};

fn connect(credentials: &Credentials, http: &reqwest::Client, deadline: Duration) -> Result<Connected, String> {
    let client = Client::new(credentials, http.clone())?.with_deadline(deadline);
    Ok(Connected {
        mail_domains: Some(Arc::new(client.clone())),
        messaging: Some(Arc::new(client)),
        webhooks: Some(Arc::new(Inbound::new(credentials, http.clone(), deadline)?)),
        ..Connected::default()
    })
}
