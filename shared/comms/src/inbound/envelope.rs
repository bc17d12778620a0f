//! A notice on its way through the durable stream. What a person said is encrypted for the organization that it belongs to.

use base64::{Engine, engine::general_purpose::STANDARD};
use butt_dial_domain::{
    AgentId, CallId, ChannelId, OrgId,
    call::CallReport,
    clock::Timestamp,
    inbound::{InboundMessage, Receipt},
};
use butt_dial_store::InboundRoute;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::{calls::state::Facts, vault::Vault};

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
    Call(Box<CallNotice>),
}

/// What is told of a call, with whose it is.
#[derive(Serialize, Deserialize)]
pub struct CallNotice {
    pub call: CallId,
    pub org: OrgId,
    pub agent: AgentId,
    /// The agent's number.
    pub local: String,
    /// The person's.
    pub remote: String,
    pub started_at: Timestamp,
    pub report: CallReport,
    /// The call is over, and this is what it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conclusion: Option<Conclusion>,
}

#[derive(Serialize, Deserialize)]
pub struct Conclusion {
    pub handled_by: String,
    pub end_reason: String,
    /// Turns of the caller's that were answered.
    pub turns: i64,
    pub latency: Value,
    /// What was said; encrypted on its way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transcript: Option<String>,
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

    /// Each report is one of its own; a carrier's repetition of it is not.
    pub fn call(facts: &Facts, report: CallReport) -> Self {
        // Made of strings and numbers: it always serializes.
        let text = serde_json::to_string(&report).unwrap_or_default();
        Self {
            id: digest(&[&facts.carrier, facts.call.as_str(), &text]),
            carrier: facts.carrier.clone(),
            notice: Sealed::Call(Box::new(notice(facts, report))),
        }
    }

    /// What a call was, once it is over: whoever finds out first says it.
    pub fn conclusion(vault: &Vault, facts: &Facts, report: &CallReport, conclusion: Conclusion) -> Self {
        let seal = |text: String| STANDARD.encode(vault.encrypt(&facts.org, facts.call.as_str(), text.as_bytes()));
        let conclusion = Conclusion {
            transcript: conclusion.transcript.map(seal),
            ..conclusion
        };
        Self {
            id: digest(&[&facts.carrier, facts.call.as_str(), "conclusion"]),
            carrier: facts.carrier.clone(),
            notice: Sealed::Call(Box::new(CallNotice {
                conclusion: Some(conclusion),
                ..notice(facts, report.clone())
            })),
        }
    }

    /// What a caller has left, for an agent that was away. One a call, and one more where it was recorded.
    pub fn call_message(vault: &Vault, facts: &Facts, message: &InboundMessage) -> Self {
        let what = match message.attachments.is_empty() {
            true => "message",
            false => "recording",
        };
        let id = format!("evt_{}", digest(&[&facts.carrier, facts.call.as_str(), what]));
        let plain = serde_json::to_vec(message).unwrap_or_default();
        Self {
            carrier: facts.carrier.clone(),
            notice: Sealed::Message {
                sealed: STANDARD.encode(vault.encrypt(&facts.org, &id, &plain)),
                org: facts.org.clone(),
                agent: facts.agent.clone(),
                channel_id: None,
                is_blocked: false,
            },
            id,
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

fn notice(facts: &Facts, report: CallReport) -> CallNotice {
    CallNotice {
        call: facts.call.clone(),
        org: facts.org.clone(),
        agent: facts.agent.clone(),
        local: facts.local.clone(),
        remote: facts.remote.clone(),
        started_at: facts.started_at,
        report,
        conclusion: None,
    }
}

/// The first 128 bits of a hash over the parts, in hexadecimal digits.
pub(crate) fn digest(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    hex::encode(&hash.finalize()[..16])
}
