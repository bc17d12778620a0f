//! Old rows: deleted in batches, unless they are still needed.

use butt_dial_domain::{Clock, message::Status};
use serde_json::json;

use super::*;
use crate::{AgentRows, AuditEntry, NewEvent, TimedRows};

/// A time after everything that a test has written, by the clock of the test and by that of the ids.
fn afterwards() -> Timestamp {
    morning().max(Clock::System.now()) + TimeDelta::days(1)
}

async fn delete_timed(db: &Database, before: Timestamp) -> [u64; 4] {
    let mut deleted = [0; 4];
    let kinds = [
        TimedRows::Messages,
        TimedRows::ScheduledSends,
        TimedRows::Attempts,
        TimedRows::AuditEntries,
    ];
    for (count, rows) in deleted.iter_mut().zip(kinds) {
        *count = db.delete_timed(rows, before).await.unwrap();
    }
    deleted
}

both_engines! {
    async fn deletes_old_rows_that_are_settled(db: &Database) {
        let agent = new_agent(db).await;
        let open = text(&agent, "open");
        db.accept_send(open.clone()).await.unwrap();
        for key in ["one", "two"] {
            let send = text(&agent, key);
            let id = send.id.clone();
            db.accept_send(send).await.unwrap();
            db.settle_send(settled(&id, failed(false))).await.unwrap();
            super::scheduled::schedule(db, &agent, key, morning()).await.unwrap();
        }
        db.execute("UPDATE scheduled_sends SET state = 'sent', request = NULL WHERE idempotency_key = 'one'").await;
        // Of an earlier release.
        db.execute("INSERT INTO attempts (message_id, number, replica, started_at) SELECT id, 1, 'r', created_at FROM messages")
            .await;
        db.execute("DELETE FROM audit").await;
        let entry = AuditEntry::new(None, "system", "a.b", "t", morning());
        db.append_audit(&entry).await.unwrap();
        assert_eq!(delete_timed(db, morning()).await, [0; 4], "not older than that");
        assert_eq!(delete_timed(db, afterwards()).await, [2, 1, 3, 1]);
        assert_eq!(delete_timed(db, afterwards()).await, [0; 4]);
        let kept = db.find_message(&open.id).await.unwrap().unwrap();
        assert_eq!(kept.status, Status::Sending);
    }

    async fn deletes_old_events_and_calls_in_batches(db: &Database) {
        let (agent, other) = (new_agent(db).await, new_agent(db).await);
        let data = json!({});
        let append = async |agent: &Agent, index: usize, at: Timestamp| {
            let id = format!("evt_{}_{index}", agent.id);
            let event = NewEvent {
                agent: &agent.id,
                id: &id,
                kind: "message.status",
                channel: None,
                reason: EventReason::AgentOffline,
                data: &data,
            };
            db.append_event(&event, at).await.unwrap();
        };
        for index in 0..3 {
            append(&agent, index, morning()).await;
            append(&other, index, morning()).await;
        }
        append(&agent, 3, morning() + seconds(9)).await;
        db.delete_of_agents(AgentRows::Events, morning()).await.unwrap();
        assert_eq!(db.count("SELECT COUNT(*) FROM events").await, 7, "not older than that");
        let before = morning() + seconds(5);
        assert_eq!(db.delete_of_agents(AgentRows::Events, before).await.unwrap(), 6);
        assert_eq!(db.count("SELECT COUNT(*) FROM events").await, 1);
        append(&other, 4, morning() + seconds(9)).await;
        assert_eq!(db.count("SELECT MAX(seq) FROM events").await, 4, "numbers are not used again");

        let call = super::calls::inbound_call(&agent, "CA1");
        db.open_call(&call).await.unwrap();
        assert_eq!(db.delete_of_agents(AgentRows::Calls, morning()).await.unwrap(), 0);
        assert_eq!(db.delete_of_agents(AgentRows::Calls, before).await.unwrap(), 1);
    }
}
