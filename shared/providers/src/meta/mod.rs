//! Meta's WhatsApp Cloud API. It has neither idempotency keys nor a listing, so an ambiguous send stays unknown until
//! a receipt returns our id. It is never repeated.

mod addressed;
mod client;
pub mod errors;
mod event;
mod inbound;
mod message;
mod rich;
mod simulator;
#[cfg(test)]
mod tests;
pub mod webhook;
mod wire;

use std::{sync::Arc, time::Duration};

use butt_dial_domain::Channel;

pub use self::{client::Client, inbound::Inbound};
use crate::vendor::{Connected, CredentialField, Credentials, InboundSimulation, Manifest, Vendor};

const ACCESS_TOKEN: &str = "META_ACCESS_TOKEN";
const PHONE_NUMBER_ID: &str = "META_PHONE_NUMBER_ID";
const APP_SECRET: &str = "META_APP_SECRET";
const VERIFY_TOKEN: &str = "META_VERIFY_TOKEN";
const ENDPOINT: &str = "META_API_URL";

pub static VENDOR: Vendor = Vendor {
    manifest: Manifest {
        id: "meta",
        title: "Meta WhatsApp",
        channels: &[Channel::Whatsapp],
        ai_services: &[],
        credentials: &[
            CredentialField {
                env: ACCESS_TOKEN,
                required: true,
                secret: true,
                help: "a system user's token with whatsapp_business_messaging",
            },
            CredentialField {
                env: PHONE_NUMBER_ID,
                required: true,
                secret: false,
                help: "the id of the sender's phone number (not the number), from the API setup of WhatsApp",
            },
            CredentialField {
                env: APP_SECRET,
                required: false,
                secret: true,
                help: "the app secret, from the basic settings of the app: it signs the webhooks",
            },
            CredentialField {
                env: VERIFY_TOKEN,
                required: false,
                secret: true,
                help: "any text; enter the same in the settings of the webhook",
            },
        ],
        endpoint_env: ENDPOINT,
        default_endpoint: "https://graph.facebook.com/v23.0",
        docs: "https://developers.facebook.com/docs/whatsapp/cloud-api",
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
        (PHONE_NUMBER_ID, simulator::PHONE_NUMBER_ID),
        (APP_SECRET, simulator::APP_SECRET),
        (VERIFY_TOKEN, simulator::VERIFY_TOKEN),
    ],
};

fn connect(credentials: &Credentials, http: &reqwest::Client, deadline: Duration) -> Result<Connected, String> {
    Ok(Connected {
        messaging: Some(Arc::new(
            Client::new(credentials, http.clone())?.with_deadline(deadline),
        )),
        webhooks: Some(Arc::new(Inbound::new(credentials, http.clone(), deadline)?)),
        ..Connected::default()
    })
}
