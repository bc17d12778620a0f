//! The event log: numbered without gaps, each event once, leased until it is delivered.

use std::collections::BTreeSet;

use futures::future::join_all;
use serde_json::json;

use super::inbound::{PERSON, STRANGER, inbound_event, read};
use super::*;
use crate::{AgentEvent, EventLease, EventPositions, NewEvent};

const LEASE: TimeDelta = TimeDelta::minutes(1);

async fn append(store: &Store, agent: &Agent, id: &str, channel: Option<Channel>) -> Result<bool, StoreError> {
    let data = json!({ "id": id });
    let event = NewEvent {
        agent: &agent.id,
        id,
        kind: "message.status",
        channel,
        reason: EventReason::AgentOffline,
        data: &data,
    };
    store.append_event(&event, morning()).await
}

async fn append_all(store: &Store, agent: &Agent, ids: &[&str]) {
    for id in ids {
        assert!(append(store, agent, id, None).await.unwrap());
    }
}

/// Leases events for a minute.
async fn lease(store: &Store, agent: &Agent, channel: Option<Channel>, limit: u32, now: Timestamp) -> Vec<AgentEvent> {
    store
        .lease_waiting_events(
            &agent.id,
            &EventLease {
                channel,
                max_tries: None,
                to_push: false,
                limit,
                now,
                until: now + LEASE,
            },
        )
        .await
        .unwrap()
}

async fn confirm(store: &Store, agent: &Agent, events: &[AgentEvent]) -> u64 {
    let seqs: Vec<i64> = events.iter().map(|event| event.seq).collect();
    store
        .confirm_events(&agent.id, &seqs, false, morning() + seconds(1))
        .await
        .unwrap()
}

/// Leases the waiting events and confirms them.
async fn take(store: &Store, agent: &Agent, channel: Option<Channel>, limit: u32) -> Vec<AgentEvent> {
    let events = lease(store, agent, channel, limit, morning()).await;
    assert_eq!(confirm(store, agent, &events).await, events.len() as u64);
    events
}

async fn list(store: &Store, agent: &Agent, after: i64, limit: u32) -> Vec<AgentEvent> {
    store.list_events(&agent.id, after, limit).await.unwrap()
}

fn ids(events: &[AgentEvent]) -> Vec<&str> {
    events.iter().map(|event| event.id.as_str()).collect()
}

both_engines! {
    async fn reads_event_as_appended(db: &Database) {
        let agent = new_agent(db).await;
        let data = json!({ "text": "naïve \"quoted\" 🙂", "nested": [1, 2.5, null, { "a": true }], "none": {} });
        let at = morning() + TimeDelta::microseconds(123_456);
        let event = NewEvent {
            agent: &agent.id,
            id: "e1",
            kind: "message.inbound",
            channel: None,
            reason: EventReason::AgentOffline,
            data: &data,
        };
        assert!(db.append_event(&event, at).await.unwrap());
        let expected = AgentEvent {
            seq: 1,
            id: "e1".into(),
            kind: "message.inbound".into(),
            channel: None,
            state: EventState::Waiting,
            reason: EventReason::AgentOffline,
            data,
            content: None,
            tries: 0,
            created_at: at,
        };
        assert_eq!(list(db, &agent, 0, 10).await, std::slice::from_ref(&expected));
        assert_eq!(db.find_event(&agent.id, "e1").await.unwrap(), Some(expected.clone()));
        assert_eq!(db.find_event(&new_agent(db).await.id, "e1").await.unwrap(), None, "of another agent");
        assert_eq!(take(db, &agent, None, 10).await, [expected]);
    }

    async fn reports_unknown_reason(db: &Database) {
        let agent = new_agent(db).await;
        assert!(append(db, &agent, "e1", None).await.unwrap());
        db.execute("UPDATE events SET reason = 'odd'").await;
        let error = db.find_event(&agent.id, "e1").await.unwrap_err();
        assert_eq!(error.to_string(), "table events, column reason: unknown value \"odd\"");
    }

    async fn duplicate_event_id_leaves_no_gap(db: &Database) {
        let (agent, other) = (new_agent(db).await, new_agent(db).await);
        assert!(append(db, &agent, "e1", None).await.unwrap());
        assert!(!append(db, &agent, "e1", None).await.unwrap());
        assert!(!append(db, &other, "e1", None).await.unwrap());
        assert!(append(db, &agent, "e2", None).await.unwrap());
        let seqs: Vec<i64> = take(db, &agent, None, 10).await.iter().map(|event| event.seq).collect();
        assert_eq!(seqs, [1, 2]);
        assert!(!append(db, &agent, "e1", None).await.unwrap(), "delivered, and still known");
        assert_eq!(db.find_event_positions(&agent.id).await.unwrap(), Some(EventPositions { event_seq: 2, event_cursor: 0 }));
    }

    async fn unknown_agent_has_no_log(db: &Database) {
        let agent = Agent { id: AgentId::generate(), ..new_agent(db).await };
        assert!(append(db, &agent, "e1", None).await.is_err());
        assert_eq!(db.count("SELECT COUNT(*) FROM events").await, 0);
        assert_eq!(db.find_event_positions(&agent.id).await.unwrap(), None);
        assert_eq!(lease(db, &agent, None, 10, morning()).await, []);
        assert_eq!(db.ack_events(&agent.id, 5, morning()).await.unwrap(), 0);
    }

    async fn concurrent_appends_number_without_gaps(db: &Database) {
        let agents = [new_agent(db).await, new_agent(db).await];
        let replicas = [db.replica().await, db.replica().await];
        // Every id is written twice, by two replicas.
        let writes = (0..80).flat_map(|n| {
            let agent = &agents[n % 2];
            replicas.iter().map(move |store| async move { append(store, agent, &format!("e{n}"), None).await.unwrap() })
        });
        let added = join_all(writes).await;
        assert_eq!(added.into_iter().filter(|added| *added).count(), 80);
        for agent in &agents {
            let events = take(db, agent, None, 100).await;
            let seqs: Vec<i64> = events.iter().map(|event| event.seq).collect();
            assert_eq!(seqs, (1..=40).collect::<Vec<i64>>());
            assert_eq!(ids(&events).into_iter().collect::<BTreeSet<_>>().len(), 40);
        }
    }

    async fn leases_oldest_events_first_and_once(db: &Database) {
        let (agent, other) = (new_agent(db).await, new_agent(db).await);
        append_all(db, &agent, &["e1", "e2", "e3", "e4", "e5"]).await;
        append_all(db, &other, &["x1"]).await;
        assert_eq!(db.count_waiting_events(&agent.id).await.unwrap(), 5);
        assert_eq!(db.find_first_waiting_event(&agent.id, &[]).await.unwrap(), Some(1));
        assert_eq!(ids(&take(db, &agent, None, 2).await), ["e1", "e2"]);
        assert_eq!(db.find_first_waiting_event(&agent.id, &[]).await.unwrap(), Some(3));
        assert_eq!(ids(&take(db, &agent, None, 2).await), ["e3", "e4"]);
        assert_eq!(ids(&take(db, &agent, None, 2).await), ["e5"]);
        assert_eq!(ids(&take(db, &agent, None, 2).await), [""; 0]);
        assert_eq!(ids(&take(db, &other, None, 2).await), ["x1"]);
        assert_eq!(db.count("SELECT COUNT(*) FROM events WHERE delivered_at IS NOT NULL").await, 6);
        assert_eq!(db.count_waiting_events(&agent.id).await.unwrap(), 0);
        assert_eq!(db.find_first_waiting_event(&agent.id, &[]).await.unwrap(), None);
        // They stay in the log.
        assert_eq!(ids(&list(db, &agent, 0, 3).await), ["e1", "e2", "e3"]);
        assert_eq!(ids(&list(db, &agent, 3, 3).await), ["e4", "e5"]);
        assert_eq!(ids(&list(db, &agent, 5, 3).await), [""; 0]);
        assert!(list(db, &agent, 0, 9).await.iter().all(|event| event.state == EventState::Delivered));
    }

    async fn leases_events_of_one_channel(db: &Database) {
        let agent = new_agent(db).await;
        append(db, &agent, "s1", Some(Channel::Sms)).await.unwrap();
        append(db, &agent, "m1", Some(Channel::Email)).await.unwrap();
        append(db, &agent, "n1", None).await.unwrap();
        append(db, &agent, "s2", Some(Channel::Sms)).await.unwrap();
        append(db, &agent, "s3", Some(Channel::Sms)).await.unwrap();
        assert_eq!(ids(&take(db, &agent, Some(Channel::Sms), 2).await), ["s1", "s2"]);
        assert_eq!(ids(&take(db, &agent, Some(Channel::Whatsapp), 2).await), [""; 0]);
        assert_eq!(ids(&take(db, &agent, None, 10).await), ["m1", "n1", "s3"]);
    }

    async fn concurrent_leases_share_the_events(db: &Database) {
        let agent = new_agent(db).await;
        append(db, &agent, "e0", None).await.unwrap();
        // Statistics of an almost empty table: the plan must be correct all the same.
        db.execute("ANALYZE").await;
        for n in 1..60 {
            append(db, &agent, &format!("e{n}"), None).await.unwrap();
        }
        let replicas = [db.replica().await, db.replica().await];
        let takers = (0..8).map(|n| take(&replicas[n % 2], &agent, None, 7));
        let taken = join_all(takers).await;
        // While there are enough events, each lease gets its full number.
        assert!(taken.iter().all(|events| events.len() == 7));
        assert!(taken.iter().all(|events| events.is_sorted_by_key(|event| event.seq)));
        let mut seqs: Vec<i64> = taken.iter().flatten().map(|event| event.seq).collect();
        seqs.sort_unstable();
        assert_eq!(seqs, (1..=56).collect::<Vec<i64>>());
        assert_eq!(ids(&take(db, &agent, None, 7).await), ["e56", "e57", "e58", "e59"]);
    }

    async fn leased_event_is_not_leased_again_before_end(db: &Database) {
        let agent = new_agent(db).await;
        append_all(db, &agent, &["e1", "e2", "e3"]).await;
        let now = morning();
        assert_eq!(ids(&lease(db, &agent, None, 2, now).await), ["e1", "e2"]);
        assert_eq!(ids(&lease(db, &agent, None, 2, now).await), ["e3"]);
        assert_eq!(ids(&lease(db, &agent, None, 2, now + LEASE).await), [""; 0], "to the last moment");
        // They still wait and can be listed.
        assert_eq!(db.count_waiting_events(&agent.id).await.unwrap(), 3);
        assert_eq!(ids(&list(db, &agent, 0, 9).await), ["e1", "e2", "e3"]);

        // The lease has ended; the next receiver gets them in order.
        let late = now + LEASE + TimeDelta::microseconds(1);
        let again = lease(db, &agent, None, 9, late).await;
        assert_eq!(ids(&again), ["e1", "e2", "e3"]);
        assert_eq!(again[0].tries, 0, "no try was counted");
        assert_eq!(lease(db, &agent, None, 9, late).await, []);
    }

    async fn extended_lease_holds_event_longer(db: &Database) {
        let agent = new_agent(db).await;
        assert!(append(db, &agent, "e1", None).await.unwrap());
        let seq = lease(db, &agent, None, 9, morning()).await[0].seq;
        let later = morning() + LEASE + seconds(1);
        db.extend_event_leases(&agent.id, &[seq], later + LEASE).await.unwrap();
        assert_eq!(lease(db, &agent, None, 9, later).await.len(), 0);
        // An event without a lease gets none.
        db.release_events(&agent.id, &[seq], EventReason::AgentOffline, false).await.unwrap();
        db.extend_event_leases(&agent.id, &[seq], later + LEASE).await.unwrap();
        assert_eq!(lease(db, &agent, None, 9, later).await.len(), 1);
    }

    async fn leased_event_holds_back_later_ones_of_same_contact(db: &Database) {
        let agent = new_agent(db).await;
        let inbound = [("e1", PERSON), ("e2", PERSON), ("e3", STRANGER), ("e4", STRANGER), ("e5", PERSON)];
        read(db, inbound.map(|(id, contact)| inbound_event(&agent, id, contact)).into()).await;
        let now = morning();
        assert_eq!(ids(&lease(db, &agent, None, 2, now).await), ["e1", "e2"]);
        assert_eq!(ids(&lease(db, &agent, None, 1, now).await), ["e3"]);
        // If the receivers of e1 and e3 have died, those events must come first.
        assert_eq!(ids(&lease(db, &agent, None, 9, now).await), [""; 0]);
        db.confirm_events(&agent.id, &[3], false, now).await.unwrap();
        assert_eq!(ids(&lease(db, &agent, None, 9, now).await), ["e4"]);
        let late = now + LEASE + TimeDelta::microseconds(1);
        assert_eq!(ids(&lease(db, &agent, None, 9, late).await), ["e1", "e2", "e4", "e5"]);
    }

    async fn confirmed_event_is_never_leased_again(db: &Database) {
        let (agent, other) = (new_agent(db).await, new_agent(db).await);
        append_all(db, &agent, &["e1", "e2", "e3"]).await;
        append_all(db, &other, &["x1", "x2"]).await;
        lease(db, &agent, None, 2, morning()).await;
        let at = morning() + seconds(1);
        assert_eq!(db.confirm_events(&agent.id, &[1, 2], false, at).await.unwrap(), 2);
        assert_eq!(db.confirm_events(&agent.id, &[1, 2, 77], false, at + seconds(9)).await.unwrap(), 0, "confirmed before");
        assert_eq!(db.confirm_events(&agent.id, &[], false, at).await.unwrap(), 0);
        let much_later = morning() + TimeDelta::days(1);
        assert_eq!(ids(&lease(db, &agent, None, 9, much_later).await), ["e3"]);
        // An event without a lease can be confirmed too: the agent has read it elsewhere.
        assert_eq!(db.confirm_events(&agent.id, &[3], false, at).await.unwrap(), 1);
        assert_eq!(db.count_waiting_events(&other.id).await.unwrap(), 2, "numbers of another agent");
        assert_eq!(db.count("SELECT COUNT(DISTINCT delivered_at) FROM events").await, 1);

        // A release after the confirmation changes nothing.
        db.release_events(&agent.id, &[1], EventReason::CallbackFailed, true).await.unwrap();
        let first = db.find_event(&agent.id, "e1").await.unwrap().unwrap();
        assert_eq!((first.state, first.reason, first.tries), (EventState::Delivered, EventReason::AgentOffline, 0));
    }

    async fn concurrent_leases_keep_the_order_of_a_contact(db: &Database) {
        let agent = new_agent(db).await;
        let names: Vec<String> = (0..9).map(|n| format!("m{n}")).collect();
        read(db, names.iter().map(|id| inbound_event(&agent, id, PERSON)).collect()).await;
        // The first statements wait at the rows, so that both have begun before one of them commits.
        let lock = match &db.engine {
            crate::engine::Engine::Postgres(pool) => {
                let mut tx = pool.begin().await.unwrap();
                sqlx::query("SELECT id FROM events FOR UPDATE").execute(&mut *tx).await.unwrap();
                Some(tx)
            }
            crate::engine::Engine::Sqlite { .. } => None,
        };
        let takers = async {
            let (one, two) = (db.replica().await, db.replica().await);
            join_all([&one, &two].map(|store| lease(store, &agent, None, 3, morning()))).await
        };
        let unlock = async {
            const BLOCKED: &str = "SELECT COUNT(*) FROM pg_locks WHERE NOT granted";
            if let Some(tx) = lock {
                while db.count(BLOCKED).await < 2 {
                    tokio::task::yield_now().await;
                }
                tx.commit().await.unwrap();
            }
        };
        let (mut leased, ()) = tokio::join!(takers, unlock);
        leased.sort_by_key(Vec::len);
        assert!(leased[0].is_empty(), "later ones wait for the outcome of those before");
        assert_eq!(ids(&leased[1]), ["m0", "m1", "m2"]);
    }

    async fn ack_of_kinds_leaves_other_events(db: &Database) {
        let agent = new_agent(db).await;
        append_all(db, &agent, &["status1"]).await;
        read(db, vec![inbound_event(&agent, "text", PERSON)]).await;
        append_all(db, &agent, &["status2", "status3"]).await;
        let kinds = ["message.status".to_owned()];
        assert_eq!(db.ack_events_of(&agent.id, 3, &kinds, morning()).await.unwrap(), 2);
        assert_eq!(ids(&lease(db, &agent, None, 9, morning()).await), ["text", "status3"]);
        assert_eq!(db.find_first_waiting_event(&agent.id, &kinds).await.unwrap(), Some(4));
        assert_eq!(db.find_event_positions(&agent.id).await.unwrap().unwrap().event_cursor, 0);
    }

    async fn purge_of_delivered_content_works_in_batches(db: &Database) {
        let agent = new_agent(db).await;
        read(db, (0..1_203).map(|n| inbound_event(&agent, &format!("e{n}"), PERSON)).collect()).await;
        db.execute("UPDATE events SET state = 'delivered', delivered_at = '2026-11-22T09:00:00+00:00'").await;
        assert_eq!(db.purge_delivered(morning()).await.unwrap(), 0);
        assert_eq!(db.purge_delivered(morning() + seconds(1)).await.unwrap(), 1_203);
        assert_eq!(db.count("SELECT COUNT(*) FROM events WHERE content IS NOT NULL").await, 0);
    }

    async fn released_event_is_leased_again_with_reason(db: &Database) {
        let agent = new_agent(db).await;
        append_all(db, &agent, &["e1", "e2", "e3"]).await;
        let now = morning();
        lease(db, &agent, None, 9, now).await;
        db.release_events(&agent.id, &[1, 2], EventReason::CallbackFailed, true).await.unwrap();
        let again = lease(db, &agent, None, 9, now).await;
        assert_eq!(ids(&again), ["e1", "e2"]);
        assert!(again.iter().all(|event| event.reason == EventReason::CallbackFailed && event.tries == 1));

        // Not tried: the agent was offline.
        db.release_events(&agent.id, &[2], EventReason::AgentOffline, false).await.unwrap();
        let again = lease(db, &agent, None, 9, now).await;
        assert_eq!(ids(&again), ["e2"]);
        assert_eq!((again[0].reason, again[0].tries), (EventReason::AgentOffline, 1));
    }

    async fn event_over_retry_limit_waits_for_polling(db: &Database) {
        let agent = new_agent(db).await;
        append_all(db, &agent, &["e1", "e2"]).await;
        let now = morning();
        let push = async || db.lease_waiting_events(&agent.id, &EventLease { channel: None, max_tries: Some(2), to_push: false, limit: 9, now, until: now + LEASE }).await.unwrap();
        for _ in 0..2 {
            assert_eq!(ids(&push().await), ["e1", "e2"]);
            db.release_events(&agent.id, &[1], EventReason::CallbackFailed, true).await.unwrap();
            db.release_events(&agent.id, &[2], EventReason::AgentOffline, false).await.unwrap();
        }
        assert_eq!(ids(&push().await), ["e2"]);
        assert_eq!(ids(&lease(db, &agent, None, 9, now).await), ["e1"]);
    }

    async fn too_large_event_waits_and_blocks_no_other(db: &Database) {
        let agent = new_agent(db).await;
        read(db, ["e1", "e2", "e3"].map(|id| inbound_event(&agent, id, PERSON)).into()).await;
        let now = morning() + LEASE;
        let push = async |max_tries| {
            let hold = EventLease { channel: None, max_tries, to_push: true, limit: 9, now, until: now + LEASE };
            let events = db.lease_waiting_events(&agent.id, &hold).await.unwrap();
            let seqs: Vec<i64> = events.iter().map(|event| event.seq).collect();
            db.release_events(&agent.id, &seqs, EventReason::CallbackFailed, max_tries.is_some()).await.unwrap();
            events
        };
        assert_eq!(ids(&push(None).await), ["e1", "e2", "e3"]);
        db.release_events(&agent.id, &[1], EventReason::TooLargeToPush, false).await.unwrap();
        assert_eq!(ids(&push(None).await), ["e2", "e3"], "even of the same contact");
        assert_eq!(ids(&push(Some(9)).await), ["e1", "e2", "e3"], "a callback gets it");
        assert_eq!(ids(&push(None).await), ["e2", "e3"], "it is still too large after a failed callback");
        let waiting = lease(db, &agent, None, 9, now).await;
        assert_eq!(ids(&waiting), ["e1", "e2", "e3"]);
        assert_eq!((waiting[0].reason, waiting[0].tries), (EventReason::TooLargeToPush, 1));
        assert_eq!(confirm(db, &agent, &waiting).await, 3);
    }

    async fn ack_delivers_events_up_to_cursor(db: &Database) {
        let (agent, other) = (new_agent(db).await, new_agent(db).await);
        append_all(db, &agent, &["e1", "e2", "e3", "e4"]).await;
        append_all(db, &other, &["x1"]).await;
        let ends = async || db.find_event_positions(&agent.id).await.unwrap().unwrap();
        let at = morning() + seconds(1);
        lease(db, &agent, None, 1, morning()).await;
        confirm(db, &agent, &list(db, &agent, 0, 1).await).await;
        assert_eq!(db.ack_events(&agent.id, 2, at).await.unwrap(), 1, "the first was delivered before");
        assert_eq!(ends().await, EventPositions { event_seq: 4, event_cursor: 2 });
        // A repeated and an older cursor change nothing.
        assert_eq!(db.ack_events(&agent.id, 2, at).await.unwrap(), 0);
        assert_eq!(db.ack_events(&agent.id, 1, at).await.unwrap(), 0);
        assert_eq!(db.ack_events(&agent.id, -7, at).await.unwrap(), 0);
        assert_eq!(ends().await, EventPositions { event_seq: 4, event_cursor: 2 });
        assert_eq!(db.count_waiting_events(&agent.id).await.unwrap(), 2);

        // A cursor beyond the end counts as the end: later events are not acknowledged.
        assert_eq!(db.ack_events(&agent.id, i64::MAX, at).await.unwrap(), 2);
        assert_eq!(ends().await, EventPositions { event_seq: 4, event_cursor: 4 });
        append_all(db, &agent, &["e5"]).await;
        assert_eq!(db.count_waiting_events(&agent.id).await.unwrap(), 1);
        assert_eq!(db.ack_events(&agent.id, 4, at).await.unwrap(), 0);
        assert_eq!(db.ack_events(&agent.id, 5, at).await.unwrap(), 1);
        assert_eq!(db.count_waiting_events(&other.id).await.unwrap(), 1);
    }
}
