//! Rate limits and spend, and the moment of acceptance: the message, its key, its attempt and its reservation are written
//! before anything leaves. Whatever is taken from the limits goes back when the message is not accepted after all.

use std::{sync::Arc, time::Duration};

use butt_dial_domain::{
    Channel, Code, Failure, MessageId, Micros,
    limits::Limits,
    message::Content,
    ports::{
        carrier::Dispatch,
        kv::{self, Quota},
    },
};
use butt_dial_store::{Acceptance, AcceptedSend, SendResult, SettledSend, StoreError};
use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use super::{
    clean::CleanMessage,
    clear::{ClearedMessage, earlier},
    inside,
    receipt::Earlier,
};
use crate::{
    Carrier, Comms,
    billing::{
        budget,
        limits::{self, NamedQuota},
        prices,
    },
    compliance::Opinion,
    store_failure,
};

/// Beyond the carrier's deadline: how long a sender may take to write the outcome down before the reconciler steps in.
const RECORDING: TimeDelta = TimeDelta::seconds(20);
/// Together as long as the reconciler leaves the message alone.
const WITHDRAWALS: u32 = 100;
const WITHDRAWAL_PAUSE: Duration = Duration::from_millis(250);
/// An error may hide that the acceptance was committed; the repeat finds out.
const TRIES: u32 = 2;

/// A message that is written down and may be sent: once, by whoever holds this.
pub struct AdmittedMessage {
    pub dispatch: Dispatch,
    pub carrier: Carrier,
    pub estimate: Micros,
    pub agent: butt_dial_domain::AgentId,
    pub org: butt_dial_domain::OrgId,
    pub advice: Option<&'static str>,
    pub thread_id: Option<String>,
    pub entity_id: Option<String>,
    pub reply_msg_id: Option<String>,
}

pub enum Admission {
    Admitted(Box<AdmittedMessage>),
    /// A request with the same key was faster.
    Earlier(Earlier),
}

pub async fn admit(comms: &Comms, cleared: ClearedMessage) -> Result<Admission, Failure> {
    let message = &cleared.message;
    let carrier = match cleared.stays_inside {
        true => inside::carrier(&comms.store, &comms.bus, &comms.vault),
        false => find_carrier(comms, message.channel)?,
    };
    let agent_limits = message.profile.agent_limits.unwrap_or(comms.settings.default_limits);
    let org_limits = message.profile.org_limits.unwrap_or_default();
    let taken = take(comms, &limits::quotas(&message.profile, &agent_limits, &org_limits)).await?;

    let estimate = match cleared.stays_inside {
        true => Micros::ZERO,
        false => prices::estimate(message.channel, &message.to, &message.content),
    };
    let send = accepted_send(comms, &cleared, &carrier, estimate, agent_limits, org_limits);
    let id = send.id.clone();
    match accept(comms, send.into()).await {
        Ok(Acceptance::Accepted) => Ok(Admission::Admitted(Box::new(admitted(
            comms, cleared, id, carrier, estimate,
        )))),
        Ok(Acceptance::Earlier(id)) => {
            give_back(comms, &taken).await;
            Ok(Admission::Earlier(earlier(id, &cleared.message)))
        }
        // What was taken stays taken: whoever has no money left must not be able to ask without limit.
        Err(StoreError::OverBudget) => {
            let (agent, limits) = (&message.profile.agent, (agent_limits, org_limits));
            Err(budget::refusal(comms, agent, limits, estimate)
                .await
                .on(message.channel))
        }
        Err(error) => {
            give_back(comms, &taken).await;
            if error.is_unavailable() {
                comms.tasks.spawn(withdraw(comms.clone(), id));
            }
            Err(store_failure(error))
        }
    }
}

/// What is kept, encrypted, until the message is settled: enough to make the very same request again.
#[derive(Serialize, Deserialize)]
pub struct StoredContent {
    pub content: Content,
    pub sender_name: Option<String>,
}

fn sender_name(message: &CleanMessage) -> Option<String> {
    message
        .sender_name
        .clone()
        .or_else(|| Some(message.profile.agent.display_name.clone()))
}

fn find_carrier(comms: &Comms, channel: Channel) -> Result<Carrier, Failure> {
    comms.carriers.find(channel).cloned().ok_or_else(|| {
        Failure::new(Code::NotSupported, format!("no carrier is configured for {channel}"))
            .on(channel)
            .remedy("an operator has to set the carrier's credentials; `butt-dial doctor` says which")
    })
}

/// Takes one from every limit, or nothing from any.
pub(crate) async fn take(comms: &Comms, quotas: &[NamedQuota]) -> Result<Vec<Quota>, Failure> {
    let taken: Vec<Quota> = quotas.iter().map(|named| named.quota.clone()).collect();
    if taken.is_empty() {
        return Ok(taken);
    }
    match comms.kv.take(&taken).await {
        Ok(kv::Admission::Granted) => Ok(taken),
        Ok(kv::Admission::Denied {
            quota,
            retry_after,
            remaining,
        }) => {
            let refused = quotas.get(quota).ok_or_else(Failure::internal)?;
            comms.metrics.refusal(refused.scope, refused.window.as_str());
            Err(limits::rate_limited(refused, remaining, retry_after))
        }
        // Sending costs money: without a limit that can be checked, nothing is sent.
        Err(error) => {
            tracing::warn!(%error, "the rate limits can't be checked");
            Err(
                Failure::unavailable("the rate limits can't be checked right now; nothing was sent")
                    .remedy("try again with the same idempotencyKey"),
            )
        }
    }
}

async fn give_back(comms: &Comms, taken: &[Quota]) {
    if !taken.is_empty()
        && let Err(error) = comms.kv.give_back(taken).await
    {
        tracing::warn!(%error, "could not give back what a send took from its limits");
    }
}

fn accepted_send(
    comms: &Comms,
    cleared: &ClearedMessage,
    carrier: &Carrier,
    estimate: Micros,
    agent_limits: Limits,
    org_limits: Limits,
) -> AcceptedSend {
    let message = &cleared.message;
    let (id, org) = (message.id.clone(), message.profile.agent.org_id.clone());
    let now = comms.clock.now();
    let deadline = TimeDelta::from_std(carrier.messaging.deadline()).unwrap_or(RECORDING);
    let stored = StoredContent {
        content: message.content.clone(),
        sender_name: sender_name(message),
    };
    // Made of strings and lists of them: it always serializes.
    let plain = serde_json::to_vec(&stored).unwrap_or_default();
    // Agents get what is meant for them.
    let fallback = message.fallback.as_ref().filter(|_| !cleared.stays_inside);
    AcceptedSend {
        fallback: fallback.map(|later| later.seal(&comms.vault, &org, &id)),
        content: comms.vault.encrypt(&org, id.as_str(), &plain),
        body_hash: comms
            .vault
            .body_hash(&org, message.content.body.as_deref().unwrap_or_default()),
        agent: message.profile.agent.id.clone(),
        channel: message.channel,
        sender: message.from.as_str().to_owned(),
        recipient: message.to.as_str().to_owned(),
        idempotency_key: message.idempotency_key.clone(),
        request_hash: message.request_hash.clone(),
        verdict: cleared.ruling.verdict(),
        rule: (cleared.ruling.opinion != Opinion::Allow).then(|| cleared.ruling.rule.to_owned()),
        carrier: carrier.id,
        estimate: estimate.0,
        agent_limits,
        org_limits,
        thread_id: message.thread_id.clone(),
        entity_id: message.entity_id.clone(),
        reply_msg_id: message.reply_msg_id.clone(),
        replica: comms.replica.to_string(),
        at: now,
        check_at: now + deadline + RECORDING,
        id,
        org,
    }
}

async fn accept(comms: &Comms, send: Arc<AcceptedSend>) -> Result<Acceptance, StoreError> {
    for _ in 1..TRIES {
        match comms.store.accept_send(send.clone()).await {
            Err(error) if error.is_unavailable() => {
                tracing::info!(%error, "acceptance failed; asking again whether it was written");
            }
            answer => return answer,
        }
    }
    comms.store.accept_send(send).await
}

/// The message was not sent and will not be, but whether it was written down is open. If it was, nobody else may come to
/// think that it was sent, least of all the reconciler, whose repeat with a key could be the first request.
async fn withdraw(comms: Comms, id: MessageId) {
    let result = SendResult::Failed {
        failure: Code::ServiceUnavailable.as_str(),
        frees_key: true,
    };
    for _ in 0..WITHDRAWALS {
        let at = comms.clock.now();
        let settled = SettledSend {
            id: id.clone(),
            result: result.clone(),
            outcome: "not_sent",
            detail: None,
            at,
        };
        if comms.store.settle_send(settled).await.is_ok() || comms.tasks.is_closed() {
            return;
        }
        tokio::time::sleep(WITHDRAWAL_PAUSE).await;
    }
    tracing::error!(message_id = %id, "a message that was not sent could not be withdrawn; it will end as unconfirmed");
}

fn admitted(
    comms: &Comms,
    cleared: ClearedMessage,
    id: MessageId,
    carrier: Carrier,
    estimate: Micros,
) -> AdmittedMessage {
    let ClearedMessage { message, ruling, .. } = cleared;
    let sender_name = sender_name(&message);
    let callback = comms.settings.receipts_url(carrier.id, &id);
    let call_urls = message.content.call.as_ref();
    let call_urls = call_urls.and_then(|_| comms.settings.call_urls(carrier.id, id.as_str()));
    AdmittedMessage {
        dispatch: Dispatch {
            message: id,
            channel: message.channel,
            from: message.from,
            to: message.to,
            content: message.content,
            sender_name,
            callback,
            call_urls,
        },
        carrier,
        estimate,
        agent: message.profile.agent.id.clone(),
        org: message.profile.agent.org_id.clone(),
        advice: if let Opinion::Advise(advice) = ruling.opinion {
            Some(advice)
        } else {
            None
        },
        thread_id: message.thread_id,
        entity_id: message.entity_id,
        reply_msg_id: message.reply_msg_id,
    }
}
