//! The envelope of a webhook event in the durable stream. Contents are encrypted for their organization. Processes of
//! neighbouring versions read each other's entries, so field names are part of the format.

use base64::{Engine, engine::general_purpose::STANDARD};
use butt_dial_domain::{
    AgentId, CallId, ChannelId, OrgId,
    call::{CallInfo, CallReport, HandledBy},
    clock::Timestamp,
    inbound::{InboundMessage, Receipt},
    spoken_revocation::SpokenRevocation,
};
use butt_dial_store::InboundRoute;
use butt_dial_vault::{Undecryptable, Vault};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

#[derive(Serialize, Deserialize)]
pub struct Envelope {
    /// Identifies repetitions: derived from the carrier's own id. For a message, the id of its event.
    pub id: String,
    pub carrier: String,
    #[serde(rename = "notice")]
    pub event: SealedEvent,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum SealedEvent {
    Message {
        org: OrgId,
        agent: AgentId,
        /// The agent's sender that the message was sent to. `None` for messages that calls leave.
        channel_id: Option<ChannelId>,
        /// An `InboundMessage`, encrypted.
        sealed: String,
        /// The agent blocked this sender; the message is a consent keyword.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        is_blocked: bool,
    },
    Receipt {
        receipt: Receipt,
    },
    Call(Box<CallEvent>),
}

/// A report about a call, with the call's identity.
#[derive(Serialize, Deserialize)]
pub struct CallEvent {
    pub call: CallId,
    pub org: OrgId,
    pub agent: AgentId,
    /// The agent's number.
    pub local: String,
    /// The contact's number.
    pub remote: String,
    pub started_at: Timestamp,
    pub report: CallReport,
    /// Set once the call has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conclusion: Option<Conclusion>,
}

#[derive(Serialize, Deserialize)]
pub struct Conclusion {
    pub handled_by: HandledBy,
    pub end_reason: String,
    /// Answered turns of the caller.
    pub turns: i64,
    pub latency: Value,
    /// The transcript, encrypted in the stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transcript: Option<String>,
    /// The caller has revoked consent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revocation: Option<SpokenRevocation>,
}

impl Envelope {
    /// Wraps a message, without invisible characters. Its body is encrypted.
    pub fn message(vault: &Vault, carrier: &str, route: &InboundRoute, message: InboundMessage) -> Self {
        let message = message.cleaned();
        let id = format!("evt_{}", digest(&[carrier, route.agent.as_str(), &message.carrier_id]));
        // Consists of strings, numbers and lists of them, so serialization cannot fail.
        let plain = serde_json::to_vec(&message).unwrap_or_default();
        Self {
            carrier: carrier.to_owned(),
            event: SealedEvent::Message {
                sealed: STANDARD.encode(vault.encrypt(&route.org, &id, &plain)),
                org: route.org.clone(),
                agent: route.agent.clone(),
                channel_id: Some(route.channel_id.clone()),
                is_blocked: route.blocked,
            },
            id,
        }
    }

    /// Wraps a delivery receipt.
    pub fn receipt(carrier: &str, receipt: &Receipt) -> Self {
        let error = receipt.error_code.as_deref().unwrap_or_default();
        let message = receipt.message.as_ref().map_or("", |message| message.as_str());
        // The report of another organization must not count as a repetition of this one.
        let org = receipt.org.as_ref().map_or("", |org| org.as_str());
        let mut parts = vec![carrier, message, &receipt.carrier_id, receipt.stage.as_str(), error];
        parts.extend((!org.is_empty()).then_some(org));
        Self {
            // A later status of the same message is not a repetition. Neither is a receipt that names the message after one
            // that did not.
            id: digest(&parts),
            carrier: carrier.to_owned(),
            event: SealedEvent::Receipt {
                receipt: receipt.clone(),
            },
        }
    }

    /// Wraps a report about a call. A carrier's repetition of a report has the same id.
    pub fn call(info: &CallInfo, report: CallReport) -> Self {
        // Consists of strings and numbers, so serialization cannot fail.
        let text = serde_json::to_string(&report).unwrap_or_default();
        Self {
            id: digest(&[&info.carrier, info.call.as_str(), &text]),
            carrier: info.carrier.clone(),
            event: SealedEvent::Call(Box::new(call_event(info, report))),
        }
    }

    /// Wraps the conclusion of a call. Every process derives the same id, so that the first one counts.
    pub fn conclusion(vault: &Vault, info: &CallInfo, report: &CallReport, conclusion: Conclusion) -> Self {
        let seal = |text: String| STANDARD.encode(vault.encrypt(&info.org, info.call.as_str(), text.as_bytes()));
        let conclusion = Conclusion {
            transcript: conclusion.transcript.map(seal),
            ..conclusion
        };
        Self {
            id: digest(&[&info.carrier, info.call.as_str(), "conclusion"]),
            carrier: info.carrier.clone(),
            event: SealedEvent::Call(Box::new(CallEvent {
                conclusion: Some(conclusion),
                ..call_event(info, report.clone())
            })),
        }
    }

    /// Wraps the message that a caller left: one per call, and a second one for a recording.
    pub fn call_message(vault: &Vault, info: &CallInfo, message: &InboundMessage) -> Self {
        let kind = match message.attachments.is_empty() {
            true => "message",
            false => "recording",
        };
        Self::of_call(vault, info, kind, message)
    }

    /// Wraps the recording of a conversation: one per call.
    pub fn call_recording(vault: &Vault, info: &CallInfo, message: &InboundMessage) -> Self {
        Self::of_call(vault, info, "conversation", message)
    }

    fn of_call(vault: &Vault, info: &CallInfo, kind: &str, message: &InboundMessage) -> Self {
        let id = format!("evt_{}", digest(&[&info.carrier, info.call.as_str(), kind]));
        let plain = serde_json::to_vec(&message.clone().cleaned()).unwrap_or_default();
        Self {
            carrier: info.carrier.clone(),
            event: SealedEvent::Message {
                sealed: STANDARD.encode(vault.encrypt(&info.org, &id, &plain)),
                org: info.org.clone(),
                agent: info.agent.clone(),
                channel_id: None,
                is_blocked: false,
            },
            id,
        }
    }

    /// Returns the key of the partition: the agent. For a receipt, which does not contain it, the carrier's id of the message.
    pub fn partition_key(&self) -> &str {
        match &self.event {
            SealedEvent::Message { agent, .. } => agent.as_str(),
            SealedEvent::Call(event) => event.agent.as_str(),
            SealedEvent::Receipt { receipt } => &receipt.carrier_id,
        }
    }

    /// The envelope as JSON.
    pub fn payload(&self) -> Vec<u8> {
        // Consists of strings, so serialization cannot fail.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Decrypts the message of an event. `None`: it cannot be decrypted; the reason is logged.
    pub fn open(vault: &Vault, org: &OrgId, id: &str, sealed: &str) -> Option<InboundMessage> {
        let sealed = STANDARD.decode(sealed).ok()?;
        let plain = vault.decrypt(org, id, &sealed);
        let plain = plain.inspect_err(|error| tracing::error!(%error, event = id, "message not decrypted"));
        serde_json::from_slice(&plain.ok()?).ok()
    }

    /// Encrypts the contents of a stored envelope for the newest key of the operator. `None`: there is nothing to do, as for an
    /// entry that is no envelope.
    pub fn reseal(vault: &Vault, payload: &[u8]) -> Result<Option<Vec<u8>>, Undecryptable> {
        let Ok(mut envelope) = serde_json::from_slice::<Self>(payload) else {
            return Ok(None);
        };
        let (org, context, sealed) = match &mut envelope.event {
            SealedEvent::Message { org, sealed, .. } => (&*org, envelope.id.as_str(), Some(sealed)),
            SealedEvent::Receipt { .. } => return Ok(None),
            SealedEvent::Call(call) => {
                let conclusion = call.conclusion.as_mut();
                let transcript = conclusion.and_then(|conclusion| conclusion.transcript.as_mut());
                (&call.org, call.call.as_str(), transcript)
            }
        };
        let Some(sealed) = sealed else { return Ok(None) };
        let plain = STANDARD.decode(&*sealed).map_err(|_| Undecryptable)?;
        let Some(resealed) = vault.reseal(org, context, &plain)? else {
            return Ok(None);
        };
        *sealed = STANDARD.encode(resealed);
        Ok(Some(envelope.payload()))
    }
}

/// Returns the addresses of persons in a stored entry of the organization. Empty for an entry that is no envelope, belongs to
/// another organization or cannot be decrypted.
pub fn addresses_of(vault: &Vault, org: &OrgId, payload: &[u8]) -> Vec<String> {
    let Ok(envelope) = serde_json::from_slice::<Envelope>(payload) else {
        return Vec::new();
    };
    match envelope.event {
        SealedEvent::Message { org: owner, sealed, .. } if owner == *org => {
            let message = Envelope::open(vault, org, &envelope.id, &sealed);
            let addresses = message.map(|message| {
                let others = message.aliases.into_iter().chain(message.former_addresses);
                std::iter::once(message.from).chain(others).collect()
            });
            addresses.unwrap_or_default()
        }
        SealedEvent::Call(call) if call.org == *org => vec![call.remote],
        _ => Vec::new(),
    }
}

fn call_event(info: &CallInfo, report: CallReport) -> CallEvent {
    CallEvent {
        call: info.call.clone(),
        org: info.org.clone(),
        agent: info.agent.clone(),
        local: info.local.clone(),
        remote: info.remote.clone(),
        started_at: info.started_at,
        report,
        conclusion: None,
    }
}

/// The first 128 bits of a hash over the parts, as hexadecimal digits.
pub fn digest(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    hex::encode(&hash.finalize()[..16])
}
