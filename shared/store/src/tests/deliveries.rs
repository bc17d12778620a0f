//! Delivery claims: one holder at a time, until the claim ends, without missing new events.

use std::collections::BTreeSet;

use super::inbound::{HOLD, PERSON, STRANGER, batch, inbound_event, read};
use super::*;
use crate::{DeliveryClaim, InboundBatch};

/// Stores a waiting event without a delivery claim.
async fn receive_event(db: &Database, agent: &Agent, id: &str, at: Timestamp) {
    receive_from(PERSON, db, agent, id, at).await;
}

async fn receive_from(person: &str, db: &Database, agent: &Agent, id: &str, at: Timestamp) {
    let after = db.find_log_position("INBOUND").await.unwrap();
    let batch = InboundBatch {
        at,
        held_until: at - seconds(1),
        ..batch(after, vec![inbound_event(agent, id, person)], vec![])
    };
    db.apply_inbound(&batch, &|_| None).await.unwrap();
}

async fn claim(store: &Store, agent: &Agent, holder: &str, now: Timestamp) -> Option<DeliveryClaim> {
    store
        .claim_free_delivery(&agent.id, holder, now, now + HOLD)
        .await
        .unwrap()
}

async fn claim_due(store: &Store, holder: &str, limit: u32, now: Timestamp) -> Vec<DeliveryClaim> {
    let is_due = is_due(store, DueKind::Deliveries, now).await;
    let claimed = store
        .claim_due_deliveries(holder, limit, now, now + HOLD)
        .await
        .unwrap();
    assert!(is_due || claimed.is_empty());
    claimed
}

both_engines! {
    async fn only_one_holder_claims_a_delivery(db: &Database) {
        let agent = new_agent(db).await;
        let now = morning();
        assert_eq!(claim(db, &agent, "one", now).await, None, "there is nothing");
        receive_event(db, &agent, "e1", now).await;
        assert_eq!(claim(db, &agent, "one", now - seconds(1)).await, None, "not due yet");
        let mut claimed = claim(db, &agent, "one", now).await.unwrap();
        assert_eq!((claimed.agent(), claimed.generation, claimed.failures), (agent.id.clone(), 1, 0));
        assert_eq!(claimed.held_until, now + HOLD);
        assert_eq!(claim(db, &agent, "two", now + HOLD).await, None);
        assert_eq!(claim_due(db, "two", 9, now + HOLD).await, []);
        assert_eq!(claim(db, &agent, "one", now).await, None, "it is claimed");
        assert!(claim(db, &agent, "two", now + HOLD + seconds(1)).await.is_some(), "the first claim has ended");
        assert!(!db.renew_delivery(&mut claimed, "one", now + HOLD * 9).await.unwrap());
    }

    async fn free_delivery_is_claimed_once_even_by_same_holder(db: &Database) {
        let agent = new_agent(db).await;
        let now = morning();
        let claim_free = async |now: Timestamp| db.claim_free_delivery(&agent.id, "one", now, now + HOLD).await.unwrap();
        receive_event(db, &agent, "e1", now).await;
        assert!(claim_free(now).await.is_some());
        assert_eq!(claim_free(now + HOLD).await, None);
        assert!(claim_free(now + HOLD + seconds(1)).await.is_some());
    }

    async fn holder_renews_its_claim(db: &Database) {
        let agent = new_agent(db).await;
        let now = morning();
        receive_event(db, &agent, "e1", now).await;
        let mut claimed = claim(db, &agent, "one", now).await.unwrap();
        assert!(!db.renew_delivery(&mut claimed, "two", now + HOLD * 9).await.unwrap());
        assert_eq!(claimed.held_until, now + HOLD);
        assert!(db.renew_delivery(&mut claimed, "one", now + HOLD * 2).await.unwrap());
        assert!(db.renew_delivery(&mut claimed, "one", now + HOLD * 3).await.unwrap());
        assert_eq!(claimed.held_until, now + HOLD * 3);
        assert_eq!(claim(db, &agent, "two", now + HOLD * 3).await, None);
        assert!(claim(db, &agent, "two", now + HOLD * 3 + seconds(1)).await.is_some());
    }

    async fn rejects_former_claim_of_same_holder(db: &Database) {
        let agent = new_agent(db).await;
        let (now, late) = (morning(), morning() + HOLD + TimeDelta::microseconds(1_234_567));
        receive_event(db, &agent, "e1", now).await;
        let mut old = claim(db, &agent, "one", now).await.unwrap();
        let mut new = claim(db, &agent, "one", late).await.unwrap();
        assert!(!db.renew_delivery(&mut old, "one", late + HOLD).await.unwrap());
        assert_eq!(db.reclaim_delivery(&old, "one", late + HOLD).await.unwrap(), None);
        assert!(!db.release_delivery(&old, "one").await.unwrap());
        assert!(!db.finish_delivery(&old, "one", Some(now), 7, None).await.unwrap());
        assert!(db.renew_delivery(&mut new, "one", late + HOLD * 2).await.unwrap());
        assert!(db.finish_delivery(&new, "one", None, 0, None).await.unwrap());
    }

    async fn released_delivery_stays_due(db: &Database) {
        let agent = new_agent(db).await;
        let now = morning();
        receive_event(db, &agent, "e1", now).await;
        let claimed = claim(db, &agent, "one", now).await.unwrap();
        assert!(!db.release_delivery(&claimed, "two").await.unwrap());
        assert_eq!(claim(db, &agent, "two", now).await, None);
        assert!(db.release_delivery(&claimed, "one").await.unwrap());
        assert!(!db.release_delivery(&claimed, "one").await.unwrap());
        assert!(claim(db, &agent, "two", now).await.is_some(), "it is still due");
    }

    async fn reclaims_delivery_that_is_not_due(db: &Database) {
        let agent = new_agent(db).await;
        let now = morning();
        receive_event(db, &agent, "e1", now).await;
        let claimed = claim(db, &agent, "one", now).await.unwrap();
        // A clock that is ahead.
        assert!(db.schedule_delivery_now(&agent.id, now + seconds(9)).await.unwrap());
        assert!(!db.finish_delivery(&claimed, "one", None, 0, None).await.unwrap());
        assert_eq!(db.reclaim_delivery(&claimed, "two", now + HOLD * 2).await.unwrap(), None, "not the holder");
        let again = db.reclaim_delivery(&claimed, "one", now + HOLD * 2).await.unwrap().unwrap();
        assert_eq!((again.generation, again.failures, again.held_until), (2, 0, now + HOLD * 2));
        assert_eq!(db.reclaim_delivery(&claimed, "one", now + HOLD * 3).await.unwrap(), None, "replaced by the new claim");
        assert!(db.finish_delivery(&again, "one", None, 0, None).await.unwrap());
    }

    async fn failing_callback_waits_despite_new_events(db: &Database) {
        let agent = new_agent(db).await;
        let (now, later) = (morning(), morning() + seconds(300));
        receive_event(db, &agent, "e1", now).await;
        let claimed = claim(db, &agent, "one", now).await.unwrap();
        receive_event(db, &agent, "e2", now).await;
        assert!(db.finish_delivery(&claimed, "one", Some(later), 1, None).await.unwrap());
        assert_eq!(claim(db, &agent, "one", later - seconds(1)).await, None);
        let claimed = claim(db, &agent, "one", later).await.unwrap();
        assert_eq!(claimed.failures, 1);

        // `schedule_delivery_now` overrides it: the agent may have another callback.
        assert!(db.schedule_delivery_now(&agent.id, later).await.unwrap());
        receive_event(db, &agent, "e3", later).await;
        let much_later = later + seconds(300);
        assert!(!db.finish_delivery(&claimed, "one", Some(much_later), 2, None).await.unwrap());
        let claimed = db.reclaim_delivery(&claimed, "one", later + HOLD * 2).await.unwrap().unwrap();
        assert_eq!(claimed.failures, 0);
        // It overrides once.
        receive_event(db, &agent, "e4", later).await;
        assert!(db.finish_delivery(&claimed, "one", Some(much_later), 1, None).await.unwrap());
        assert_eq!(claim(db, &agent, "one", later + HOLD * 3).await, None);
        assert!(db.schedule_delivery_now(&agent.id, later).await.unwrap());
        assert_eq!(claim_due(db, "two", 9, later).await[0].failures, 0);
    }

    async fn delivery_is_due_when_other_lease_ends(db: &Database) {
        let agent = new_agent(db).await;
        let (now, free_at) = (morning(), morning() + seconds(20));
        receive_event(db, &agent, "e1", now).await;
        receive_from(STRANGER, db, &agent, "e2", now).await;
        db.execute("UPDATE events SET is_quiet = TRUE WHERE id = 'e1'").await;
        for (id, until) in [("e1", now + seconds(5)), ("e2", free_at)] {
            let hold = crate::EventLease { channel: None, max_tries: None, to_push: false, limit: 1, now, until };
            assert_eq!(db.lease_waiting_events(&agent.id, &hold).await.unwrap()[0].id, id);
        }
        let finish = async |claimed: Option<DeliveryClaim>, due_at, looked_at| {
            db.finish_delivery(&claimed.unwrap(), "one", due_at, 0, looked_at).await.unwrap()
        };
        assert!(finish(claim(db, &agent, "one", now).await, None, Some(now)).await);
        assert_eq!(claim(db, &agent, "one", free_at - seconds(1)).await, None, "a quiet event is not pushed");
        assert!(finish(claim(db, &agent, "one", free_at).await, None, Some(free_at)).await);
        // The lease includes its last moment.
        assert!(finish(claim(db, &agent, "one", free_at).await, Some(now), Some(now)).await, "an explicit time is used");
        let late = free_at + seconds(1);
        assert!(finish(claim(db, &agent, "one", now).await, None, Some(late)).await);
        assert_eq!(claim(db, &agent, "one", late).await, None, "it was not leased and not delivered");

        assert!(db.schedule_delivery_now(&agent.id, now).await.unwrap());
        assert!(finish(claim(db, &agent, "one", now).await, None, None).await);
        assert_eq!(claim(db, &agent, "one", late).await, None, "no listener to push to");
        assert!(db.schedule_delivery_now(&agent.id, now).await.unwrap());
        db.confirm_events(&agent.id, &[2], false, now).await.unwrap();
        assert!(finish(claim(db, &agent, "one", now).await, None, Some(now)).await);
        assert_eq!(claim(db, &agent, "one", late).await, None, "the agent received it");
    }

    async fn finished_delivery_sets_next_due_time(db: &Database) {
        let agent = new_agent(db).await;
        let (now, later) = (morning(), morning() + seconds(300));
        receive_event(db, &agent, "e1", now).await;
        let claimed = claim(db, &agent, "one", now).await.unwrap();
        assert!(!db.finish_delivery(&claimed, "two", None, 0, None).await.unwrap(), "not the holder");
        assert!(db.finish_delivery(&claimed, "one", Some(later), 2, None).await.unwrap());
        assert!(!db.finish_delivery(&claimed, "one", Some(now), 0, None).await.unwrap(), "released already");
        assert_eq!(claim(db, &agent, "two", later - seconds(1)).await, None);
        let claimed = claim(db, &agent, "two", later).await.unwrap();
        assert_eq!(claimed.failures, 2);
        assert!(db.finish_delivery(&claimed, "two", None, 0, None).await.unwrap());
        assert_eq!(claim(db, &agent, "two", later + TimeDelta::days(9)).await, None, "nothing is due");
        assert_eq!(claim_due(db, "two", 9, later + TimeDelta::days(9)).await, []);
    }

    async fn finish_fails_after_new_events(db: &Database) {
        let agent = new_agent(db).await;
        let now = morning();
        receive_event(db, &agent, "e1", now).await;
        let claimed = claim(db, &agent, "one", now).await.unwrap();
        receive_event(db, &agent, "e2", now).await;
        assert!(!db.finish_delivery(&claimed, "one", None, 0, None).await.unwrap());
        assert_eq!(claim(db, &agent, "two", now).await, None, "the claim stays");
        let claimed = db.reclaim_delivery(&claimed, "one", now + HOLD).await.unwrap().unwrap();
        assert_eq!(claimed.generation, 2);
        let data = serde_json::json!({});
        let event = crate::NewEvent {
            agent: &agent.id, id: "e3", kind: "k", channel: None, reason: EventReason::AgentOffline, data: &data,
        };
        db.append_event(&event, now).await.unwrap();
        assert!(!db.finish_delivery(&claimed, "one", None, 0, None).await.unwrap());
        let claimed = db.reclaim_delivery(&claimed, "one", now + HOLD).await.unwrap().unwrap();
        assert!(db.finish_delivery(&claimed, "one", None, 0, None).await.unwrap());
    }

    async fn appended_event_is_due_unless_callback_fails(db: &Database) {
        let agent = new_agent(db).await;
        let (now, later) = (morning(), morning() + seconds(300));
        let append = async |id: &str| {
            let data = serde_json::json!({});
            let event = crate::NewEvent {
                agent: &agent.id, id, kind: "k", channel: None, reason: EventReason::AgentOffline, data: &data,
            };
            db.append_event(&event, now).await.unwrap();
        };
        append("e1").await;
        let claimed = claim(db, &agent, "one", now).await.unwrap();
        assert!(db.finish_delivery(&claimed, "one", Some(later), 1, None).await.unwrap());
        append("e2").await;
        assert_eq!(claim(db, &agent, "one", now).await, None);
        let claimed = claim(db, &agent, "one", later).await.unwrap();
        assert!(db.finish_delivery(&claimed, "one", Some(later), 0, None).await.unwrap());
        append("e3").await;
        assert!(claim(db, &agent, "one", now).await.is_some());
    }

    async fn connect_makes_waiting_events_due(db: &Database) {
        let (agent, idle) = (new_agent(db).await, new_agent(db).await);
        let now = morning();
        receive_event(db, &agent, "e1", now).await;
        let claimed = claim(db, &agent, "one", now).await.unwrap();
        assert!(db.finish_delivery(&claimed, "one", Some(now + TimeDelta::days(1)), 5, None).await.unwrap());
        assert!(!db.schedule_delivery_now(&idle.id, now).await.unwrap());
        assert!(db.schedule_delivery_now(&agent.id, now).await.unwrap());
        let claimed = claim(db, &agent, "one", now).await.unwrap();
        assert_eq!((claimed.generation, claimed.failures), (2, 0));
        // While another worker delivers: its finish fails.
        assert!(db.schedule_delivery_now(&agent.id, now).await.unwrap());
        assert!(!db.finish_delivery(&claimed, "one", None, 0, None).await.unwrap());

        db.ack_events(&agent.id, 1, now).await.unwrap();
        assert!(!db.schedule_delivery_now(&agent.id, now).await.unwrap(), "nothing waits");
    }

    async fn claims_longest_due_deliveries_first(db: &Database) {
        let now = morning();
        let mut agents = Vec::new();
        for n in [3, 1, 2, 4] {
            let agent = new_agent(db).await;
            receive_event(db, &agent, &format!("e{n}"), now + seconds(n)).await;
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

    async fn concurrent_claims_never_share_an_agent(db: &Database) {
        let mut agents = BTreeSet::new();
        let mut events = Vec::new();
        for n in 0..40 {
            let agent = new_agent(db).await;
            events.push(inbound_event(&agent, &format!("e{n}"), PERSON));
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
                assert!(seen.insert(claim.agent()), "claimed twice");
            }
        }
        assert_eq!(seen, agents);
    }
}
