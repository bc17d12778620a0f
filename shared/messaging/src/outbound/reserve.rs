//! The reservation stage: takes from the rate limits, then writes the message, its idempotency key, its attempt and the
//! reserved money in one statement. No request to the carrier is made before that. The limits are given back if the message is
//! not accepted.

use std::{sync::Arc, time::Duration};

use butt_dial_billing::{EffectiveLimits, TakenQuotas};
use butt_dial_domain::{
    AgentId, Channel, Code, Failure, MessageId, Micros, OrgId, SendPurpose,
    message::{Content, ThreadRef},
    ports::carrier::Dispatch,
};
use butt_dial_store::{Acceptance, AcceptedSend, AttemptOutcome, ConsentStatus, SendResult, SettledSend, StoreError};
use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::{
    Allowance, Outbound, choose_sender,
    comply::{self, CompliantMessage},
    find_carrier::find_carrier,
    idempotency::PriorRequest,
    length,
    validate::ValidMessage,
};
use crate::Carrier;

/// Beyond the carrier's deadline: time to write the outcome before the reconciler takes the message over.
const RECORD_TIMEOUT: TimeDelta = TimeDelta::seconds(20);
/// Attempts times interval is as long as the reconciler leaves the message alone.
const WITHDRAW_ATTEMPTS: u32 = 100;
const WITHDRAW_INTERVAL: Duration = Duration::from_millis(250);
/// An acceptance that took longer has waited for locks, and what it read of the contact may be outdated.
const SLOW_ACCEPT: Duration = Duration::from_millis(100);
/// An error may hide a committed acceptance; the second attempt finds it.
const ACCEPT_ATTEMPTS: u32 = 2;
/// The attempt is repeated only if it failed sooner: a broken connection, and no database that does not answer.
const QUICK_FAILURE: Duration = Duration::from_secs(1);

/// A persisted message with a reservation. Its holder may send it once.
pub(super) struct ReservedMessage {
    pub dispatch: Dispatch,
    pub carrier: Carrier,
    pub estimate: Micros,
    pub agent: AgentId,
    pub org: OrgId,
    pub advice: Vec<String>,
    pub sender_advice: Option<&'static str>,
    pub thread: ThreadRef,
    /// A refusal keeps the idempotency key.
    pub keeps_key: bool,
    /// The person who receives the disclosure with this message.
    pub disclosed_to: Option<String>,
}

pub(super) enum Reservation {
    Reserved(Box<ReservedMessage>),
    /// A concurrent request with the same idempotency key was first.
    Prior(PriorRequest),
}

/// The content that is stored, encrypted, until the message is settled: enough to repeat the same request.
#[derive(Serialize, Deserialize)]
pub(crate) struct StoredContent {
    pub content: Content,
    pub sender_name: Option<String>,
}

/// Reserves limits and money, and persists the message. Fails with `RateLimited` or `SpendLimit` if a limit refuses.
pub(super) async fn reserve(outbound: &Arc<Outbound>, compliant: CompliantMessage) -> Result<Reservation, Failure> {
    let message = &compliant.message;
    let carrier = carrier_of(outbound, &compliant).await?;
    length::check(&carrier, message)?;
    let limits = match message.allowance {
        Allowance::Automatic => EffectiveLimits::unlimited(),
        Allowance::Agent | Allowance::Taken => limits_of(outbound, message),
    };
    let taken = take(outbound, message, &limits).await?;
    if let Err(refusal) = comply::check_content(outbound, &compliant).await {
        outbound.billing.give_back(&taken).await;
        return Err(refusal);
    }
    let estimate = estimate(outbound, &compliant, Some(carrier.id));
    let send = accepted_send(outbound, &compliant, &carrier, estimate, &limits);
    let (id, started) = (send.id.clone(), Instant::now());
    match accept(outbound, send.into()).await {
        Ok(Acceptance::Accepted)
            if started.elapsed() > SLOW_ACCEPT && !is_still_allowed(outbound, &compliant).await =>
        {
            outbound
                .tasks
                .spawn(withdraw(outbound.clone(), id, Code::ContactOptedOut));
            Err(comply::refuse_opted_out(outbound, &compliant).await)
        }
        Ok(Acceptance::Accepted) => {
            let reserved = reserved(outbound, compliant, carrier, estimate);
            Ok(Reservation::Reserved(Box::new(reserved)))
        }
        Ok(Acceptance::PriorRequest(id)) => {
            outbound.billing.give_back(&taken).await;
            Ok(Reservation::Prior(PriorRequest::new(id, message)))
        }
        // The contact has opted out since the rules were applied.
        Ok(Acceptance::OptedOut) => {
            outbound.billing.give_back(&taken).await;
            Err(comply::refuse_opted_out(outbound, &compliant).await)
        }
        Ok(Acceptance::TakenOver) => {
            outbound.billing.give_back(&taken).await;
            Err(comply::refuse_taken_over(outbound, &compliant.message).await)
        }
        // The taken actions are not given back: requests without money must not be unlimited.
        Err(StoreError::OverBudget) => {
            let agent = &message.profile.agent;
            let refusal = outbound.billing.explain_over_budget(agent, &limits, estimate).await;
            Err(refusal.on(message.channel))
        }
        Err(error) => {
            outbound.billing.give_back(&taken).await;
            if error.is_unavailable() {
                outbound
                    .tasks
                    .spawn(withdraw(outbound.clone(), id, Code::ServiceUnavailable));
            }
            Err(error.into())
        }
    }
}

/// Returns the carrier that the message is sent with.
pub(super) async fn carrier_of(outbound: &Outbound, compliant: &CompliantMessage) -> Result<Carrier, Failure> {
    let message = &compliant.message;
    match compliant.is_internal {
        true => Ok(outbound.internal_carrier.clone()),
        false => find_carrier(outbound, message.channel, message.sender.account.as_ref()).await,
    }
}

/// Returns the limits in force for the agent, its organization, the token that sends and the task.
pub(super) fn limits_of(outbound: &Outbound, message: &ValidMessage) -> EffectiveLimits {
    let token = message.restriction.as_ref();
    let token = token.and_then(|restriction| restriction.token_budget());
    let limits = outbound.billing.limits_of(&message.profile).with_token(token);
    limits.with_task(message.thread.task_id.clone())
}

/// Reads the consent again, after an acceptance that waited for a lock: the contact may have opted out meanwhile. A contact that
/// cannot be read is not written to.
async fn is_still_allowed(outbound: &Outbound, compliant: &CompliantMessage) -> bool {
    let message = &compliant.message;
    if compliant.is_colleague {
        return true;
    }
    let (agent, channel) = (&message.profile.agent, (&message.sender.id, message.channel));
    let contact = outbound
        .store
        .find_contact_state(&agent.org_id, &agent.id, channel, message.to.as_str(), "")
        .await;
    contact.is_ok_and(|contact| contact.consent != Some(ConsentStatus::Revoked))
}

/// Takes what the message needs from its rate limits.
async fn take(outbound: &Outbound, message: &ValidMessage, limits: &EffectiveLimits) -> Result<TakenQuotas, Failure> {
    match message.allowance {
        Allowance::Agent => {
            let actions = message.content.recipients();
            outbound.billing.take_several(&message.profile, limits, actions).await
        }
        Allowance::Taken => Ok(TakenQuotas::default()),
        Allowance::Automatic => outbound.billing.take_automatic_reply(&message.profile).await,
    }
}

/// Returns what is reserved for the message. Strangers cause automatic replies, so these use up no budget; their own limit
/// bounds their cost.
pub(super) fn estimate(outbound: &Outbound, compliant: &CompliantMessage, carrier: Option<&str>) -> Micros {
    let message = &compliant.message;
    if compliant.is_internal || message.allowance == Allowance::Automatic {
        return Micros::ZERO;
    }
    let prices = outbound.billing.prices();
    prices.estimate(message.channel, carrier, &message.to, &message.content)
}

fn sender_name(message: &ValidMessage) -> Option<String> {
    let own = message.sender_name.clone();
    own.or_else(|| Some(message.profile.agent.display_name.clone()))
}

/// Returns whether the text of a message may be kept. One-time codes exist in their message only.
fn may_keep(channel: Channel, purpose: SendPurpose) -> bool {
    channel != Channel::Voice && purpose != SendPurpose::Otp
}

fn accepted_send(
    outbound: &Outbound,
    compliant: &CompliantMessage,
    carrier: &Carrier,
    estimate: Micros,
    limits: &EffectiveLimits,
) -> AcceptedSend {
    let message = &compliant.message;
    let (id, org) = (message.id.clone(), message.profile.agent.org_id.clone());
    let vault = &outbound.vault;
    let now = outbound.clock.now();
    let deadline = TimeDelta::from_std(carrier.messaging.deadline()).unwrap_or(RECORD_TIMEOUT);
    let stored = StoredContent {
        content: message.content.clone(),
        sender_name: sender_name(message),
    };
    // Consists of strings and lists of strings, so serialization cannot fail.
    let plain = serde_json::to_vec(&stored).unwrap_or_default();
    // A message to an agent never falls back: its delivery does not fail later.
    let fallback = message.fallback.as_ref().filter(|_| !compliant.is_internal);
    let ruling = &compliant.ruling;
    AcceptedSend::builder()
        .maybe_fallback(fallback.map(|deferred| deferred.seal(vault, &org, &id)))
        .content(vault.encrypt(&org, id.as_str(), &plain))
        .is_kept(message.profile.keeps_texts && may_keep(message.channel, ruling.facts.purpose))
        .body_hash(vault.body_hash(&org, message.content.body.as_deref().unwrap_or_default()))
        .agent(message.profile.agent.id.clone())
        .channel(message.channel)
        .sender(message.from.as_str().to_owned())
        .recipient(message.to.as_str().to_owned())
        .maybe_contact((!compliant.is_colleague).then(|| message.to.contact_key()))
        .is_answer(compliant.is_answer)
        .idempotency_key(message.idempotency_key.clone())
        .request_hash(message.request_hash.clone())
        .verdict(ruling.decision.label())
        .maybe_rule(ruling.decision.rule().map(str::to_owned))
        .purpose(ruling.facts.purpose)
        .ruling(ruling.record())
        .carrier(carrier.id)
        .estimate(estimate.0)
        .agent_limits(limits.agent)
        .org_limits(limits.org)
        .maybe_budget(limits.token.clone())
        .thread(message.thread.clone())
        .replica(outbound.replica.to_string())
        .at(now)
        .check_at(now + deadline + RECORD_TIMEOUT)
        .id(id)
        .org(org)
        .build()
}

async fn accept(outbound: &Outbound, send: Arc<AcceptedSend>) -> Result<Acceptance, StoreError> {
    for _ in 1..ACCEPT_ATTEMPTS {
        let started = Instant::now();
        match outbound.store.accept_send(send.clone()).await {
            // A database that hangs would let the client wait for another time limit.
            Err(error) if error.is_unavailable() && started.elapsed() < QUICK_FAILURE => {
                tracing::info!(%error, message_id = %send.id, "acceptance retried");
            }
            result => return result,
        }
    }
    outbound.store.accept_send(send).await
}

/// Marks an unsent message as failed. Its acceptance may have been committed. The reconciler must not find
/// it: its repeat with a key could be the first request to the carrier.
async fn withdraw(outbound: Arc<Outbound>, id: MessageId, failure: Code) {
    let result = SendResult::Failed {
        failure: failure.as_str(),
        frees_key: failure.is_retryable(),
    };
    for _ in 0..WITHDRAW_ATTEMPTS {
        let settled = SettledSend {
            id: id.clone(),
            result: result.clone(),
            outcome: AttemptOutcome::NotSent,
            detail: None,
            disclosed_to: None,
            trace: None,
            at: outbound.clock.now(),
        };
        if outbound.store.settle_send(settled).await.is_ok() || outbound.tasks.is_closed() {
            return;
        }
        tokio::time::sleep(WITHDRAW_INTERVAL).await;
    }
    tracing::error!(message_id = %id, "unsent message not withdrawn; it ends as unconfirmed");
}

fn reserved(outbound: &Outbound, compliant: CompliantMessage, carrier: Carrier, estimate: Micros) -> ReservedMessage {
    let advice = compliant.advice();
    let discloses = compliant.ruling.decision.inserts_disclosure();
    let CompliantMessage {
        message, is_internal, ..
    } = compliant;
    // Another agent can't check a name: it gets the one under which the sender is registered.
    let sender_name = match is_internal {
        true => Some(message.profile.agent.display_name.clone()),
        false => sender_name(&message),
    };
    let sender_advice = match is_internal {
        true => None,
        false => choose_sender::advise(&message.sender, &message.to),
    };
    let urls = &outbound.public_urls;
    let call_urls = message.content.call.as_ref();
    ReservedMessage {
        disclosed_to: discloses.then(|| message.to.contact_key()),
        dispatch: Dispatch {
            callback: urls.receipts(carrier.id, &message.id),
            call_urls: call_urls.and_then(|_| urls.call_urls(carrier.id, message.id.as_str())),
            message: message.id,
            channel: message.channel,
            from: message.from,
            to: message.to,
            content: message.content,
            sender_name,
        },
        carrier,
        estimate,
        keeps_key: message.keeps_key,
        agent: message.profile.agent.id.clone(),
        org: message.profile.agent.org_id.clone(),
        advice,
        sender_advice,
        thread: message.thread,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_time_codes_and_calls_are_not_kept() {
        assert!(
            may_keep(Channel::Sms, SendPurpose::Transactional) && may_keep(Channel::Email, SendPurpose::Undeclared)
        );
        assert!(!may_keep(Channel::Sms, SendPurpose::Otp) && !may_keep(Channel::Voice, SendPurpose::Transactional));
    }
}
