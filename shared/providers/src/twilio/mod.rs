//! Twilio: SMS, MMS and WhatsApp through the Messages resource, calls through the Calls resource. Neither has
//! idempotency keys, so an ambiguous send is looked up in the list of messages or calls and never repeated blindly.

mod client;
mod deletion;
pub mod errors;
pub(crate) mod form;
mod inbound;
mod message;
mod numbers;
mod registration_forms;
mod registrations;
mod rich;
mod simulator;
#[cfg(test)]
mod tests;
pub mod voice;
pub mod webhook;
mod whatsapp_senders;
mod wire;

use std::{sync::Arc, time::Duration};

use butt_dial_domain::Channel;

pub use self::{client::Client, inbound::Inbound, voice::Calls};
use crate::vendor::{AccountNaming, Connected, CredentialField, Credentials, InboundSimulation, Manifest, Vendor};

const ACCOUNT_SID: &str = "TWILIO_ACCOUNT_SID";
const AUTH_TOKEN: &str = "TWILIO_AUTH_TOKEN";
const AUTH_TOKEN_SECONDARY: &str = "TWILIO_AUTH_TOKEN_SECONDARY";
const SUBACCOUNT_TOKENS: &str = "TWILIO_SUBACCOUNT_TOKENS";
const MESSAGING_SERVICE_SID: &str = "TWILIO_MESSAGING_SERVICE_SID";
const EXCHANGE_RATES: &str = "TWILIO_EXCHANGE_RATES";
const ENDPOINT: &str = "TWILIO_API_URL";
const DEFAULT_ENDPOINT: &str = "https://api.twilio.com";

pub static VENDOR: Vendor = Vendor {
    manifest: Manifest {
        id: "twilio",
        title: "Twilio",
        channels: &[Channel::Sms, Channel::Whatsapp, Channel::Voice],
        ai_services: &[],
        credentials: &[
            CredentialField {
                env: ACCOUNT_SID,
                required: true,
                secret: false,
                help: "the account SID, AC and 32 hex digits, from the front page of the console",
            },
            CredentialField {
                env: AUTH_TOKEN,
                required: true,
                secret: true,
                help: "the auth token of the account, next to the SID in the console",
            },
            CredentialField {
                env: MESSAGING_SERVICE_SID,
                required: false,
                secret: false,
                help: "the messaging service of the SMS senders, MG and 32 hex digits",
            },
            CredentialField {
                env: EXCHANGE_RATES,
                required: false,
                secret: false,
                help: "US dollars for one unit of other currencies in which Twilio reports prices, such as EUR=1.16,JPY=0.0067",
            },
            CredentialField {
                env: AUTH_TOKEN_SECONDARY,
                required: false,
                secret: true,
                help: "the second auth token during a rotation: webhooks signed with either are accepted",
            },
            CredentialField {
                env: SUBACCOUNT_TOKENS,
                required: false,
                secret: true,
                help: "AC..:token,AC..:token for subaccounts that send webhooks here too",
            },
        ],
        endpoint_env: ENDPOINT,
        default_endpoint: DEFAULT_ENDPOINT,
        docs: "https://www.twilio.com/docs/messaging/api/message-resource",
    },
    connect,
    simulator: simulator::router,
    accounts: Some(AccountNaming {
        setting: ACCOUNT_SID,
        of_request: inbound::named_account,
    }),
    inbound: Some(InboundSimulation {
        webhook: simulator::inbound_webhook,
        sign: simulator::sign,
    }),
    simulated_settings: &[
        (ACCOUNT_SID, simulator::ACCOUNT_SID),
        (AUTH_TOKEN, simulator::AUTH_TOKEN),
    ],
};

fn connect(credentials: &Credentials, http: &reqwest::Client, deadline: Duration) -> Result<Connected, String> {
    let client = Client::new(credentials, http.clone())?.with_deadline(deadline);
    let inbound = Inbound::new(credentials)?;
    Ok(Connected {
        voice: Some(Arc::new(Calls::new(client.clone(), inbound.all_tokens()))),
        numbers: Some(Arc::new(client.clone())),
        whatsapp_senders: Some(Arc::new(client.clone())),
        registrations: Some(Arc::new(client.clone())),
        subaccounts: Some(Arc::new(client.clone())),
        messaging: Some(Arc::new(client)),
        webhooks: Some(Arc::new(inbound)),
        ..Connected::default()
    })
}
