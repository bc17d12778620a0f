//! Taking a conversation over and giving it back, as the inbox offers it.

use butt_dial_domain::{AgentId, Code, Failure, OrgId, Scope, address::contact_key, bounds, clock::Timestamp, ids};
use butt_dial_identity::{Caller, find_visible_id};
use butt_dial_store::{AuditEntry, EventReason, NewEvent, NewTakeover, TAKEOVER_PREFIX, Takeover, TakeoverResult};
use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::{
    Inbox,
    delivery::{CONVERSATION_RETURNED, CONVERSATION_TAKEN_OVER},
    takeovers::time,
};

/// How long a takeover lasts, unless the person says otherwise.
pub const TAKEOVER_HOURS: u32 = 24;

fn event_data(kind: &str, agent: &AgentId, takeover: (&str, &str), until: Timestamp, now: Timestamp) -> Value {
    let (id, contact) = takeover;
    let advice = match kind {
        CONVERSATION_TAKEN_OVER => {
            "a person answers this contact; you get its messages, and yours to it are refused until takenOverUntil"
        }
        _ => "you answer this contact again",
    };
    json!({
        "type": kind, "event": kind, "agentId": agent.host_id(), "contact": contact, "takeoverId": id,
        "takenOverUntil": time(until), "timestamp": time(now), "advice": advice,
    })
}

impl Inbox {
    /// Takes the conversation of an agent with a contact over, for a number of hours. Extends the caller's own takeover. Fails with
    /// `Conflict` when someone else has it.
    pub async fn take_over(
        &self,
        caller: &Caller,
        host_id: &str,
        contact: &str,
        hours: u32,
    ) -> Result<Takeover, Failure> {
        caller.require(Scope::OrgAdmin)?;
        let (org, by, now) = (caller.org()?, caller.principal.token.as_str(), self.clock.now());
        let contact = contact_key(contact.trim());
        if contact.is_empty() {
            return Err(Failure::new(Code::InvalidArgument, "contact is required").detail("fields", vec!["contact"]));
        }
        if !(1..=bounds::TAKEOVER_HOURS).contains(&hours) {
            let text = format!("hours is a number from 1 to {}", bounds::TAKEOVER_HOURS);
            return Err(Failure::new(Code::InvalidArgument, text).detail("fields", vec!["hours"]));
        }
        let agent = find_visible_id(&self.store, caller, host_id).await?;
        let until = now + TimeDelta::hours(hours.into());
        let held = self.store.find_takeover_of(&agent, &contact, now).await?;
        // An extension keeps its id, and does not shorten.
        let (id, until) = match held.filter(|held| held.taken_by == by) {
            Some(own) => (own.id, own.until_at.max(until)),
            None => (format!("{TAKEOVER_PREFIX}{}", ids::unique()), until),
        };
        let data = event_data(CONVERSATION_TAKEN_OVER, &agent, (&id, &contact), until, now);
        let event = NewEvent {
            agent: &agent,
            id: &format!("evt_{id}_{}", ids::unique()),
            kind: CONVERSATION_TAKEN_OVER,
            channel: None,
            reason: EventReason::AgentOffline,
            data: &data,
        };
        let new = NewTakeover {
            id: &id,
            org,
            agent: &agent,
            contact: &contact,
            taken_by: by,
            until,
            event: &event,
        };
        let entry = AuditEntry::new(Some(org), by, "conversation.take_over", agent.as_str(), now);
        let entry = entry.with_detail(json!({ "takeover": id, "until": until }));
        match self.store.change(entry).take_over(&new, now).await? {
            TakeoverResult::Taken => Ok(Takeover {
                id,
                agent_id: agent.into_string(),
                contact,
                taken_by: by.to_owned(),
                taker: None,
                taken_at: now,
                until_at: until,
            }),
            TakeoverResult::TakenBy(other) => Err(Failure::new(
                Code::Conflict,
                "another person has taken this conversation over already",
            )
            .detail("takeoverId", other.id.as_str())
            .detail("takenOverBy", other.taken_by.as_str())
            .detail("takenOverUntil", time(other.until_at))
            .hint("let them answer, or give the conversation back first and take it over then")),
        }
    }

    /// Gives a conversation of the caller's organization back to its agent.
    pub async fn give_back(&self, caller: &Caller, id: &str) -> Result<(), Failure> {
        caller.require(Scope::OrgAdmin)?;
        let (org, by, now) = (caller.org()?, caller.principal.token.as_str(), self.clock.now());
        let gone = || Failure::new(Code::NotFound, "this conversation is not taken over any more");
        let takeover = self.store.find_takeover(org, id).await?.ok_or_else(gone)?;
        let agent = takeover.agent();
        let data = event_data(
            CONVERSATION_RETURNED,
            &agent,
            (id, &takeover.contact),
            takeover.until_at,
            now,
        );
        let event = NewEvent {
            agent: &agent,
            id: &format!("evt_{id}_returned"),
            kind: CONVERSATION_RETURNED,
            channel: None,
            reason: EventReason::AgentOffline,
            data: &data,
        };
        let entry = AuditEntry::new(Some(org), by, "conversation.give_back", agent.as_str(), now);
        let change = self.store.change(entry.with_detail(json!({ "takeover": id })));
        match change.return_conversation((org, id), &event, now).await? {
            true => Ok(()),
            false => Err(gone()),
        }
    }

    /// Lists the conversations of an organization that are taken over, after an id.
    pub async fn list_takeovers(&self, org: &OrgId, after: &str, limit: u32) -> Result<Vec<Takeover>, Failure> {
        Ok(self.store.list_takeovers(org, after, limit, self.clock.now()).await?)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use butt_dial_domain::{Channel, Clock, Principal, SendPurpose, TokenId};
    use butt_dial_identity::on_behalf_of;

    use super::*;
    use crate::{Allowance, Carriers, SendRequest, testing::Bench};

    const PERSON: &str = "+12125550187";
    const NOON: &str = "2026-12-01T17:00:00Z";

    fn utc(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    /// A bench by day, with a person who has consented.
    async fn bench() -> (Bench, Inbox) {
        let bench = Bench::at(Carriers::default(), Clock::manual(utc(NOON))).await;
        let org = &bench.agent.org_id;
        let consent = bench
            .store
            .record_consent(org, Channel::Sms, PERSON, true, "keyword", utc(NOON));
        consent.await.unwrap();
        let inbox = Inbox::new(bench.store.clone(), bench.vault.clone(), bench.clock.clone());
        (bench, inbox)
    }

    /// An administrator.
    fn person(bench: &Bench, id: &str) -> Arc<Caller> {
        let principal = Principal {
            token: TokenId::from(id),
            scope: Scope::OrgAdmin,
            org: Some(bench.agent.org_id.clone()),
            agent: None,
            restriction: None,
        };
        Arc::new(Caller {
            principal,
            profile: None,
        })
    }

    fn message(caller: Arc<Caller>, bench: &Bench, key: &str) -> SendRequest {
        SendRequest {
            agent: Some(bench.agent.id.host_id().to_owned()),
            body: Some("Your table is ready.".into()),
            purpose: Some(SendPurpose::Transactional),
            idempotency_key: Some(key.into()),
            ..SendRequest::new(caller, Channel::Sms, PERSON)
        }
    }

    async fn of_agent(bench: &Bench, key: &str) -> SendRequest {
        let caller = on_behalf_of(&bench.store, &bench.agent.id).await.unwrap().unwrap();
        message(caller, bench, key)
    }

    async fn code_of(bench: &Bench, request: SendRequest) -> Code {
        bench.outbound.send(request).await.unwrap_err().code
    }

    #[tokio::test]
    async fn only_the_person_who_took_over_writes() {
        let (bench, inbox) = bench().await;
        let (ann, bob) = (person(&bench, "usr_ann"), person(&bench, "usr_bob"));
        let agent = bench.agent.id.host_id();
        let taken = inbox.take_over(&ann, agent, PERSON, 2).await.unwrap();
        let other = inbox.take_over(&bob, agent, PERSON, 2).await.unwrap_err();
        assert_eq!(
            (other.code, &other.details["takenOverBy"]),
            (Code::Conflict, &json!("usr_ann"))
        );
        for request in [of_agent(&bench, "a").await, message(bob.clone(), &bench, "b")] {
            let checked = bench.outbound.preflight(request.clone()).await.map(drop).unwrap_err();
            let refused = bench.outbound.send(request).await.unwrap_err();
            for failure in [checked, refused] {
                assert_eq!(
                    (failure.code, failure.retry_after_seconds),
                    (Code::ConversationTakenOver, Some(7_200))
                );
                assert!(failure.remediation.is_some() && !failure.is_retryable());
                assert_eq!(failure.details["takeoverId"], json!(taken.id));
            }
        }
        // They pass the rules; only the carrier is missing.
        assert_eq!(code_of(&bench, message(ann, &bench, "c")).await, Code::NotSupported);
        let automatic = SendRequest {
            allowance: Allowance::Automatic,
            ..of_agent(&bench, "d").await
        };
        assert_eq!(code_of(&bench, automatic).await, Code::NotSupported);
        // Another person gives it back.
        inbox.give_back(&bob, &taken.id).await.unwrap();
        assert_eq!(inbox.give_back(&bob, &taken.id).await.unwrap_err().code, Code::NotFound);
        assert_eq!(code_of(&bench, of_agent(&bench, "e").await).await, Code::NotSupported);
        let events = bench.store.list_events(&bench.agent.id, 0, 9).await.unwrap();
        let kinds: Vec<&str> = events.iter().map(|event| event.kind.as_str()).collect();
        assert_eq!(kinds, [CONVERSATION_TAKEN_OVER, CONVERSATION_RETURNED]);
        assert_eq!(events[0].data["contact"], PERSON);
    }

    #[tokio::test]
    async fn takeover_ends_with_its_time() {
        let (bench, inbox) = bench().await;
        let (ann, agent) = (person(&bench, "usr_ann"), bench.agent.id.host_id());
        for hours in [0, bounds::TAKEOVER_HOURS + 1] {
            let refused = inbox.take_over(&ann, agent, PERSON, hours).await.unwrap_err();
            assert_eq!(refused.code, Code::InvalidArgument);
        }
        inbox.take_over(&ann, agent, PERSON, 2).await.unwrap();
        let due = SendRequest {
            scheduled_at: Some(utc(NOON) + TimeDelta::hours(1)),
            ..of_agent(&bench, "early").await
        };
        assert_eq!(code_of(&bench, due).await, Code::ConversationTakenOver);
        bench.clock.advance(TimeDelta::hours(2));
        assert_eq!(
            code_of(&bench, of_agent(&bench, "late").await).await,
            Code::NotSupported
        );
        assert!(
            inbox
                .list_takeovers(&bench.agent.org_id, "", 9)
                .await
                .unwrap()
                .is_empty()
        );
    }

    #[tokio::test]
    async fn scheduled_messages_follow_the_takeover_of_their_time() {
        let (bench, inbox) = bench().await;
        let (ann, agent) = (person(&bench, "usr_ann"), bench.agent.id.host_id());
        let later = |request: SendRequest| SendRequest {
            scheduled_at: Some(utc(NOON) + TimeDelta::hours(1)),
            ..request
        };
        let of_agent = later(of_agent(&bench, "agent").await);
        bench.outbound.send(of_agent).await.unwrap();
        inbox.take_over(&ann, agent, PERSON, 24).await.unwrap();
        bench
            .outbound
            .send(later(message(ann, &bench, "person")))
            .await
            .unwrap();
        bench.clock.advance(TimeDelta::hours(1));
        assert_eq!(bench.outbound.send_due().await.unwrap(), 2);
        for (key, expected) in [("agent", "CONVERSATION_TAKEN_OVER"), ("person", "NOT_SUPPORTED")] {
            let found = bench.store.find_scheduled(&bench.agent.id, key).await.unwrap().unwrap();
            assert_eq!(found.failure.as_deref(), Some(expected));
        }
    }

    #[tokio::test]
    async fn calls_of_the_agent_are_refused() {
        let (bench, inbox) = bench().await;
        let (ann, agent) = (person(&bench, "usr_ann"), bench.agent.id.host_id());
        let change = bench.store.change(crate::testing::setup());
        let number = change.assign_channel(
            &bench.agent.org_id,
            &bench.agent.id,
            Channel::Voice,
            "+14155550101",
            utc(NOON),
        );
        number.await.unwrap();
        inbox.take_over(&ann, agent, PERSON, 24).await.unwrap();
        let call = SendRequest {
            channel: Channel::Voice,
            call: Some(butt_dial_domain::call::CallOptions {
                ring_seconds: 30,
                limit_seconds: 60,
                detects_machine: false,
                digits: None,
                plan: Default::default(),
            }),
            ..of_agent(&bench, "k").await
        };
        assert_eq!(code_of(&bench, call).await, Code::ConversationTakenOver);
    }

    #[tokio::test]
    async fn agents_take_nothing_over() {
        let (bench, inbox) = bench().await;
        let caller = on_behalf_of(&bench.store, &bench.agent.id).await.unwrap().unwrap();
        let refused = inbox.take_over(&caller, bench.agent.id.host_id(), PERSON, 1).await;
        assert_eq!(refused.unwrap_err().code, Code::AuthForbidden);
    }
}
