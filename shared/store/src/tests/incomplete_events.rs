//! Incomplete events: they hold back later events of the same contact only.

use super::inbound::{HOLD, PERSON, STRANGER, inbound_event, read};
use super::*;
use crate::{AgentEvent, EventLease, EventPositions, InboundRow, IncompleteEvent};

fn incomplete(agent: &Agent, id: &str, contact: &str) -> InboundRow {
    InboundRow {
        is_incomplete: true,
        ..inbound_event(agent, id, contact)
    }
}

async fn held(store: &Store, agent: &Agent, now: Timestamp) -> Vec<String> {
    let events = store
        .lease_waiting_events(
            &agent.id,
            &EventLease {
                channel: None,
                max_tries: None,
                to_push: false,
                limit: 99,
                now,
                until: now + HOLD,
            },
        )
        .await;
    events.unwrap().into_iter().map(|event| event.id).collect()
}

async fn listed(store: &Store, agent: &Agent) -> Vec<String> {
    let events = store.list_events(&agent.id, 0, 99).await.unwrap();
    events.into_iter().map(|event| event.id).collect()
}

async fn claim(store: &Store, limit: u32, now: Timestamp) -> Vec<IncompleteEvent> {
    let is_due = is_due(store, DueKind::IncompleteEvents, now).await;
    let mut claimed = store.claim_incomplete_events(limit, now, now + HOLD).await.unwrap();
    assert!(is_due || claimed.is_empty());
    claimed.sort_by_key(|event| event.seq);
    claimed
}

async fn content(store: &Store, agent: &Agent, id: &str) -> Option<Vec<u8>> {
    store.find_event(&agent.id, id).await.unwrap().unwrap().content
}

both_engines! {
    async fn incomplete_event_holds_back_later_ones_of_contact(db: &Database) {
        let (agent, other) = (new_agent(db).await, new_agent(db).await);
        let events = vec![
            inbound_event(&agent, "e1", PERSON),
            incomplete(&agent, "e2", PERSON),
            inbound_event(&agent, "e3", STRANGER),
            inbound_event(&agent, "e4", PERSON),
            inbound_event(&other, "x1", PERSON),
        ];
        read(db, events).await;
        let now = morning();
        assert_eq!(held(db, &agent, now).await, ["e1", "e3"]);
        assert_eq!(held(db, &other, now).await, ["x1"]);
        // The log has one order: it ends before the first incomplete event.
        assert_eq!(listed(db, &agent).await, ["e1"]);

        db.confirm_events(&agent.id, &[1], false, now).await.unwrap();
        assert!(db.complete_event(&agent.id, 2, Some(b"fetched"), now).await.unwrap());
        assert_eq!(held(db, &agent, now).await, ["e2", "e4"]);
        assert_eq!(listed(db, &agent).await, ["e1", "e2", "e3", "e4"]);
        assert_eq!(content(db, &agent, "e2").await.as_deref(), Some(&b"fetched"[..]));
    }

    async fn ack_stops_before_incomplete_event(db: &Database) {
        let agent = new_agent(db).await;
        let events = vec![inbound_event(&agent, "e1", PERSON), incomplete(&agent, "e2", PERSON), inbound_event(&agent, "e3", STRANGER)];
        read(db, events).await;
        assert_eq!(db.ack_events(&agent.id, 3, morning()).await.unwrap(), 1);
        let ends = db.find_event_positions(&agent.id).await.unwrap();
        assert_eq!(ends, Some(EventPositions { event_seq: 3, event_cursor: 1 }), "otherwise it would never be delivered");
        assert_eq!(db.count_waiting_events(&agent.id).await.unwrap(), 2);
        db.complete_event(&agent.id, 2, None, morning()).await.unwrap();
        assert_eq!(db.ack_events(&agent.id, 3, morning()).await.unwrap(), 2);
    }

    async fn claimed_fetch_is_exclusive_until_claim_ends(db: &Database) {
        let agent = new_agent(db).await;
        read(db, vec![incomplete(&agent, "e1", PERSON), inbound_event(&agent, "e2", PERSON), incomplete(&agent, "e3", PERSON)]).await;
        let now = morning();
        assert!(claim(db, 9, now - TimeDelta::microseconds(1)).await.is_empty());
        let claimed = claim(db, 9, now).await;
        let [first, second] = &claimed[..] else { panic!("{} claimed", claimed.len()) };
        assert_eq!((first.agent(), first.org()), (agent.id.clone(), agent.org_id.clone()));
        assert_eq!((first.seq, first.id.as_str(), first.created_at), (1, "e1", now));
        assert_eq!(first.data, inbound_event(&agent, "e1", PERSON).data);
        assert_eq!(first.content, inbound_event(&agent, "e1", PERSON).content);
        assert_eq!(second.seq, 3);
        assert!(claim(db, 9, now).await.is_empty());
        assert!(claim(db, 9, now + HOLD - TimeDelta::microseconds(1)).await.is_empty());
        assert_eq!(claim(db, 1, now + HOLD).await.len(), 1);
        assert_eq!(claim(db, 9, now + HOLD).await.len(), 1);
    }

    async fn concurrent_fetchers_share_the_events(db: &Database) {
        let agent = new_agent(db).await;
        read(db, (0..40).map(|n| incomplete(&agent, &format!("e{n}"), PERSON)).collect()).await;
        let replicas = [db.replica().await, db.replica().await];
        let takers = (0..8).map(|n| claim(&replicas[n % 2], 10, morning()));
        let claimed = futures::future::join_all(takers).await;
        let mut seqs: Vec<i64> = claimed.iter().flatten().map(|event| event.seq).collect();
        // A concurrent claim may get nothing; the next claim gets the remaining events.
        seqs.extend(claim(db, 40, morning()).await.iter().map(|event| event.seq));
        seqs.sort_unstable();
        assert_eq!(seqs, (1..=40).collect::<Vec<i64>>());
    }

    async fn completed_event_is_leased_once(db: &Database) {
        let agent = new_agent(db).await;
        let applied = read(db, vec![incomplete(&agent, "e1", PERSON), incomplete(&agent, "e2", STRANGER)]).await;
        let now = morning();
        let claimed = &applied.claims[0];
        assert!(db.complete_event(&agent.id, 1, Some(b"body"), now).await.unwrap());
        // The delivery worker must check again.
        assert!(!db.finish_delivery(claimed, "reader", None, 0, None).await.unwrap());
        let claimed = db.reclaim_delivery(claimed, "reader", now + HOLD).await.unwrap().unwrap();
        assert!(!db.complete_event(&agent.id, 1, Some(b"other"), now).await.unwrap());
        assert!(!db.complete_event(&agent.id, 77, Some(b"other"), now).await.unwrap());
        assert!(db.finish_delivery(&claimed, "reader", None, 0, None).await.unwrap(), "nothing has happened");
        assert_eq!(content(db, &agent, "e1").await.as_deref(), Some(&b"body"[..]));

        // Fetching was abandoned: the event is delivered with its partial content.
        assert!(db.complete_event(&agent.id, 2, None, now).await.unwrap());
        assert_eq!(content(db, &agent, "e2").await, inbound_event(&agent, "e2", STRANGER).content);
        assert!(db.claim_free_delivery(&agent.id, "other", now, now + HOLD).await.unwrap().is_some());
        assert_eq!(held(db, &agent, now).await, ["e1", "e2"]);
    }

    async fn confirmed_event_loses_its_content(db: &Database) {
        let agent = new_agent(db).await;
        read(db, ["e1", "e2", "e3"].map(|id| inbound_event(&agent, id, PERSON)).into()).await;
        let held: Vec<AgentEvent> =
            db.lease_waiting_events(&agent.id, &EventLease { channel: None, max_tries: None, to_push: false, limit: 1, now: morning(), until: morning() + HOLD }).await.unwrap();
        assert_eq!(held[0].content, inbound_event(&agent, "e1", PERSON).content);
        db.confirm_events(&agent.id, &[1], false, morning()).await.unwrap();
        assert_eq!(content(db, &agent, "e1").await, None);
        db.ack_events(&agent.id, 2, morning()).await.unwrap();
        assert_eq!(content(db, &agent, "e2").await, None);
        db.release_events(&agent.id, &[3], EventReason::CallbackFailed, true).await.unwrap();
        assert!(content(db, &agent, "e3").await.is_some());
    }

    async fn purged_events_block_no_other(db: &Database) {
        let agent = new_agent(db).await;
        read(db, vec![incomplete(&agent, "e1", PERSON), inbound_event(&agent, "e2", PERSON)]).await;
        assert_eq!(db.purge_contents(morning()).await.unwrap(), 0, "not older than that");
        let more = (0..1_100).map(|n| inbound_event(&agent, &format!("n{n}"), PERSON)).collect();
        read(db, more).await;
        let young = InboundRow { content: Some(b"young".into()), ..inbound_event(&agent, "young", PERSON) };
        let at = morning() + TimeDelta::days(1);
        let late = crate::InboundBatch { at, ..super::inbound::batch(2, vec![young], vec![]) };
        db.apply_inbound(&late, &|_| None).await.unwrap();

        assert_eq!(db.purge_contents(at).await.unwrap(), 1_102);
        assert_eq!(db.purge_contents(at).await.unwrap(), 0);
        assert_eq!(db.texts("SELECT id FROM events WHERE content IS NOT NULL").await, ["young"]);
        assert_eq!(db.count_waiting_events(&agent.id).await.unwrap(), 1_103, "they are still delivered");
        assert_eq!(held(db, &agent, morning()).await[..2], ["e1", "e2"]);
    }

    async fn keeps_partial_content_while_event_waits(db: &Database) {
        let (agent, other) = (new_agent(db).await, new_agent(db).await);
        read(db, vec![incomplete(&agent, "e1", PERSON), inbound_event(&agent, "e2", STRANGER), incomplete(&other, "x1", PERSON)]).await;
        let now = morning();
        let again = now + seconds(2);
        assert!(db.reschedule_incomplete_event(&agent.id, 1, Some(b"half"), again).await.unwrap());
        let data = serde_json::json!({ "from": PERSON, "incomplete": true });
        assert!(db.update_incomplete_event(&agent.id, 1, &data).await.unwrap());
        assert_eq!(listed(db, &agent).await, [""; 0]);
        assert_eq!(held(db, &agent, now).await, ["e2"]);
        assert_eq!(claim(db, 9, again - TimeDelta::microseconds(1)).await.len(), 1, "of the other agent");
        assert!(db.reschedule_incomplete_event(&agent.id, 1, None, now).await.unwrap());
        assert!(db.reschedule_incomplete_event(&other.id, 1, None, now).await.unwrap());
        let claimed = claim(db, 9, now).await;
        let ours = claimed.iter().find(|event| event.id == "e1").unwrap();
        assert_eq!((ours.content.as_deref(), &ours.data), (Some(&b"half"[..]), &data));
        let theirs = claimed.iter().find(|event| event.id == "x1").unwrap();
        assert_eq!((&theirs.content, &theirs.data), (&inbound_event(&other, "x1", PERSON).content, &inbound_event(&other, "x1", PERSON).data));

        // A complete event and a missing event stay unchanged.
        assert!(db.complete_event(&agent.id, 1, None, now).await.unwrap());
        for seq in [1, 2, 77] {
            assert!(!db.reschedule_incomplete_event(&agent.id, seq, Some(b"late"), now).await.unwrap());
            assert!(!db.update_incomplete_event(&agent.id, seq, &serde_json::json!({})).await.unwrap());
        }
        let event = db.find_event(&agent.id, "e1").await.unwrap().unwrap();
        assert_eq!((event.content.as_deref(), event.data), (Some(&b"half"[..]), data));
        assert_eq!(content(db, &agent, "e2").await, inbound_event(&agent, "e2", STRANGER).content);
    }
}
