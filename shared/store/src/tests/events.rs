//! The log of what an agent is to learn: numbered without gaps, each event once, handed out once.

use std::collections::BTreeSet;

use futures::future::join_all;
use serde_json::json;

use super::*;
use crate::{Event, NewEvent};

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

async fn take(store: &Store, agent: &Agent, channel: Option<Channel>, limit: u32) -> Vec<Event> {
    let now = morning() + seconds(1);
    store.take_waiting_events(&agent.id, channel, limit, now).await.unwrap()
}

fn ids(events: &[Event]) -> Vec<&str> {
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
        let expected = Event {
            seq: 1,
            id: "e1".into(),
            kind: "message.inbound".into(),
            channel: None,
            reason: "agent_offline".into(),
            data,
            created_at: at,
        };
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
    }

    async fn an_unknown_agent_has_no_log(db: &Database) {
        let agent = Agent { id: AgentId::generate(), ..new_agent(db).await };
        assert!(append(db, &agent, "e1", None).await.is_err());
        assert_eq!(db.count("SELECT COUNT(*) FROM events").await, 0);
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
        for id in ["e1", "e2", "e3", "e4", "e5"] {
            append(db, &agent, id, None).await.unwrap();
        }
        append(db, &other, "x1", None).await.unwrap();
        assert_eq!(ids(&take(db, &agent, None, 2).await), ["e1", "e2"]);
        assert_eq!(ids(&take(db, &agent, None, 2).await), ["e3", "e4"]);
        assert_eq!(ids(&take(db, &agent, None, 2).await), ["e5"]);
        assert_eq!(ids(&take(db, &agent, None, 2).await), [""; 0]);
        assert_eq!(ids(&take(db, &other, None, 2).await), ["x1"]);
        assert_eq!(db.count("SELECT COUNT(*) FROM events WHERE delivered_at IS NOT NULL").await, 6);
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
}
