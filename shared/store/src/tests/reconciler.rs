//! Claims of the reconciler: due messages, each by one replica, exact to the microsecond.

use std::collections::BTreeSet;

use butt_dial_domain::message::Status;

use super::*;
use crate::{Found, Look, TraceStep, Unsettled};

const LEASE: TimeDelta = TimeDelta::minutes(5);

async fn claim(store: &Store, limit: u32, now: Timestamp) -> Vec<Unsettled> {
    let is_due = is_due(store, DueKind::UnknownSends, now).await;
    let claimed = store.claim_unsettled(limit, now, now + LEASE).await.unwrap();
    assert!(is_due || claimed.is_empty());
    claimed
}

fn ids(claimed: &[Unsettled]) -> BTreeSet<MessageId> {
    claimed.iter().map(|unsettled| unsettled.message.id.clone()).collect()
}

async fn accept(store: &Store, agent: &Agent, key: &str, check_at: Timestamp) -> MessageId {
    let send = AcceptedSend {
        check_at,
        ..text(agent, key)
    };
    store.accept_send(send.clone()).await.unwrap();
    send.id
}

fn look(at: Timestamp) -> Look {
    Look {
        at,
        took: std::time::Duration::from_millis(31),
        found: Found::Nothing,
    }
}

both_engines! {
    async fn check_is_due_at_its_exact_microsecond(db: &Database) {
        let agent = new_agent(db).await;
        let moment = TimeDelta::microseconds(1);
        // All numbers of fraction digits, because SQLite compares times as text.
        for (n, micros) in [0, 1, 10, 999, 1_000, 120_000, 123_456, 999_999].into_iter().enumerate() {
            let due = morning() + TimeDelta::days(n as i64) + TimeDelta::microseconds(micros);
            let id = accept(db, &agent, &format!("k{n}"), due).await;
            assert_eq!(ids(&claim(db, 10, due - moment).await), BTreeSet::new(), "{due} came early");
            assert_eq!(ids(&claim(db, 10, due).await), BTreeSet::from([id.clone()]), "{due} was missed");

            // The lease is a bound value; settling writes a value from JSON.
            let lease = due + LEASE;
            assert_eq!(ids(&claim(db, 10, lease - moment).await), BTreeSet::new(), "the lease of {due} was short");
            assert_eq!(ids(&claim(db, 10, lease).await), BTreeSet::from([id.clone()]), "the lease of {due} was long");
            let next = lease + TimeDelta::hours(1);
            db.settle_send(settled(&id, unknown(next))).await.unwrap();
            assert_eq!(ids(&claim(db, 10, next - moment).await), BTreeSet::new(), "{next} came early");
            assert_eq!(ids(&claim(db, 10, next).await), BTreeSet::from([id.clone()]), "{next} was missed");
            db.settle_send(settled(&id, accepted(1))).await.unwrap();
        }
    }

    async fn message_of_lost_sender_becomes_unknown(db: &Database) {
        let agent = new_agent(db).await;
        let send = text(&agent, "k");
        db.accept_send(send.clone()).await.unwrap();
        let claimed = claim(db, 10, send.check_at).await;
        assert_eq!(claimed[0].message.status, Status::Unknown);
        assert_eq!(claimed[0].message.check_at, Some(send.check_at + LEASE));
        assert_eq!(claimed[0].content.as_deref(), Some(&send.content[..]));
        let message = db.find_message(&send.id).await.unwrap().unwrap();
        assert_eq!((message.status, message.updated_at, message.checks), (Status::Unknown, send.check_at, 0));
        assert_eq!(spend(db, &format!("agt:{}", agent.id)).await, (ESTIMATE, 0), "it may have been sent");

        // The sender was slow, not lost: its outcome still counts.
        assert!(db.settle_send(settled(&send.id, accepted(9))).await.unwrap());
        assert_eq!(ids(&claim(db, 10, send.check_at + TimeDelta::days(1)).await), BTreeSet::new());
    }

    async fn claims_longest_overdue_up_to_limit(db: &Database) {
        let agent = new_agent(db).await;
        let first = accept(db, &agent, "first", morning()).await;
        assert_eq!(ids(&claim(db, 2, morning()).await), BTreeSet::from([first.clone()]));
        db.settle_send(settled(&first, accepted(1))).await.unwrap();
        // Statistics of an almost empty table: the plan must be correct all the same.
        db.execute("ANALYZE").await;
        let mut due = Vec::new();
        for n in [4, 1, 2, 3, 5] {
            due.push((n, accept(db, &agent, &format!("k{n}"), morning() + seconds(n)).await));
        }
        due.sort();
        let expected = |range: std::ops::Range<usize>| due[range].iter().map(|(_, id)| id.clone()).collect();
        let now = morning() + seconds(4);
        assert_eq!(ids(&claim(db, 2, now).await), expected(0..2));
        assert_eq!(ids(&claim(db, 10, now).await), expected(2..4));
        assert_eq!(ids(&claim(db, 10, now).await), BTreeSet::new());
    }

    async fn concurrent_claims_never_share_a_message(db: &Database) {
        let agent = new_agent(db).await;
        let mut all = BTreeSet::new();
        for n in 0..60 {
            all.insert(accept(db, &agent, &format!("k{n}"), morning()).await);
        }
        let replicas = [db.replica().await, db.replica().await, db.replica().await];
        let mut seen = BTreeSet::new();
        loop {
            let [a, b, c] = &replicas;
            let now = morning();
            let taken = tokio::join!(claim(a, 7, now), claim(b, 7, now), claim(c, 7, now));
            if taken.0.is_empty() && taken.1.is_empty() && taken.2.is_empty() {
                break;
            }
            for claimed in [taken.0, taken.1, taken.2] {
                assert!(claimed.len() <= 7);
                for unsettled in claimed {
                    assert!(seen.insert(unsettled.message.id), "claimed twice");
                }
            }
        }
        assert_eq!(seen, all);
    }

    async fn check_counts_when_carrier_answered(db: &Database) {
        let agent = new_agent(db).await;
        let id = accept(db, &agent, "k", morning()).await;
        claim(db, 10, morning()).await;
        let checks = async || {
            let message = db.find_message(&id).await.unwrap().unwrap();
            (message.checks, message.check_at)
        };
        db.schedule_check(&id, morning() + seconds(10), true, look(morning())).await.unwrap();
        assert_eq!(checks().await, (1, Some(morning() + seconds(10))));
        db.schedule_check(&id, morning() + seconds(20), false, look(morning())).await.unwrap();
        assert_eq!(checks().await, (1, Some(morning() + seconds(20))));
        db.schedule_check(&id, morning() + seconds(30), true, look(morning())).await.unwrap();
        assert_eq!(checks().await, (2, Some(morning() + seconds(30))));
        let looked = TraceStep::Looked(look(morning()));
        assert_eq!(db.find_trace(&id).await.unwrap(), [looked; 3]);
        // A trace ends before it is long.
        for _ in 0..99 {
            db.schedule_check(&id, morning() + seconds(30), false, look(morning())).await.unwrap();
        }
        let long = db.find_trace(&id).await.unwrap().len();
        assert!((40..80).contains(&long), "{long}");

        assert_eq!(claim(db, 10, morning() + seconds(29)).await.len(), 0);
        assert_eq!(claim(db, 10, morning() + seconds(30)).await[0].message.checks, 2);
    }

    async fn settled_message_is_not_checked_again(db: &Database) {
        let agent = new_agent(db).await;
        for (n, result) in [accepted(1), failed(false), failed(true), SendResult::Unconfirmed].into_iter().enumerate() {
            let id = accept(db, &agent, &format!("k{n}"), morning()).await;
            db.settle_send(settled(&id, result)).await.unwrap();
            db.schedule_check(&id, morning(), true, look(morning())).await.unwrap();
            let message = db.find_message(&id).await.unwrap().unwrap();
            assert_eq!((message.check_at, message.checks), (None, 0));
        }
        assert_eq!(claim(db, 10, morning() + TimeDelta::days(1)).await.len(), 0);
    }

    async fn corrupt_message_does_not_block_others(db: &Database) {
        let agent = new_agent(db).await;
        let healthy = accept(db, &agent, "healthy", morning()).await;
        accept(db, &agent, "sick", morning()).await;
        db.execute("UPDATE messages SET channel = 'fax' WHERE idempotency_key = 'sick'").await;
        assert_eq!(ids(&claim(db, 10, morning()).await), BTreeSet::from([healthy]));
    }
}
