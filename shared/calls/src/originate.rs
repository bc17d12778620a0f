//! Origination of outbound calls. A call passes the send pipeline like a message, which persists its pending state
//! (`call_records.rs`) before the carrier learns of it.

use std::{ops::RangeInclusive, sync::Arc};

use butt_dial_compliance::Subject;
use butt_dial_domain::{
    Address, AgentId, CallId, Channel, Code, Failure, MessageId, SendPurpose,
    call::{AutomatonActions, CallOptions, InterruptSensitivity, Plan, Purpose},
    ids,
    message::ThreadRef,
    text::clean_line,
};
use butt_dial_identity::Caller;
use butt_dial_messaging::{
    SendReceipt, SendRequest, check_not_taken_over,
    outbound::{Preflight, find_own_sender, parse_recipient},
};

use super::{
    handle::Calls,
    speech::require_speakable,
    voice_settings::{check_hints, check_language, check_voice, parse_finish_key},
};

const DEFAULT_RING_SECONDS: u32 = 30;
/// Long enough for the callee to reach the phone. Twilio allows up to ten minutes.
const RING_SECONDS: RangeInclusive<u32> =
    butt_dial_domain::bounds::MIN_RING_SECONDS..=butt_dial_domain::bounds::MAX_RING_SECONDS;
const MIN_LIMIT_SECONDS: u32 = butt_dial_domain::bounds::MIN_CALL_SECONDS;
/// The carrier ends the call this much later than the relay, which needs the time to say goodbye.
pub(crate) const HANGUP_GRACE_SECONDS: u32 = 15;

/// A request to place a call.
pub struct OriginateRequest {
    pub caller: Arc<Caller>,
    /// The agent to call as, for administrators.
    pub agent: Option<String>,
    pub to: String,
    pub purpose: Purpose,
    /// Why the call is made, for the rules of compliance. `None`: it is inferred.
    pub send_purpose: Option<SendPurpose>,
    /// The first words after the disclosure.
    pub greeting: Option<String>,
    pub system_prompt: Option<String>,
    /// The carrier's name of a voice.
    pub voice: Option<String>,
    /// BCP 47.
    pub language: Option<String>,
    /// The name in the disclosure. `None`: the agent's name.
    pub name: Option<DisclosedName>,
    pub limit_seconds: Option<u32>,
    pub ring_seconds: Option<u32>,
    pub detects_machine: bool,
    /// Likely words, for speech recognition.
    pub hints: Vec<String>,
    pub interrupt_sensitivity: Option<InterruptSensitivity>,
    /// The key that ends the input of digits.
    pub finish_on_key: Option<String>,
    /// Numbers, prices, dates and addresses are written the way people say them.
    pub spoken_forms: Option<bool>,
    /// The conversation is recorded, after an announcement.
    pub is_recorded: Option<bool>,
    pub idempotency_key: Option<String>,
    /// The task that the call belongs to.
    pub task: Option<String>,
}

impl OriginateRequest {
    pub fn new(caller: Arc<Caller>, to: String, purpose: Purpose) -> Self {
        Self {
            caller,
            agent: None,
            to,
            purpose,
            send_purpose: None,
            greeting: None,
            system_prompt: None,
            voice: None,
            language: None,
            name: None,
            limit_seconds: None,
            ring_seconds: None,
            detects_machine: false,
            hints: Vec::new(),
            interrupt_sensitivity: None,
            finish_on_key: None,
            spoken_forms: None,
            is_recorded: None,
            idempotency_key: None,
            task: None,
        }
    }
}

/// A call that the carrier has accepted, or may have accepted.
pub struct OriginatedCall {
    /// For a repeated idempotency key, the call of the first request.
    pub call: CallId,
    pub receipt: SendReceipt,
}

/// Places a call, exactly once.
pub async fn originate(calls: &Calls, request: OriginateRequest) -> Result<OriginatedCall, Failure> {
    require_public_url(calls)?;
    check_language(request.language.as_deref())?;
    check_voice(request.voice.as_deref())?;
    check_hints(&request.hints)?;
    check_speech(&request)?;
    let finish_on_key = request.finish_on_key.as_deref().map(parse_finish_key).transpose()?;
    let request = OriginateRequest {
        finish_on_key: finish_on_key.flatten(),
        ..request
    };
    let receipt = calls.outbound.send(build_send_request(calls, request)).await?;
    let call = CallId::from(receipt.message.as_str());
    Ok(OriginatedCall { call, receipt })
}

/// Checks whether a call would be placed, without effect.
pub async fn preflight(calls: &Calls, request: OriginateRequest) -> Result<Preflight, Failure> {
    require_public_url(calls)?;
    check_speech(&request)?;
    calls.outbound.preflight(build_send_request(calls, request)).await
}

/// Fails without a public address: the carrier could not reach the program.
fn require_public_url(calls: &Calls) -> Result<(), Failure> {
    match calls.public_urls.base() {
        Some(_) => Ok(()),
        None => Err(Failure::new(
            Code::NotSupported,
            "calls can't be placed: this installation has no public address",
        )
        .on(Channel::Voice)
        .hint("an operator has to set WEBHOOK_BASE_URL")),
    }
}

/// Rejects texts without anything that can be spoken. A blank greeting is none.
fn check_speech(request: &OriginateRequest) -> Result<(), Failure> {
    let given = |text: &&str| !text.trim().is_empty();
    let text = match &request.purpose {
        Purpose::Message { text, .. } => Some(("text", text.as_str())),
        Purpose::Converse | Purpose::Connect { .. } => request.greeting.as_deref().map(|text| ("greeting", text)),
    };
    match text.filter(|(_, text)| given(text)) {
        Some((field, text)) => require_speakable(field, text, request.language.as_deref()).map(drop),
        None => Ok(()),
    }
}

/// Characters of the name of a person that a call is made for.
const MAX_REQUESTER: usize = butt_dial_domain::bounds::REQUESTER;
/// Characters of the name of an organization, as far as it is spoken.
const MAX_ORGANIZATION: usize = 60;

/// For which person and organization a call is made, as it is spoken to the callee.
pub struct DisclosedName(String);

impl DisclosedName {
    /// Names the person and the organization: the callee must learn who is responsible for the call. The name of the person
    /// passes the content rules like any text that is spoken.
    pub async fn on_behalf_of(calls: &Calls, caller: &Caller, requester: Option<&str>) -> Result<Self, Failure> {
        let org = calls.store.find_organization(caller.org()?).await?;
        let org = org.ok_or_else(Failure::internal)?;
        let org = clean_line(&org.name, MAX_ORGANIZATION);
        let agent = &caller.agent()?.agent;
        let Some(requester) = requester.map(str::trim).filter(|name| !name.is_empty()) else {
            return Ok(Self(format!(
                "{}, {org}",
                clean_line(&agent.display_name, MAX_REQUESTER)
            )));
        };
        if requester.chars().count() > MAX_REQUESTER || requester.chars().any(char::is_control) {
            let message = format!("requesterName is one line of at most {MAX_REQUESTER} characters");
            return Err(Failure::new(Code::InvalidArgument, message).hint("give the name of the person only"));
        }
        calls.compliance.check_text(&agent.id, Channel::Voice, requester)?;
        Ok(Self(format!("{requester}, {org}")))
    }
}

/// Returns whether the agent has used the idempotency key before, for a call or a message.
pub async fn is_key_used(calls: &Calls, agent: &AgentId, key: &str) -> Result<bool, Failure> {
    calls.outbound.has_idempotency_key(agent, key).await
}

fn build_send_request(calls: &Calls, request: OriginateRequest) -> SendRequest {
    let max = u32::try_from(calls.settings.max_duration.as_secs()).unwrap_or(u32::MAX);
    let limit = request.limit_seconds.unwrap_or(max).max(MIN_LIMIT_SECONDS).min(max);
    let ring = request.ring_seconds.unwrap_or(DEFAULT_RING_SECONDS);
    // The compliance rules check the text that will be spoken, as for a message.
    let body = match &request.purpose {
        Purpose::Message { text, .. } => Some(text.clone()),
        Purpose::Converse | Purpose::Connect { .. } => request.greeting.clone(),
    };
    SendRequest {
        agent: request.agent,
        body,
        sender_name: request.name.map(|name| name.0),
        thread: ThreadRef {
            task_id: request.task,
            ..ThreadRef::default()
        },
        purpose: request.send_purpose,
        idempotency_key: request.idempotency_key,
        id: Some(MessageId::from(CallId::generate().into_string())),
        call: Some(CallOptions {
            ring_seconds: ring.clamp(*RING_SECONDS.start(), *RING_SECONDS.end()),
            limit_seconds: limit.saturating_add(HANGUP_GRACE_SECONDS),
            detects_machine: request.detects_machine,
            digits: None,
            plan: Plan {
                purpose: request.purpose,
                greeting: request.greeting,
                system_prompt: request.system_prompt,
                voice: request.voice,
                language: request.language,
                hints: request.hints,
                interrupt_sensitivity: request.interrupt_sensitivity,
                finish_on_key: request.finish_on_key,
                spoken_forms: request.spoken_forms,
                is_recorded: request.is_recorded,
                automata: AutomatonActions::default(),
            },
        }),
        ..SendRequest::new(request.caller, Channel::Voice, &request.to)
    }
}

/// Fails if the caller's token is not granted a call to a person, before anything is paid for it. An invalid number is refused
/// later.
pub fn require_granted(caller: &Caller, to: &str) -> Result<(), Failure> {
    match Address::parse(Channel::Voice, to) {
        Ok(to) => caller.require_recipient(Channel::Voice, &to, None),
        Err(_) => caller.require_channel(Channel::Voice),
    }
}

/// Checks the compliance rules for a number that an existing call is connected with. Returns the normalized number.
pub async fn check_callee(calls: &Calls, caller: &Caller, to: &str) -> Result<Address, Failure> {
    let profile = caller.agent()?;
    let address = parse_recipient(Channel::Voice, to)?;
    caller.require_recipient(Channel::Voice, &address, None)?;
    let sender = find_own_sender(profile, Channel::Voice, None)?;
    let agent = &profile.agent;
    // No message has this key.
    let key = ids::random();
    let contact = calls
        .store
        .find_contact_state(
            &agent.org_id,
            &agent.id,
            (&sender.id, Channel::Voice),
            address.as_str(),
            &key,
        )
        .await?;
    let (by, key) = ((&agent.id, &caller.principal.token), address.contact_key());
    check_not_taken_over(&calls.store, by, (&key, &contact), calls.clock.now()).await?;
    let ruling = calls.compliance.decide(&Subject {
        channel: Channel::Voice,
        to: &address,
        content: &Default::default(),
        contact: &contact,
        purpose: None,
        at: calls.clock.now(),
        marketing_sent: 0,
        is_approved: false,
        has_postal_address: true,
        discloses: None,
        is_restrained: profile.restraints.confirms_at(calls.clock.now()),
        is_tainted: profile.is_tainted_at(calls.clock.now()),
    });
    let refusal = calls.compliance.refusal(&agent.id, &ruling);
    match refusal.or_else(|| calls.compliance.refuse_waiting(&agent.id, &ruling)) {
        Some(refusal) => Err(refusal),
        None => Ok(address),
    }
}

#[cfg(test)]
mod tests {
    use butt_dial_identity::on_behalf_of;

    use super::*;
    use crate::tests::Bench;

    async fn request(bench: &Bench) -> OriginateRequest {
        let caller = on_behalf_of(&bench.calls.store, &bench.agent.id).await.unwrap();
        OriginateRequest::new(caller.unwrap(), "+14155550123".into(), Purpose::Converse)
    }

    #[tokio::test]
    async fn clamps_time_limit_and_ring_time() {
        let bench = Bench::new().await;
        let max_duration = u32::try_from(bench.calls.settings.max_duration.as_secs()).unwrap();
        for (requested, expected) in [
            (None, max_duration),
            (Some(0), MIN_LIMIT_SECONDS),
            (Some(60), 60),
            (Some(u32::MAX), max_duration),
        ] {
            let mut call = request(&bench).await;
            (call.limit_seconds, call.ring_seconds) = (requested, requested);
            let options = build_send_request(&bench.calls, call).call.unwrap();
            assert_eq!(options.limit_seconds, expected + HANGUP_GRACE_SECONDS, "{requested:?}");
            assert!(RING_SECONDS.contains(&options.ring_seconds), "{requested:?}");
        }
    }

    #[tokio::test]
    async fn names_person_and_organization_of_call_on_behalf() {
        let bench = Bench::new().await;
        let caller = request(&bench).await.caller;
        let org = bench
            .calls
            .store
            .find_organization(&bench.agent.org_id)
            .await
            .unwrap()
            .unwrap()
            .name;
        let disclosed = async |requester| DisclosedName::on_behalf_of(&bench.calls, &caller, requester).await;
        let named = |result: Result<DisclosedName, Failure>| result.map(|name| name.0).ok();
        assert_eq!(named(disclosed(Some("Ann Lee")).await), Some(format!("Ann Lee, {org}")));
        let own = Some(format!("{}, {org}", bench.agent.display_name));
        assert_eq!(named(disclosed(None).await), own);
        assert_eq!(named(disclosed(Some(" ")).await), own);
        for invalid in ["Ann\nLee", &"x".repeat(MAX_REQUESTER + 1)] {
            let refusal = disclosed(Some(invalid)).await.err().unwrap();
            assert_eq!(refusal.code, Code::InvalidArgument, "{invalid:?}");
        }
    }

    #[tokio::test]
    async fn submits_spoken_text_to_compliance_rules() {
        let bench = Bench::new().await;
        let mut call = request(&bench).await;
        call.greeting = Some("Hello".into());
        let sent = build_send_request(&bench.calls, call);
        assert_eq!(sent.body.as_deref(), Some("Hello"));
        assert!(sent.id.unwrap().as_str().starts_with(CallId::PREFIX));
        let mut call = request(&bench).await;
        call.purpose = Purpose::Message {
            text: "Your table is free.".into(),
            sound_url: None,
        };
        let sent = build_send_request(&bench.calls, call);
        assert_eq!(sent.body.as_deref(), Some("Your table is free."));
    }
}
