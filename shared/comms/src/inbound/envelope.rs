//! A notice on its way through the durable stream. What a person said is encrypted for the organization that it belongs to.

use base64::{Engine, engine::general_purpose::STANDARD};
use butt_dial_domain::{
    AgentId, ChannelId, OrgId,
    inbound::{InboundMessage, Receipt},
};
use butt_dial_store::InboundRoute;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::vault::Vault;

#[derive(Serialize, Deserialize)]
pub struct Envelope {
    /// What repetitions are known by: made from the carrier's own id. For a message, the id of its event.
    pub id: String,
    pub carrier: String,
    pub notice: Sealed,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Sealed {
    Message {
        org: OrgId,
        agent: AgentId,
        /// The sender of ours that the person wrote to; `None` for what came the short way inside.
        channel_id: Option<ChannelId>,
        /// An `InboundMessage`, encrypted.
        sealed: String,
        /// The agent takes no messages on this sender; this one came through because it is a wish (`keyword.rs`).
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        is_blocked: bool,
    },
    Receipt {
        receipt: Receipt,
    },
}

impl Envelope {
    pub fn message(vault: &Vault, carrier: &str, route: &InboundRoute, message: &InboundMessage) -> Self {
        let id = format!("evt_{}", digest(&[carrier, route.agent.as_str(), &message.carrier_id]));
        // Made of strings, numbers and lists of them: it always serializes.
        let plain = serde_json::to_vec(message).unwrap_or_default();
        Self {
            carrier: carrier.to_owned(),
            notice: Sealed::Message {
                sealed: STANDARD.encode(vault.encrypt(&route.org, &id, &plain)),
                org: route.org.clone(),
                agent: route.agent.clone(),
                channel_id: Some(route.channel_id.clone()),
                is_blocked: route.blocked,
            },
            id,
        }
    }

    pub fn receipt(carrier: &str, receipt: &Receipt) -> Self {
        let error = receipt.error_code.as_deref().unwrap_or_default();
        let message = receipt.message.as_ref().map_or("", |message| message.as_str());
        Self {
            // A later status of the same message is not a repetition, nor one that says whose message it is after one that
            // did not, or wrongly.
            id: digest(&[carrier, message, &receipt.carrier_id, receipt.stage.as_str(), error]),
            carrier: carrier.to_owned(),
            notice: Sealed::Receipt {
                receipt: receipt.clone(),
            },
        }
    }

    pub fn payload(&self) -> Vec<u8> {
        // Made of strings: it always serializes.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// The message of an envelope that holds one.
    pub fn open(vault: &Vault, org: &OrgId, id: &str, sealed: &str) -> Option<InboundMessage> {
        let sealed = STANDARD.decode(sealed).ok()?;
        let plain = vault.decrypt(org, id, &sealed);
        let plain = plain.inspect_err(|error| tracing::error!(%error, event = id, "a message can't be opened"));
        serde_json::from_slice(&plain.ok()?).ok()
    }
}

/// The first 128 bits of a hash over the parts, in hexadecimal digits.
fn digest(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    hex::encode(&hash.finalize()[..16])
}
