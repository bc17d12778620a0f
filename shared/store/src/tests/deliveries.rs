//! Who delivers to an agent: one at a time, until its time is over, and not without noticing what came meanwhile.

use std::collections::BTreeSet;

use super::inbound::{HOLD, PERSON, batch, read, says};
use super::*;
use crate::{DeliveryClaim, InboundBatch};

/// Something waits for the agent, and nobody delivers.
async fn has_mail(db: &Database, agent: &Agent, id: &str, at: Timestamp) {
    let after = db.find_log_position("INBOUND").await.unwrap();
    let batch = InboundBatch {
        at,
        held_until: at - seconds(1),
        ..batch(after, vec![says(agent, id, PERSON)], vec![])
    };
    db.apply_inbound(&batch, &|_| None).await.unwrap();
}

async fn claim(store: &Store, agent: &Agent, holder: &str, now: Timestamp) -> Option<DeliveryClaim> {
    store.claim_delivery(&agent.id, holder, now, now + HOLD).await.unwrap()
}

async fn claim_due(store: &Store, holder: &str, limit: u32, now: Timestamp) -> Vec<DeliveryClaim> {
    store
        .claim_due_deliveries(holder, limit, now, now + HOLD)
        .await
        .unwrap()
}

both_engines! {
    async fn one_at_a_time_delivers(db: &Database) {
        let agent = new_agent(db).await;
        let now = morning();
        assert_eq!(claim(db, &agent, "one", now).await, None, "there is nothing");
        has_mail(db, &agent, "e1", now).await;
        assert_eq!(claim(db, &agent, "one", now - seconds(1)).await, None, "not due yet");
        let claimed = claim(db, &agent, "one", now).await.unwrap();
        assert_eq!((claimed.agent(), claimed.generation, claimed.failures), (agent.id.clone(), 1, 0));
        assert_eq!(claim(db, &agent, "two", now + HOLD).await, None);
        assert_eq!(claim_due(db, "two", 9, now + HOLD).await, []);
        assert_eq!(claim(db, &agent, "one", now).await, Some(claimed), "it has it");
        assert!(claim(db, &agent, "two", now + HOLD + seconds(1)).await.is_some(), "the time of the first is over");
        assert!(!db.renew_delivery(&agent.id, "one", now + HOLD * 9).await.unwrap());
    }

    async fn what_is_free_is_claimed_once_even_by_the_same_holder(db: &Database) {
        let agent = new_agent(db).await;
        let now = morning();
        let claim_free = async |now: Timestamp| db.claim_free_delivery(&agent.id, "one", now, now + HOLD).await.unwrap();
        has_mail(db, &agent, "e1", now).await;
        assert!(claim_free(now).await.is_some());
        assert_eq!(claim_free(now + HOLD).await, None);
        assert!(claim_free(now + HOLD + seconds(1)).await.is_some());
    }

    async fn a_claim_is_prolonged_by_who_has_it(db: &Database) {
        let agent = new_agent(db).await;
        let now = morning();
        has_mail(db, &agent, "e1", now).await;
        claim(db, &agent, "one", now).await.unwrap();
        assert!(!db.renew_delivery(&agent.id, "two", now + HOLD * 9).await.unwrap());
        assert!(db.renew_delivery(&agent.id, "one", now + HOLD * 3).await.unwrap());
        assert_eq!(claim(db, &agent, "two", now + HOLD * 3).await, None);
        assert!(claim(db, &agent, "two", now + HOLD * 3 + seconds(1)).await.is_some());
    }

    async fn who_is_done_says_when_to_come_again(db: &Database) {
        let agent = new_agent(db).await;
        let (now, later) = (morning(), morning() + seconds(300));
        has_mail(db, &agent, "e1", now).await;
        let claimed = claim(db, &agent, "one", now).await.unwrap();
        assert!(!db.finish_delivery(&claimed, "two", None, 0).await.unwrap(), "not its own");
        assert!(db.finish_delivery(&claimed, "one", Some(later), 2).await.unwrap());
        assert!(!db.finish_delivery(&claimed, "one", Some(now), 0).await.unwrap(), "given back already");
        assert_eq!(claim(db, &agent, "two", later - seconds(1)).await, None);
        let claimed = claim(db, &agent, "two", later).await.unwrap();
        assert_eq!(claimed.failures, 2);
        assert!(db.finish_delivery(&claimed, "two", None, 0).await.unwrap());
        assert_eq!(claim(db, &agent, "two", later + TimeDelta::days(9)).await, None, "nothing to do");
        assert_eq!(claim_due(db, "two", 9, later + TimeDelta::days(9)).await, []);
    }

    async fn what_came_meanwhile_is_noticed(db: &Database) {
        let agent = new_agent(db).await;
        let now = morning();
        has_mail(db, &agent, "e1", now).await;
        let claimed = claim(db, &agent, "one", now).await.unwrap();
        has_mail(db, &agent, "e2", now).await;
        assert!(!db.finish_delivery(&claimed, "one", None, 0).await.unwrap());
        assert_eq!(claim(db, &agent, "two", now).await, None, "the claim stays");
        let claimed = claim(db, &agent, "one", now).await.unwrap();
        assert_eq!(claimed.generation, 2);
        let data = serde_json::json!({});
        let event = crate::NewEvent {
            agent: &agent.id, id: "e3", kind: "k", channel: None, reason: "agent_offline", data: &data,
        };
        db.append_event(&event, now).await.unwrap();
        assert!(!db.finish_delivery(&claimed, "one", None, 0).await.unwrap());
        let claimed = claim(db, &agent, "one", now).await.unwrap();
        assert!(db.finish_delivery(&claimed, "one", None, 0).await.unwrap());
    }

    async fn what_is_appended_is_due_unless_the_callback_fails(db: &Database) {
        let agent = new_agent(db).await;
        let (now, later) = (morning(), morning() + seconds(300));
        let append = async |id: &str| {
            let data = serde_json::json!({});
            let event = crate::NewEvent {
                agent: &agent.id, id, kind: "k", channel: None, reason: "agent_offline", data: &data,
            };
            db.append_event(&event, now).await.unwrap();
        };
        append("e1").await;
        let claimed = claim(db, &agent, "one", now).await.unwrap();
        assert!(db.finish_delivery(&claimed, "one", Some(later), 1).await.unwrap());
        append("e2").await;
        assert_eq!(claim(db, &agent, "one", now).await, None);
        let claimed = claim(db, &agent, "one", later).await.unwrap();
        assert!(db.finish_delivery(&claimed, "one", Some(later), 0).await.unwrap());
        append("e3").await;
        assert!(claim(db, &agent, "one", now).await.is_some());
    }

    async fn an_agent_that_comes_back_gets_what_waits_at_once(db: &Database) {
        let (agent, idle) = (new_agent(db).await, new_agent(db).await);
        let now = morning();
        has_mail(db, &agent, "e1", now).await;
        let claimed = claim(db, &agent, "one", now).await.unwrap();
        assert!(db.finish_delivery(&claimed, "one", Some(now + TimeDelta::days(1)), 5).await.unwrap());
        assert!(!db.poke_delivery(&idle.id, now).await.unwrap());
        assert!(db.poke_delivery(&agent.id, now).await.unwrap());
        let claimed = claim(db, &agent, "one", now).await.unwrap();
        assert_eq!((claimed.generation, claimed.failures), (2, 0));
        // While somebody delivers: that one notices.
        assert!(db.poke_delivery(&agent.id, now).await.unwrap());
        assert!(!db.finish_delivery(&claimed, "one", None, 0).await.unwrap());

        db.ack_events(&agent.id, 1, now).await.unwrap();
        assert!(!db.poke_delivery(&agent.id, now).await.unwrap(), "nothing waits");
    }

    async fn the_longest_due_are_claimed_first(db: &Database) {
        let now = morning();
        let mut agents = Vec::new();
        for n in [3, 1, 2, 4] {
            let agent = new_agent(db).await;
            has_mail(db, &agent, &format!("e{n}"), now + seconds(n)).await;
            agents.push((n, agent.id));
        }
        agents.sort();
        let due = async |limit| {
            let claims = claim_due(db, "one", limit, now + seconds(3)).await;
            claims.iter().map(DeliveryClaim::agent).collect::<BTreeSet<_>>()
        };
        let of = |range: std::ops::Range<usize>| agents[range].iter().map(|(_, id)| id.clone()).collect::<BTreeSet<_>>();
        assert_eq!(due(2).await, of(0..2));
        assert_eq!(due(9).await, of(2..3));
        assert_eq!(due(9).await, of(0..0));
    }

    async fn no_agent_is_given_to_two(db: &Database) {
        let mut agents = BTreeSet::new();
        let mut events = Vec::new();
        for n in 0..40 {
            let agent = new_agent(db).await;
            events.push(says(&agent, &format!("e{n}"), PERSON));
            agents.insert(agent.id);
        }
        read(db, events).await;
        let replicas = [db.replica().await, db.replica().await];
        let now = morning() + HOLD + seconds(1);
        let mut seen = BTreeSet::new();
        while seen.len() < agents.len() {
            let holders = ["a", "b", "c", "d"];
            let takers = holders.iter().enumerate().map(|(n, holder)| claim_due(&replicas[n % 2], holder, 4, now));
            for claim in futures::future::join_all(takers).await.into_iter().flatten() {
                assert!(seen.insert(claim.agent()), "given out twice");
            }
        }
        assert_eq!(seen, agents);
    }
}
