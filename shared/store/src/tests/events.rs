//! The log of what an agent is to learn: numbered without gaps, each event once, and handed out until it has arrived.

use std::collections::BTreeSet;

use futures::future::join_all;
use serde_json::json;

use super::inbound::{PERSON, STRANGER, read, says};
use super::*;
use crate::{AgentEvent, EventLease, EventPositions, NewEvent};

const HOLD: TimeDelta = TimeDelta::minutes(1);

async fn append(store: &Store, agent: &Agent, id: &str, channel: Option<Channel>) -> Result<bool, StoreError> {
    let data = json!({ "id": id });
    let event = NewEvent {
        agent: &agent.id,
        id,
        kind: "message.status",
        channel,
        reason: "agent_offline",
        data: &data,
    };
    store.append_event(&event, morning()).await
}

async fn append_all(store: &Store, agent: &Agent, ids: &[&str]) {
    for id in ids {
        assert!(append(store, agent, id, None).await.unwrap());
    }
}

/// What is handed out at this time, to nobody else for a minute.
async fn hold(store: &Store, agent: &Agent, channel: Option<Channel>, limit: u32, now: Timestamp) -> Vec<AgentEvent> {
    store
        .lease_waiting_events(
            &agent.id,
            &EventLease {
                channel,
                max_tries: None,
                to_push: false,
                limit,
                now,
                until: now + HOLD,
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

/// Takes what waits, and has it at once.
async fn take(store: &Store, agent: &Agent, channel: Option<Channel>, limit: u32) -> Vec<AgentEvent> {
    let events = hold(store, agent, channel, limit, morning()).await;
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
    async fn an_event_comes_back_as_it_was_written(db: &Database) {
        let agent = new_agent(db).await;
        let data = json!({ "text": "naïve \"quoted\" 🙂", "nested": [1, 2.5, null, { "a": true }], "none": {} });
        let at = morning() + TimeDelta::microseconds(123_456);
        let event = NewEvent {
            agent: &agent.id,
            id: "e1",
            kind: "message.inbound",
            channel: None,
            reason: "agent_offline",
            data: &data,
        };
        assert!(db.append_event(&event, at).await.unwrap());
        let expected = AgentEvent {
            seq: 1,
            id: "e1".into(),
            kind: "message.inbound".into(),
            channel: None,
            state: "waiting".into(),
            reason: "agent_offline".into(),
            data,
            content: None,
            tries: 0,
            created_at: at,
        };
        assert_eq!(list(db, &agent, 0, 10).await, std::slice::from_ref(&expected));
        assert_eq!(db.find_event(&agent.id, "e1").await.unwrap(), Some(expected.clone()));
        assert_eq!(db.find_event(&new_agent(db).await.id, "e1").await.unwrap(), None, "somebody else's");
        assert_eq!(take(db, &agent, None, 10).await, [expected]);
    }

    async fn an_id_is_logged_once_and_leaves_no_gap(db: &Database) {
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

    async fn an_unknown_agent_has_no_log(db: &Database) {
        let agent = Agent { id: AgentId::generate(), ..new_agent(db).await };
        assert!(append(db, &agent, "e1", None).await.is_err());
        assert_eq!(db.count("SELECT COUNT(*) FROM events").await, 0);
        assert_eq!(db.find_event_positions(&agent.id).await.unwrap(), None);
        assert_eq!(hold(db, &agent, None, 10, morning()).await, []);
        assert_eq!(db.ack_events(&agent.id, 5, morning()).await.unwrap(), 0);
    }

    async fn each_agent_counts_without_gaps_while_many_write(db: &Database) {
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

    async fn the_oldest_are_handed_out_first_and_once(db: &Database) {
        let (agent, other) = (new_agent(db).await, new_agent(db).await);
        append_all(db, &agent, &["e1", "e2", "e3", "e4", "e5"]).await;
        append_all(db, &other, &["x1"]).await;
        assert_eq!(db.count_waiting_events(&agent.id).await.unwrap(), 5);
        assert_eq!(db.find_first_waiting_event(&agent.id).await.unwrap(), Some(1));
        assert_eq!(ids(&take(db, &agent, None, 2).await), ["e1", "e2"]);
        assert_eq!(db.find_first_waiting_event(&agent.id).await.unwrap(), Some(3));
        assert_eq!(ids(&take(db, &agent, None, 2).await), ["e3", "e4"]);
        assert_eq!(ids(&take(db, &agent, None, 2).await), ["e5"]);
        assert_eq!(ids(&take(db, &agent, None, 2).await), [""; 0]);
        assert_eq!(ids(&take(db, &other, None, 2).await), ["x1"]);
        assert_eq!(db.count("SELECT COUNT(*) FROM events WHERE delivered_at IS NOT NULL").await, 6);
        assert_eq!(db.count_waiting_events(&agent.id).await.unwrap(), 0);
        assert_eq!(db.find_first_waiting_event(&agent.id).await.unwrap(), None);
        // They stay in the log.
        assert_eq!(ids(&list(db, &agent, 0, 3).await), ["e1", "e2", "e3"]);
        assert_eq!(ids(&list(db, &agent, 3, 3).await), ["e4", "e5"]);
        assert_eq!(ids(&list(db, &agent, 5, 3).await), [""; 0]);
        assert!(list(db, &agent, 0, 9).await.iter().all(|event| event.state == "delivered"));
    }

    async fn a_channel_is_taken_on_its_own(db: &Database) {
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

    async fn takers_of_the_same_moment_share_the_events(db: &Database) {
        let agent = new_agent(db).await;
        append(db, &agent, "e0", None).await.unwrap();
        // The planner now takes the table for tiny, and its plan must be right all the same.
        db.execute("ANALYZE").await;
        for n in 1..60 {
            append(db, &agent, &format!("e{n}"), None).await.unwrap();
        }
        let replicas = [db.replica().await, db.replica().await];
        let takers = (0..8).map(|n| take(&replicas[n % 2], &agent, None, 7));
        let taken = join_all(takers).await;
        // While there are enough for all, none of them goes away with less than it may have.
        assert!(taken.iter().all(|events| events.len() == 7));
        assert!(taken.iter().all(|events| events.is_sorted_by_key(|event| event.seq)));
        let mut seqs: Vec<i64> = taken.iter().flatten().map(|event| event.seq).collect();
        seqs.sort_unstable();
        assert_eq!(seqs, (1..=56).collect::<Vec<i64>>());
        assert_eq!(ids(&take(db, &agent, None, 7).await), ["e56", "e57", "e58", "e59"]);
    }

    async fn what_is_held_is_handed_to_nobody_else_until_the_hold_is_over(db: &Database) {
        let agent = new_agent(db).await;
        append_all(db, &agent, &["e1", "e2", "e3"]).await;
        let now = morning();
        assert_eq!(ids(&hold(db, &agent, None, 2, now).await), ["e1", "e2"]);
        assert_eq!(ids(&hold(db, &agent, None, 2, now).await), ["e3"]);
        assert_eq!(ids(&hold(db, &agent, None, 2, now + HOLD).await), [""; 0], "to the last moment");
        // They still wait, and can be read.
        assert_eq!(db.count_waiting_events(&agent.id).await.unwrap(), 3);
        assert_eq!(ids(&list(db, &agent, 0, 9).await), ["e1", "e2", "e3"]);

        // Whoever held them has died; the next one gets them in their order.
        let late = now + HOLD + TimeDelta::microseconds(1);
        let again = hold(db, &agent, None, 9, late).await;
        assert_eq!(ids(&again), ["e1", "e2", "e3"]);
        assert_eq!(again[0].tries, 0, "nobody has said that it was tried");
        assert_eq!(hold(db, &agent, None, 9, late).await, []);
    }

    async fn what_is_on_its_way_is_not_overtaken_by_what_the_same_person_said_later(db: &Database) {
        let agent = new_agent(db).await;
        let said = [("e1", PERSON), ("e2", PERSON), ("e3", STRANGER), ("e4", STRANGER), ("e5", PERSON)];
        read(db, said.map(|(id, contact)| says(&agent, id, contact)).into()).await;
        let now = morning();
        assert_eq!(ids(&hold(db, &agent, None, 2, now).await), ["e1", "e2"]);
        assert_eq!(ids(&hold(db, &agent, None, 1, now).await), ["e3"]);
        // Should the holders have died, these would come before e1 and e3.
        assert_eq!(ids(&hold(db, &agent, None, 9, now).await), [""; 0]);
        db.confirm_events(&agent.id, &[3], false, now).await.unwrap();
        assert_eq!(ids(&hold(db, &agent, None, 9, now).await), ["e4"]);
        let late = now + HOLD + TimeDelta::microseconds(1);
        assert_eq!(ids(&hold(db, &agent, None, 9, late).await), ["e1", "e2", "e4", "e5"]);
    }

    async fn what_was_confirmed_is_gone_for_good(db: &Database) {
        let (agent, other) = (new_agent(db).await, new_agent(db).await);
        append_all(db, &agent, &["e1", "e2", "e3"]).await;
        append_all(db, &other, &["x1", "x2"]).await;
        hold(db, &agent, None, 2, morning()).await;
        let at = morning() + seconds(1);
        assert_eq!(db.confirm_events(&agent.id, &[1, 2], false, at).await.unwrap(), 2);
        assert_eq!(db.confirm_events(&agent.id, &[1, 2, 77], false, at + seconds(9)).await.unwrap(), 0, "they were confirmed");
        assert_eq!(db.confirm_events(&agent.id, &[], false, at).await.unwrap(), 0);
        let much_later = morning() + TimeDelta::days(1);
        assert_eq!(ids(&hold(db, &agent, None, 9, much_later).await), ["e3"]);
        // What was not handed out may be confirmed too: the agent has fetched it elsewhere.
        assert_eq!(db.confirm_events(&agent.id, &[3], false, at).await.unwrap(), 1);
        assert_eq!(db.count_waiting_events(&other.id).await.unwrap(), 2, "somebody else's numbers");
        assert_eq!(db.count("SELECT COUNT(DISTINCT delivered_at) FROM events").await, 1);

        // What is released afterwards stays where it is.
        db.release_events(&agent.id, &[1], "callback_failed", true).await.unwrap();
        let first = db.find_event(&agent.id, "e1").await.unwrap().unwrap();
        assert_eq!((first.state.as_str(), first.reason.as_str(), first.tries), ("delivered", "agent_offline", 0));
    }

    async fn what_was_released_comes_again_with_its_reason(db: &Database) {
        let agent = new_agent(db).await;
        append_all(db, &agent, &["e1", "e2", "e3"]).await;
        let now = morning();
        hold(db, &agent, None, 9, now).await;
        db.release_events(&agent.id, &[1, 2], "callback_failed", true).await.unwrap();
        let again = hold(db, &agent, None, 9, now).await;
        assert_eq!(ids(&again), ["e1", "e2"]);
        assert!(again.iter().all(|event| event.reason == "callback_failed" && event.tries == 1));

        // Not tried this time: the agent was not there.
        db.release_events(&agent.id, &[2], "agent_offline", false).await.unwrap();
        let again = hold(db, &agent, None, 9, now).await;
        assert_eq!(ids(&again), ["e2"]);
        assert_eq!((again[0].reason.as_str(), again[0].tries), ("agent_offline", 1));
    }

    async fn what_failed_too_often_is_kept_for_those_who_ask(db: &Database) {
        let agent = new_agent(db).await;
        append_all(db, &agent, &["e1", "e2"]).await;
        let now = morning();
        let push = async || db.lease_waiting_events(&agent.id, &EventLease { channel: None, max_tries: Some(2), to_push: false, limit: 9, now, until: now + HOLD }).await.unwrap();
        for _ in 0..2 {
            assert_eq!(ids(&push().await), ["e1", "e2"]);
            db.release_events(&agent.id, &[1], "callback_failed", true).await.unwrap();
            db.release_events(&agent.id, &[2], "agent_offline", false).await.unwrap();
        }
        assert_eq!(ids(&push().await), ["e2"]);
        assert_eq!(ids(&hold(db, &agent, None, 9, now).await), ["e1"]);
    }

    async fn what_is_too_large_to_push_holds_back_nothing_and_waits(db: &Database) {
        let agent = new_agent(db).await;
        read(db, ["e1", "e2", "e3"].map(|id| says(&agent, id, PERSON)).into()).await;
        let now = morning() + HOLD;
        let push = async |max_tries| {
            let hold = EventLease { channel: None, max_tries, to_push: true, limit: 9, now, until: now + HOLD };
            let events = db.lease_waiting_events(&agent.id, &hold).await.unwrap();
            let seqs: Vec<i64> = events.iter().map(|event| event.seq).collect();
            db.release_events(&agent.id, &seqs, "callback_failed", max_tries.is_some()).await.unwrap();
            events
        };
        assert_eq!(ids(&push(None).await), ["e1", "e2", "e3"]);
        db.release_events(&agent.id, &[1], "too_large_to_push", false).await.unwrap();
        assert_eq!(ids(&push(None).await), ["e2", "e3"], "of the same contact, even");
        assert_eq!(ids(&push(Some(9)).await), ["e1", "e2", "e3"], "a callback takes it");
        assert_eq!(ids(&push(None).await), ["e2", "e3"], "a callback that failed makes it no smaller");
        let waiting = hold(db, &agent, None, 9, now).await;
        assert_eq!(ids(&waiting), ["e1", "e2", "e3"]);
        assert_eq!((waiting[0].reason.as_str(), waiting[0].tries), ("too_large_to_push", 1));
        assert_eq!(confirm(db, &agent, &waiting).await, 3);
    }

    async fn an_agent_says_up_to_where_it_has_them(db: &Database) {
        let (agent, other) = (new_agent(db).await, new_agent(db).await);
        append_all(db, &agent, &["e1", "e2", "e3", "e4"]).await;
        append_all(db, &other, &["x1"]).await;
        let ends = async || db.find_event_positions(&agent.id).await.unwrap().unwrap();
        let at = morning() + seconds(1);
        hold(db, &agent, None, 1, morning()).await;
        confirm(db, &agent, &list(db, &agent, 0, 1).await).await;
        assert_eq!(db.ack_events(&agent.id, 2, at).await.unwrap(), 1, "the first was delivered before");
        assert_eq!(ends().await, EventPositions { event_seq: 4, event_cursor: 2 });
        // The same again, and one from before: nothing.
        assert_eq!(db.ack_events(&agent.id, 2, at).await.unwrap(), 0);
        assert_eq!(db.ack_events(&agent.id, 1, at).await.unwrap(), 0);
        assert_eq!(db.ack_events(&agent.id, -7, at).await.unwrap(), 0);
        assert_eq!(ends().await, EventPositions { event_seq: 4, event_cursor: 2 });
        assert_eq!(db.count_waiting_events(&agent.id).await.unwrap(), 2);

        // Beyond the end is the end: what comes afterwards is not had yet.
        assert_eq!(db.ack_events(&agent.id, i64::MAX, at).await.unwrap(), 2);
        assert_eq!(ends().await, EventPositions { event_seq: 4, event_cursor: 4 });
        append_all(db, &agent, &["e5"]).await;
        assert_eq!(db.count_waiting_events(&agent.id).await.unwrap(), 1);
        assert_eq!(db.ack_events(&agent.id, 4, at).await.unwrap(), 0);
        assert_eq!(db.ack_events(&agent.id, 5, at).await.unwrap(), 1);
        assert_eq!(db.count_waiting_events(&other.id).await.unwrap(), 1);
    }
}
