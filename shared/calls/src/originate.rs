//! A call of ours: asked for by its agent, sent down the one pipeline, and expected before the carrier can ask about it.

use std::{sync::Arc, time::Duration};

use butt_dial_domain::{
    Address, AgentId, CallId, Channel, Code, Failure, MessageId, OrgId,
    call::{CallOptions, Direction, Plan, Purpose},
    ids, keys,
    message::Status,
    ports::{carrier::Dispatch, kv::KvError},
};
use butt_dial_store::CallEntry;
use chrono::TimeDelta;

use super::{
    state::{self, CallInfo, CallState},
    webhook::LANGUAGE,
};
use crate::{
    Comms, compliance,
    identity::Caller,
    outbound::{self, SendReceipt, SendRequest},
};

const RING_SECONDS: u32 = 30;
/// Shorter, and nobody gets to the telephone; Twilio takes up to ten minutes.
const RINGS: std::ops::RangeInclusive<u32> = 5..=120;
const SHORTEST: u32 = 30;
/// The carrier ends the call this much later than we do, so that we can say goodbye.
const GRACE: u32 = 15;

/// What an agent wants of a call.
pub struct OriginateRequest {
    pub caller: Arc<Caller>,
    /// For administrators: the agent that calls.
    pub agent: Option<String>,
    pub to: String,
    pub purpose: Purpose,
    /// The first words, after the disclosure.
    pub greeting: Option<String>,
    pub system_prompt: Option<String>,
    /// The carrier's name of a voice.
    pub voice: Option<String>,
    /// BCP 47.
    pub language: Option<String>,
    /// For whom is called; the agent's own name without it.
    pub name: Option<String>,
    pub limit_seconds: Option<u32>,
    pub ring_seconds: Option<u32>,
    pub detects_machine: bool,
    pub idempotency_key: Option<String>,
}

impl OriginateRequest {
    pub fn new(caller: Arc<Caller>, to: String, purpose: Purpose) -> Self {
        Self {
            caller,
            agent: None,
            to,
            purpose,
            greeting: None,
            system_prompt: None,
            voice: None,
            language: None,
            name: None,
            limit_seconds: None,
            ring_seconds: None,
            detects_machine: false,
            idempotency_key: None,
        }
    }
}

/// A call that the carrier has taken, or may have.
pub struct OriginatedCall {
    /// The first one's, where the idempotency key has named a call before.
    pub call: CallId,
    pub receipt: SendReceipt,
}

/// Calls somebody, exactly once.
pub async fn originate(comms: &Comms, request: OriginateRequest) -> Result<OriginatedCall, Failure> {
    if comms.settings.public_url.is_none() {
        return Err(Failure::new(
            Code::NotSupported,
            "nobody can be called: this installation has no public address",
        )
        .on(Channel::Voice)
        .hint("an operator has to set WEBHOOK_BASE_URL"));
    }
    let receipt = comms.send(send_request(comms, request)).await?;
    let call = CallId::from(receipt.message.as_str());
    Ok(OriginatedCall { call, receipt })
}

/// Whether the key has named a call, or a message, of the agent's before.
pub async fn is_key_used(comms: &Comms, agent: &AgentId, key: &str) -> Result<bool, Failure> {
    // No key of anybody's holds these, and Postgres refuses some of them as text.
    if key.chars().any(char::is_control) {
        return Ok(false);
    }
    let found = comms.store.find_message_by_key(agent, key).await?;
    Ok(found.is_some())
}

fn send_request(comms: &Comms, request: OriginateRequest) -> SendRequest {
    let max_duration = u32::try_from(comms.settings.calls.max_duration.as_secs()).unwrap_or(u32::MAX);
    let limit = request.limit_seconds.unwrap_or(max_duration);
    let limit = limit.max(SHORTEST).min(max_duration);
    let ring = request.ring_seconds.unwrap_or(RING_SECONDS);
    // What is going to be said is looked at like any message.
    let body = match &request.purpose {
        Purpose::Message { text, .. } => Some(text.clone()),
        Purpose::Converse | Purpose::Connect { .. } => request.greeting.clone(),
    };
    SendRequest {
        agent: request.agent,
        body,
        sender_name: request.name,
        idempotency_key: request.idempotency_key,
        id: Some(MessageId::from(CallId::generate().into_string())),
        call: Some(CallOptions {
            ring_seconds: ring.clamp(*RINGS.start(), *RINGS.end()),
            limit_seconds: limit.saturating_add(GRACE),
            detects_machine: request.detects_machine,
            digits: None,
            plan: Plan {
                purpose: request.purpose,
                greeting: request.greeting,
                system_prompt: request.system_prompt,
                voice: request.voice,
                language: request.language,
            },
        }),
        ..SendRequest::new(request.caller, Channel::Voice, &request.to)
    }
}

/// Whose call it is, as the pipeline knows it.
pub struct CallOwner<'a> {
    pub agent: &'a AgentId,
    pub org: &'a OrgId,
}

/// Writes down what is known of a call before the carrier learns of it: it asks as soon as somebody answers.
pub async fn create_pending(
    comms: &Comms,
    owner: &CallOwner<'_>,
    carrier: &'static str,
    dispatch: &Dispatch,
    placing: &CallOptions,
) -> Result<(), KvError> {
    let now = comms.clock.now();
    let limit = placing.limit_seconds.saturating_sub(GRACE);
    let plan = placing.plan.clone();
    let state = CallState::new(CallInfo {
        call: CallId::from(dispatch.message.as_str()),
        org: owner.org.clone(),
        agent: owner.agent.clone(),
        carrier: carrier.to_owned(),
        carrier_id: None,
        direction: Direction::Outbound,
        local: dispatch.from.as_str().to_owned(),
        remote: dispatch.to.as_str().to_owned(),
        name: dispatch.sender_name.clone().unwrap_or_default(),
        language: plan.language.clone().unwrap_or_else(|| LANGUAGE.to_owned()),
        plan,
        started_at: now,
        limit_at: now + TimeDelta::from_std(Duration::from_secs(limit.into())).unwrap_or_default(),
    });
    state::create(comms, &state).await
}

/// The carrier has refused the call: there is none.
pub async fn discard_pending(comms: &Comms, message: &MessageId) {
    let key = keys::call_state(&CallId::from(message.as_str()));
    if let Err(error) = comms.kv.delete(&key).await {
        tracing::info!(%error, call = %message, "a call that was refused is remembered for some hours");
    }
}

/// Writes a call that the carrier has taken into the database. Its callbacks do the same: whoever is first.
pub async fn record_call(comms: &Comms, owner: &CallOwner<'_>, receipt: &SendReceipt) {
    if receipt.status != Status::Accepted {
        return;
    }
    let entry = CallEntry {
        id: CallId::from(receipt.message.as_str()),
        org: owner.org.clone(),
        agent: owner.agent.clone(),
        direction: Direction::Outbound,
        carrier: receipt.carrier.clone().unwrap_or_default(),
        carrier_id: receipt.carrier_id.clone(),
        local_number: receipt.from.clone(),
        remote_number: receipt.to.clone(),
        at: comms.clock.now(),
    };
    if let Err(error) = comms.store.open_call(&entry).await {
        tracing::warn!(%error, call = %entry.id, "a call is not written down yet; its callbacks do it");
    }
}

/// Whoever a call is handed to is called as well, so the same rules stand before it. Returns the number, normalized.
pub async fn check_callee(comms: &Comms, caller: &Caller, to: &str) -> Result<Address, Failure> {
    let profile = caller.agent()?;
    let address = outbound::recipient(Channel::Voice, to)?;
    let sender = outbound::sender(profile, Channel::Voice, None)?;
    let agent = &profile.agent;
    let contact = comms
        .store
        .find_contact_state(
            &agent.org_id,
            &agent.id,
            (&sender.id, Channel::Voice),
            address.as_str(),
            // No message has it: the keys of messages that have none are made up.
            &ids::random(),
        )
        .await?;
    let question = compliance::Facts {
        channel: Channel::Voice,
        to: &address,
        content: &Default::default(),
        contact: &contact,
        simulated_world: comms.settings.simulated_world,
        now: comms.clock.now(),
    };
    compliance::check(comms, &agent.id, &question)?;
    Ok(address)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{identity, inbound::tests::bench::Bench};

    async fn request(bench: &Bench) -> OriginateRequest {
        let caller = identity::on_behalf_of(&bench.comms, &bench.agent.id).await.unwrap();
        OriginateRequest::new(caller.unwrap(), "+14155550123".into(), Purpose::Converse)
    }

    #[tokio::test]
    async fn times_are_kept_within_what_is_allowed() {
        let bench = Bench::new().await;
        let max_duration = u32::try_from(bench.comms.settings.calls.max_duration.as_secs()).unwrap();
        for (asked, given) in [
            (None, max_duration),
            (Some(0), SHORTEST),
            (Some(60), 60),
            (Some(u32::MAX), max_duration),
        ] {
            let mut wanted = request(&bench).await;
            (wanted.limit_seconds, wanted.ring_seconds) = (asked, asked);
            let placing = send_request(&bench.comms, wanted).call.unwrap();
            assert_eq!(placing.limit_seconds, given + GRACE, "{asked:?}");
            assert!(RINGS.contains(&placing.ring_seconds), "{asked:?}");
        }
    }

    #[tokio::test]
    async fn what_is_to_be_said_is_looked_at_like_a_message() {
        let bench = Bench::new().await;
        let mut wanted = request(&bench).await;
        wanted.greeting = Some("Hello".into());
        let sent = send_request(&bench.comms, wanted);
        assert_eq!(sent.body.as_deref(), Some("Hello"));
        assert!(sent.id.unwrap().as_str().starts_with(CallId::PREFIX));
        let mut wanted = request(&bench).await;
        wanted.purpose = Purpose::Message {
            text: "Your table is free.".into(),
            sound_url: None,
        };
        let sent = send_request(&bench.comms, wanted);
        assert_eq!(sent.body.as_deref(), Some("Your table is free."));
    }
}
