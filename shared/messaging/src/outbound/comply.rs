//! The compliance stage: applies the rules to the message's contact and time. The content is checked after the limits, because
//! that takes the more time the longer a text is.

use butt_dial_compliance::{Ruling, Subject, Verdict};
use butt_dial_domain::{Code, Failure, Scope, SendPurpose, TokenId, clock::Timestamp, message::Content};
use butt_dial_store::{ContactState, NewRefusal};
use chrono::{SecondsFormat, TimeDelta};
use serde_json::Value;

use super::{Allowance, Outbound, idempotency::NewMessage, refusals::explain, validate::ValidMessage};
use crate::takeovers;

/// Bytes. A shorter text is checked at once: the change of the thread would take longer.
const SHORT: usize = 16 * 1024;
/// Laws count marketing messages within this time.
const FREQUENCY: TimeDelta = TimeDelta::hours(24);

/// A message that no rule about its contact blocks.
pub(super) struct CompliantMessage {
    pub message: ValidMessage,
    pub ruling: Ruling,
    /// The approval that the message waits for.
    pub approval: Option<PendingApproval>,
    /// The recipient is an agent of the same organization: the message needs no carrier.
    pub is_internal: bool,
    /// The recipient is an agent of the same organization. Its consent is not needed.
    pub is_colleague: bool,
    /// It may be sent while a person answers the contact.
    pub is_answer: bool,
}

/// An approval of a person that a rule demands.
pub(super) struct PendingApproval {
    pub rule: String,
    /// When the message is sent after the approval. `None`: at once.
    pub send_at: Option<Timestamp>,
}

impl CompliantMessage {
    /// Returns whether the time of the message comes from rules, and not from its request.
    pub fn waits_by_rule(&self) -> bool {
        matches!(self.ruling.decision.verdict, Verdict::Defer(_) | Verdict::Hold)
    }

    /// The advice for the caller.
    pub fn advice(&self) -> Vec<String> {
        let advice = self.ruling.decision.advice();
        advice
            .map(|finding| format!("{} ({})", finding.fact, finding.rule.id))
            .collect()
    }
}

/// Decides on the message. A block is the error, and is stored as a refusal. A message that rules allow later only is scheduled
/// for that time, if it can wait.
pub(super) async fn comply(outbound: &Outbound, new: NewMessage) -> Result<CompliantMessage, Failure> {
    let NewMessage { mut message, contact } = new;
    let is_answer = check_pause(outbound, &message, &contact).await?;
    let ruling = rule_on(outbound, &message, &contact, 0).await?;
    let agent = &message.profile.agent.id;
    if let Some(refusal) = outbound.compliance.refusal(agent, &ruling) {
        store_refusal(outbound, &message, &ruling, &refusal).await;
        return Err(refusal);
    }
    let now = outbound.clock.now();
    if !can_wait(&message, &ruling)
        && let Some(refusal) = outbound.compliance.refuse_waiting(agent, &ruling)
    {
        // A message that is due waits for another time. It is not refused.
        if message.allowance == Allowance::Agent {
            store_refusal(outbound, &message, &ruling, &refusal).await;
        }
        return Err(match ruling.decision.verdict {
            Verdict::Defer(at) => refusal.retry_after((at - now).num_seconds().max(1).unsigned_abs()),
            _ => match message.profile.restraints.confirm_until.filter(|until| now < *until) {
                Some(until) => refusal.retry_after((until - now).num_seconds().max(1).unsigned_abs()),
                None => refusal,
            },
        });
    }
    let mut approval = None;
    match ruling.decision.verdict {
        Verdict::Defer(at) => message.scheduled_at = Some(at),
        Verdict::Hold => {
            approval = Some(PendingApproval {
                rule: ruling.decision.rule().unwrap_or_default().to_owned(),
                send_at: message.scheduled_at,
            });
            message.scheduled_at = Some(now + outbound.settings.approval_time);
        }
        Verdict::Allow | Verdict::Advise | Verdict::Block => {}
    }
    Ok(CompliantMessage {
        // A call always needs a carrier, which executes its script.
        is_colleague: contact.recipient_agent.is_some(),
        is_internal: contact.recipient_agent.is_some() && message.content.call.is_none(),
        message,
        ruling,
        approval,
        is_answer,
    })
}

/// Returns whether the message may wait for its allowed time or for an approval.
pub(super) fn can_wait(message: &ValidMessage, ruling: &Ruling) -> bool {
    // Calls are not scheduled. The sweep gives another time to a message that is due.
    let is_refused = message.profile.choices.refuses_waiting && matches!(ruling.decision.verdict, Verdict::Defer(_));
    message.content.call.is_none() && message.allowance == Allowance::Agent && !is_refused
}

/// Fails while the agent's messages to the contact are paused: a person answers in place of the agent, or a program answers there.
/// Returns whether the message is an answer of that person, or an automatic reply.
pub(super) async fn check_pause(
    outbound: &Outbound,
    message: &ValidMessage,
    contact: &ContactState,
) -> Result<bool, Failure> {
    if message.allowance == Allowance::Automatic {
        return Ok(true);
    }
    let now = outbound.clock.now();
    let Some(until) = contact.paused_until.filter(|until| *until > now) else {
        return Ok(false);
    };
    // Only a pause in force costs this read.
    let (agent, key) = (&message.profile.agent.id, message.to.contact_key());
    if let Some(takeover) = outbound.store.find_takeover_of(agent, &key, now).await? {
        return match takeover.taken_by == author(message).as_str() {
            true => Ok(true),
            false => Err(takeovers::refusal(&takeover, now).on(message.channel)),
        };
    }
    // A call is not part of an exchange of two programs.
    if message.content.call.is_some() {
        return Ok(false);
    }
    let seconds = (until - now).num_seconds().max(1).unsigned_abs();
    Err(Failure::new(
        Code::ContactPaused,
        "this contact answers like a program, so messages to it are paused: two programs were answering each other",
    )
    .on(message.channel)
    .retry_after(seconds)
    .detail("pausedUntil", until.to_rfc3339_opts(SecondsFormat::Millis, true))
    .hint("write to it again after retryAfterSeconds, and only if a person reads it; an administrator finds the pause with GET /api/v1/contact-pauses and ends it with DELETE"))
}

/// Returns the author of a message.
pub(super) fn author(message: &ValidMessage) -> &TokenId {
    message.author.as_ref().unwrap_or(&message.caller.principal.token)
}

/// Returns the refusal of a contact that a person has taken over since the rules were applied.
pub(super) async fn refuse_taken_over(outbound: &Outbound, message: &ValidMessage) -> Failure {
    let (agent, key, now) = (
        &message.profile.agent.id,
        message.to.contact_key(),
        outbound.clock.now(),
    );
    match outbound.store.find_takeover_of(agent, &key, now).await {
        Ok(Some(takeover)) => takeovers::refusal(&takeover, now),
        // It is over already. Another try finds that.
        Ok(None) => explain(Code::ConversationTakenOver).retry_after(1),
        Err(error) => error.into(),
    }
    .on(message.channel)
}

/// Applies the rules at the time of the message, without effect. `earlier` parts of the text are sent before it.
pub(super) async fn rule_on(
    outbound: &Outbound,
    message: &ValidMessage,
    contact: &ContactState,
    earlier: u32,
) -> Result<Ruling, Failure> {
    let at = message.scheduled_at.unwrap_or_else(|| outbound.clock.now());
    let marketing_sent = match message.purpose {
        Some(SendPurpose::Marketing) => {
            let org = &message.profile.agent.org_id;
            let counted = outbound
                .store
                .count_marketing(org, message.to.as_str(), at - FREQUENCY)
                .await?;
            counted.saturating_add(earlier)
        }
        _ => 0,
    };
    Ok(outbound.compliance.decide(&Subject {
        channel: message.channel,
        to: &message.to,
        content: &message.content,
        contact,
        purpose: message.purpose,
        at,
        marketing_sent,
        is_approved: message.is_approved,
        has_postal_address: message.profile.choices.postal_address.is_some(),
        discloses: message.profile.choices.discloses,
        is_restrained: message.allowance != Allowance::Automatic
            && message.profile.restraints.confirms_at(outbound.clock.now()),
        is_tainted: is_tainted(outbound, message),
    }))
}

/// Returns whether a text that the agent has got may have led to the message. A message that is due was written before, and a person is
/// not instructed by such a text.
fn is_tainted(outbound: &Outbound, message: &ValidMessage) -> bool {
    let is_by_agent = message.author.is_none() && message.caller.principal.scope == Scope::Agent;
    is_by_agent && message.allowance == Allowance::Agent && message.profile.is_tainted_at(outbound.clock.now())
}

/// Stores a refusal, so that it can be listed and explained. The refusal itself stands without it: an agent that repeats what is
/// refused would fill the disk, so there is a limit.
async fn store_refusal(outbound: &Outbound, message: &ValidMessage, ruling: &Ruling, refusal: &Failure) {
    let agent = &message.profile.agent;
    let taken = outbound.billing.take_stored_refusal(&message.profile).await;
    if taken.is_err_and(|failure| failure.code == Code::RateLimited) {
        tracing::debug!(agent = %agent.id, "refusal not stored: limit reached");
        return;
    }
    let stored = NewRefusal {
        org: &agent.org_id,
        agent: &agent.id,
        channel: message.channel,
        recipient: &message.to.masked(),
        contact_hash: &contact_hash(outbound, message),
        purpose: ruling.facts.purpose,
        rule: refusal.details.get("rule").and_then(Value::as_str).unwrap_or_default(),
        code: refusal.code,
        ruling: &ruling.refusal_record(refusal),
    };
    if let Err(error) = outbound.store.add_refusal(&stored, outbound.clock.now()).await {
        tracing::warn!(%error, agent = %agent.id, "refusal not stored");
    }
}

fn contact_hash(outbound: &Outbound, message: &ValidMessage) -> String {
    let org = &message.profile.agent.org_id;
    outbound.vault.contact_hash(org, &message.to.contact_key())
}

/// Returns the refusal of a contact that has opted out since the rules were applied, and stores it.
pub(super) async fn refuse_opted_out(outbound: &Outbound, compliant: &CompliantMessage) -> Failure {
    let message = &compliant.message;
    let agent = &message.profile.agent.id;
    let refusal = outbound.compliance.refuse_opted_out(agent, message.channel);
    store_refusal(outbound, message, &compliant.ruling, &refusal).await;
    refusal
}

/// Checks the content of the message. A refusal is stored.
pub(super) async fn check_content(outbound: &Outbound, compliant: &CompliantMessage) -> Result<(), Failure> {
    let checked = find_refused_content(outbound, compliant).await;
    if let Err(refusal) = &checked
        && refusal.code == Code::ContentBlocked
    {
        store_refusal(outbound, &compliant.message, &compliant.ruling, refusal).await;
    }
    checked
}

/// Checks long texts beside the async threads, which serve others meanwhile.
async fn find_refused_content(outbound: &Outbound, compliant: &CompliantMessage) -> Result<(), Failure> {
    let message = &compliant.message;
    let agent = &message.profile.agent.id;
    if text_bytes(&message.content) <= SHORT {
        return outbound
            .compliance
            .check_content(agent, &message.content, &compliant.ruling);
    }
    let (compliance, content) = (outbound.compliance.clone(), message.content.clone());
    let (agent, ruling) = (agent.clone(), compliant.ruling.clone());
    let check = move || compliance.check_content(&agent, &content, &ruling);
    tokio::task::spawn_blocking(check).await.unwrap_or_else(|error| {
        tracing::error!(%error, "content check failed");
        Err(Failure::internal())
    })
}

fn text_bytes(content: &Content) -> usize {
    let texts = [&content.subject, &content.body, &content.html];
    texts.into_iter().flatten().map(String::len).sum()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use butt_dial_domain::{Channel, Clock, call::CallOptions, message::Status};
    use butt_dial_identity::on_behalf_of;
    use butt_dial_store::{NewApproval, NewScheduledSend, ScheduledCap, ScheduledCaps};
    use chrono::{DateTime, Utc};

    use super::*;
    use crate::{Carriers, outbound::SendRequest, testing::Bench};

    const ANN: &str = "+12125550187";
    /// A Monday, 22:00 in New York.
    const NIGHT: &str = "2026-12-01T03:00:00Z";
    const OPENING: &str = "2026-12-01T13:00:00Z";

    fn utc(text: &str) -> Timestamp {
        text.parse::<DateTime<Utc>>().unwrap()
    }

    /// A bench at night, with a person who has consented.
    async fn bench() -> Bench {
        let bench = Bench::at(Carriers::default(), Clock::manual(utc(NIGHT))).await;
        let org = &bench.agent.org_id;
        let consent = bench
            .store
            .record_consent(org, Channel::Sms, ANN, true, "keyword", utc(NIGHT));
        consent.await.unwrap();
        bench
    }

    async fn marketing(bench: &Bench, key: &str) -> SendRequest {
        let caller = on_behalf_of(&bench.store, &bench.agent.id).await.unwrap().unwrap();
        SendRequest {
            body: Some("Twenty percent off today.".into()),
            purpose: Some(SendPurpose::Marketing),
            idempotency_key: Some(key.into()),
            ..SendRequest::new(caller, Channel::Sms, ANN)
        }
    }

    #[tokio::test]
    async fn schedules_marketing_for_allowed_hours() {
        let bench = bench().await;
        let first = bench.outbound.send(marketing(&bench, "k").await).await.unwrap();
        assert_eq!(
            (first.status, first.scheduled_at),
            (Status::Scheduled, Some(utc(OPENING)))
        );
        assert!(
            first.advice.iter().any(|advice| advice.contains("America/New_York")),
            "{:?}",
            first.advice
        );
        // The same request a minute later is a repeat.
        bench.clock.advance(TimeDelta::minutes(1));
        let repeat = bench.outbound.send(marketing(&bench, "k").await).await.unwrap();
        assert_eq!((repeat.message, repeat.replayed), (first.message, true));
        let refused = bench
            .store
            .list_refusals(&bench.agent.org_id, &Default::default(), 10)
            .await
            .unwrap();
        assert!(refused.is_empty());
    }

    #[tokio::test]
    async fn paused_contact_is_refused_until_the_pause_ends() {
        let bench = bench().await;
        let (org, until) = (&bench.agent.org_id, utc(NIGHT) + TimeDelta::hours(1));
        let change = bench.store.change(crate::testing::setup());
        let data = serde_json::json!({});
        let event = butt_dial_store::NewEvent {
            agent: &bench.agent.id,
            id: "evt_pau_1",
            kind: crate::delivery::CONTACT_PAUSED,
            channel: None,
            reason: butt_dial_store::EventReason::AgentOffline,
            data: &data,
        };
        let pause = butt_dial_store::NewPause {
            id: "pau_1",
            org,
            agent: &bench.agent.id,
            contact: ANN,
            until,
            cause: ("bot_loop", "agent:1 contact:a"),
            event: &event,
        };
        assert!(change.pause_contact(&pause, utc(NIGHT)).await.unwrap());
        let request = SendRequest {
            scheduled_at: Some(utc(OPENING)),
            ..marketing(&bench, "k").await
        };
        for refused in [
            bench.outbound.send(request.clone()).await.map(drop).unwrap_err(),
            bench.outbound.preflight(request.clone()).await.map(drop).unwrap_err(),
        ] {
            assert_eq!(
                (refused.code, refused.retry_after_seconds),
                (Code::ContactPaused, Some(3_600))
            );
            assert!(refused.details["pausedUntil"].is_string() && !refused.is_retryable());
        }
        bench.clock.advance(TimeDelta::hours(1));
        let sent = bench.outbound.send(request).await.unwrap();
        assert_eq!(sent.status, Status::Scheduled);
    }

    #[tokio::test]
    async fn moves_own_schedule_to_allowed_hours() {
        let bench = bench().await;
        let at = |text: &str| Some(utc(text));
        for (key, requested, expected) in [
            ("a", "2026-12-02T03:00:00Z", "2026-12-02T13:00:00Z"),
            ("b", "2026-12-02T15:00:00Z", "2026-12-02T15:00:00Z"),
        ] {
            let mut request = marketing(&bench, key).await;
            request.scheduled_at = at(requested);
            let receipt = bench.outbound.send(request).await.unwrap();
            assert_eq!(receipt.scheduled_at, at(expected), "{requested}");
        }
    }

    #[tokio::test]
    async fn organization_chooses_to_refuse_instead_of_waiting() {
        let bench = bench().await;
        let choices = butt_dial_store::ComplianceChoices {
            refuses_waiting: true,
            ..Default::default()
        };
        let change = bench.store.change(crate::testing::setup());
        change
            .set_compliance_choices(&bench.agent.org_id, &choices)
            .await
            .unwrap();
        let refused = bench.outbound.send(marketing(&bench, "k").await).await.unwrap_err();
        assert_eq!(refused.code, Code::OutsideAllowedHours);
        assert_eq!(refused.details["why"]["allowedAt"], serde_json::json!(utc(OPENING)));
        let waiting = bench.outbound.preflight(marketing(&bench, "l").await).await.unwrap();
        assert!(!waiting.is_allowed() && waiting.allowed_at() == Some(utc(OPENING)));
        // Later the rules allow it, and only the carrier is missing.
        bench.clock.advance(TimeDelta::hours(11));
        let checked = bench
            .outbound
            .preflight(marketing(&bench, "l").await)
            .await
            .unwrap_err();
        let sent = bench.outbound.send(marketing(&bench, "l").await).await.unwrap_err();
        assert_eq!((checked.code, sent.code), (Code::NotSupported, Code::NotSupported));
    }

    #[tokio::test]
    async fn refuses_call_that_cannot_wait() {
        let bench = bench().await;
        let change = bench.store.change(crate::testing::setup());
        let number = change.assign_channel(
            &bench.agent.org_id,
            &bench.agent.id,
            Channel::Voice,
            "+14155550101",
            utc(NIGHT),
        );
        number.await.unwrap();
        let request = SendRequest {
            channel: Channel::Voice,
            call: Some(CallOptions {
                ring_seconds: 30,
                limit_seconds: 60,
                detects_machine: false,
                digits: None,
                plan: Default::default(),
            }),
            ..marketing(&bench, "k").await
        };
        let refused = bench.outbound.send(request).await.unwrap_err();
        assert_eq!(refused.code, Code::OutsideAllowedHours);
        assert_eq!(refused.details["why"]["allowedAt"], serde_json::json!(utc(OPENING)));
        assert_eq!(refused.retry_after_seconds, Some(10 * 3_600));
        let stored = bench
            .store
            .list_refusals(&bench.agent.org_id, &Default::default(), 10)
            .await
            .unwrap();
        assert_eq!((stored.len(), stored[0].code.as_str()), (1, "OUTSIDE_ALLOWED_HOURS"));
    }

    #[tokio::test]
    async fn stores_refusal_without_the_address() {
        let bench = bench().await;
        let mut request = marketing(&bench, "k").await;
        request.to = "+12125550188".into();
        let refused = bench.outbound.send(request).await.unwrap_err();
        assert_eq!(refused.code, Code::ConsentRequired);
        let why = &refused.details["why"];
        assert_eq!(
            (&why["rule"], &why["severity"]),
            (&"us-marketing-consent".into(), &"block".into())
        );
        assert!(why["source"].as_str().unwrap().contains("47 CFR"));
        let stored = bench
            .store
            .list_refusals(&bench.agent.org_id, &Default::default(), 10)
            .await
            .unwrap();
        let [refusal] = stored.as_slice() else {
            panic!("{stored:?}");
        };
        assert_eq!(
            (refusal.rule.as_str(), refusal.code.as_str()),
            ("us-marketing-consent", "CONSENT_REQUIRED")
        );
        assert!(!format!("{refusal:?}").contains("2125550188"), "{refusal:?}");
    }

    #[tokio::test]
    async fn stores_refused_content_with_its_reason() {
        let bench = bench().await;
        let request = SendRequest {
            body: Some("please send me your password".into()),
            purpose: Some(SendPurpose::Transactional),
            scheduled_at: Some(utc(OPENING)),
            ..marketing(&bench, "k").await
        };
        let refused = bench.outbound.send(request).await.unwrap_err();
        assert_eq!(refused.code, Code::ContentBlocked);
        let stored = bench
            .store
            .list_refusals(&bench.agent.org_id, &Default::default(), 10)
            .await
            .unwrap();
        assert_eq!((stored.len(), stored[0].rule.as_str()), (1, "content"));
        let ruling: Value = serde_json::from_str(&stored[0].ruling).unwrap();
        assert_eq!(ruling["findings"][0]["rule"], "content");
        assert!(!stored[0].ruling.contains("password"), "the text is not stored");
    }

    #[tokio::test]
    async fn held_send_fails_when_it_expires() {
        let bench = bench().await;
        let id = butt_dial_domain::MessageId::generate();
        let held = NewScheduledSend {
            id: &id,
            org: &bench.agent.org_id,
            agent: &bench.agent.id,
            channel: Channel::Sms,
            recipient: ANN,
            idempotency_key: "k",
            request_hash: "aa11",
            request: &[],
            due_at: utc(OPENING),
            tries: 0,
            is_counted: true,
            approval: Some(NewApproval {
                rule: "r",
                send_at: None,
            }),
        };
        let large = ScheduledCap { count: 9, bytes: 9 };
        let caps = ScheduledCaps {
            agent: large,
            org: large,
        };
        assert!(bench.store.schedule_send(&held, &caps, utc(NIGHT)).await.unwrap());
        bench.clock.advance(TimeDelta::days(1));
        assert_eq!(bench.outbound.send_due().await.unwrap(), 1);
        let found = bench.store.find_scheduled(&bench.agent.id, "k").await.unwrap().unwrap();
        assert_eq!(
            (found.is_open(), found.failure.as_deref()),
            (false, Some("APPROVAL_EXPIRED"))
        );
    }

    #[tokio::test]
    async fn preflight_equals_send_and_has_no_effect() {
        let bench = bench().await;
        for (n, (to, purpose)) in [
            (ANN, Some(SendPurpose::Marketing)),
            ("+12125550188", Some(SendPurpose::Marketing)),
            ("+12125550188", Some(SendPurpose::Informational)),
            ("911", None),
        ]
        .into_iter()
        .enumerate()
        {
            let request = SendRequest {
                to: to.into(),
                purpose,
                ..marketing(&bench, &format!("k{n}")).await
            };
            let checked = bench.outbound.preflight(request.clone()).await.unwrap();
            let again = bench.outbound.preflight(request.clone()).await.unwrap();
            assert!(again.prior.is_none(), "nothing is stored");
            match bench.outbound.send(request).await {
                Ok(receipt) => {
                    assert!(checked.is_allowed(), "{to} {purpose:?}");
                    assert_eq!(receipt.scheduled_at, checked.allowed_at(), "{to} {purpose:?}");
                }
                Err(refused) => {
                    assert!(!checked.is_allowed(), "{to} {purpose:?}: {refused}");
                    assert_eq!(refused.details["rule"], *checked.ruling.decision.rule().unwrap());
                }
            }
        }
    }

    #[tokio::test]
    async fn due_send_waits_while_hours_are_closed() {
        let bench = bench().await;
        let receipt = bench.outbound.send(marketing(&bench, "k").await).await.unwrap();
        // The sweep runs too early for the rules, as after a change of them.
        let now = utc(NIGHT);
        bench.store.reschedule_send(&receipt.message, now).await.unwrap();
        let outbound: &Arc<Outbound> = &bench.outbound;
        assert_eq!(outbound.send_due().await.unwrap(), 1);
        let found = bench.store.find_scheduled(&bench.agent.id, "k").await.unwrap().unwrap();
        assert!(found.is_open(), "{:?}", found.failure);
        assert_eq!(found.due_at, utc(OPENING));
    }
}
