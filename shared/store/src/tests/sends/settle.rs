//! Settling: stores the outcome, settles the reservation and counts the usage, once.

use butt_dial_domain::message::Status;
use futures::future::join_all;

use super::*;
use crate::{Found, Look, StageTimes, TraceStep};

async fn send(store: &Store, agent: &Agent, key: &str) -> MessageId {
    let send = text(agent, key);
    assert_eq!(store.accept_send(send.clone()).await.unwrap(), Acceptance::Accepted);
    send.id
}

/// Reads messages and cost of the day.
async fn usage(store: &Store, agent: &Agent) -> (i64, i64) {
    let rows = store.sum_usage(&agent.id, DAY, DAY).await.unwrap();
    rows.iter()
        .fold((0, 0), |sum, row| (sum.0 + row.messages, sum.1 + row.cost))
}

/// Reads held and settled money, which agent and organization share here.
async fn money(store: &Store, agent: &Agent) -> (i64, i64) {
    let own = spend(store, &format!("agt:{}", agent.id)).await;
    assert_eq!(spend(store, &format!("org:{}", agent.org_id)).await, own);
    own
}

const CONTENTS: &str = "SELECT COUNT(*) FROM messages WHERE content IS NOT NULL";

both_engines! {
    async fn accepted_message_costs_reported_price(db: &Database) {
        let agent = new_agent(db).await;
        let id = send(db, &agent, "k").await;
        let result = SendResult::Accepted {
            carrier_id: "SM1".into(),
            carrier_status: "queued".into(),
            segments: Some(3),
            cost: 2_500,
        };
        assert!(db.settle_send(settled(&id, result)).await.unwrap());
        let message = db.find_message(&id).await.unwrap().unwrap();
        assert_eq!((message.status, message.cost, message.segments), (Status::Accepted, Some(2_500), Some(3)));
        assert_eq!(message.carrier_id.as_deref(), Some("SM1"));
        assert_eq!(message.carrier_status.as_deref(), Some("queued"));
        assert_eq!((message.check_at, message.failure), (None, None));
        assert_eq!(money(db, &agent).await, (0, 2_500));
        assert_eq!(usage(db, &agent).await, (1, 2_500));
        assert_eq!(db.count(CONTENTS).await, 0);
    }

    async fn carrier_id_belongs_to_one_message(db: &Database) {
        let agent = new_agent(db).await;
        let (first, second) = (send(db, &agent, "a").await, send(db, &agent, "b").await);
        let result = |id: &str| SendResult::Accepted {
            carrier_id: id.into(),
            carrier_status: "queued".into(),
            segments: None,
            cost: 1,
        };
        assert!(db.settle_send(settled(&first, result("SM1"))).await.unwrap());
        let twice = db.settle_send(settled(&second, result("SM1"))).await;
        assert!(matches!(twice, Err(StoreError::Conflict)), "{twice:?}");
        assert!(db.settle_send(settled(&second, result(""))).await.unwrap());
        assert_eq!(db.find_message(&second).await.unwrap().unwrap().carrier_id, None);
    }

    async fn outcome_and_event_are_written_together(db: &Database) {
        let agent = new_agent(db).await;
        let data = serde_json::json!({});
        let event = |id: &'static str| crate::NewEvent {
            agent: &agent.id,
            id,
            kind: "message.status",
            channel: None,
            reason: EventReason::AgentOffline,
            data: &data,
        };
        let id = send(db, &agent, "k").await;
        let outcome = settled(&id, accepted(1));
        assert!(db.settle_and_tell(outcome.clone(), &event("e1")).await.unwrap());
        assert!(!db.settle_and_tell(outcome, &event("e2")).await.unwrap());
        assert_eq!(db.texts("SELECT id FROM events").await, ["e1"]);
        db.tell(&id, Status::Accepted, &event("e1"), morning()).await.unwrap();
        db.tell(&id, Status::Failed, &event("e3"), morning()).await.unwrap();
        assert_eq!(db.texts("SELECT id FROM events").await, ["e1"], "known, and of another status");

        // A receipt has told that it was delivered: no event of a former status follows, and the row does not move back.
        let id = send(db, &agent, "k2").await;
        db.settle_send(settled(&id, unknown(morning()))).await.unwrap();
        db.execute("UPDATE messages SET carrier_id = 'SM2', stage = 'delivered', stage_rank = 4 WHERE idempotency_key = 'k2'").await;
        let lost = SettledSend { outcome: AttemptOutcome::Unconfirmed, ..settled(&id, SendResult::Unconfirmed) };
        assert!(!db.settle_and_tell(lost, &event("e4")).await.unwrap());
        assert_eq!(db.find_message(&id).await.unwrap().unwrap().status, Status::Unknown);
        assert!(db.settle_and_tell(settled(&id, accepted(1)), &event("e5")).await.unwrap());
        assert_eq!(db.texts("SELECT id FROM events").await, ["e1"]);
    }

    async fn failed_message_costs_nothing(db: &Database) {
        let agent = new_agent(db).await;
        for (key, frees_key) in [("a", false), ("b", true)] {
            let id = send(db, &agent, key).await;
            assert!(db.settle_send(settled(&id, failed(frees_key))).await.unwrap());
            let message = db.find_message(&id).await.unwrap().unwrap();
            assert_eq!((message.status, message.cost), (Status::Failed, Some(0)));
            assert_eq!(message.failure.as_deref(), Some("carrier_refused"));
        }
        assert_eq!(money(db, &agent).await, (0, 0));
        assert_eq!(usage(db, &agent).await, (0, 0));
        assert_eq!(db.count(CONTENTS).await, 0);
    }

    async fn trace_grows_with_each_outcome(db: &Database) {
        let agent = new_agent(db).await;
        let (id, plain) = (send(db, &agent, "k").await, send(db, &agent, "plain").await);
        assert_eq!(db.find_trace(&id).await.unwrap(), []);
        let mut times = StageTimes::default();
        times.note("dispatch", std::time::Duration::from_millis(7));
        let look = Look { at: morning(), took: std::time::Duration::from_millis(31), found: Found::Outcome };
        let steps = [TraceStep::Sent(times), TraceStep::Looked(look)];
        let first = SettledSend { trace: Some(steps[0]), ..settled(&id, unknown(morning())) };
        let without = settled(&plain, accepted(1));
        tokio::try_join!(db.settle_send(first), db.settle_send(without)).unwrap();
        assert_eq!(db.find_trace(&id).await.unwrap(), steps[..1]);
        // An outcome without a step changes nothing of it.
        assert!(db.settle_send(settled(&id, unknown(morning()))).await.unwrap());
        let last = SettledSend { trace: Some(steps[1]), ..settled(&id, accepted(1)) };
        assert!(db.settle_send(last).await.unwrap());
        assert_eq!(db.find_trace(&id).await.unwrap(), steps);
        assert_eq!(db.find_trace(&plain).await.unwrap(), []);
    }

    async fn unknown_outcome_keeps_reservation_and_content(db: &Database) {
        let agent = new_agent(db).await;
        let id = send(db, &agent, "k").await;
        for wait in [5, 30] {
            let check_at = morning() + seconds(wait);
            assert!(db.settle_send(settled(&id, unknown(check_at))).await.unwrap());
            let message = db.find_message(&id).await.unwrap().unwrap();
            assert_eq!((message.status, message.cost, message.check_at), (Status::Unknown, None, Some(check_at)));
            assert_eq!(money(db, &agent).await, (ESTIMATE, 0));
            assert_eq!(usage(db, &agent).await, (0, 0));
            assert_eq!(db.count(CONTENTS).await, 1);
        }
        assert_eq!(db.list_attempts(&id).await.unwrap()[0].outcome.as_deref(), Some("unknown"));

        let mut found = settled(&id, accepted(7));
        found.outcome = AttemptOutcome::Reconciled;
        assert!(db.settle_send(found).await.unwrap());
        assert_eq!(money(db, &agent).await, (0, 7));
        assert_eq!(usage(db, &agent).await, (1, 7));
        assert_eq!(db.count(CONTENTS).await, 0);
        assert_eq!(db.list_attempts(&id).await.unwrap()[0].outcome.as_deref(), Some("reconciled"));
    }

    async fn unconfirmed_message_costs_its_estimate(db: &Database) {
        let agent = new_agent(db).await;
        let id = send(db, &agent, "k").await;
        db.settle_send(settled(&id, unknown(morning()))).await.unwrap();
        assert!(db.settle_send(settled(&id, SendResult::Unconfirmed)).await.unwrap());
        let message = db.find_message(&id).await.unwrap().unwrap();
        assert_eq!((message.status, message.cost), (Status::Unconfirmed, Some(ESTIMATE)));
        assert_eq!(money(db, &agent).await, (0, ESTIMATE));
        assert_eq!(usage(db, &agent).await, (1, ESTIMATE));
        assert_eq!(db.count(CONTENTS).await, 0);
        assert_eq!(db.accept_send(text(&agent, "k")).await.unwrap(), Acceptance::PriorRequest(id), "the key stays used");
    }

    async fn settled_message_stays_unchanged(db: &Database) {
        let agent = new_agent(db).await;
        for (n, last) in [accepted(5), failed(false), failed(true), SendResult::Unconfirmed].into_iter().enumerate() {
            let id = send(db, &agent, &format!("k{n}")).await;
            assert!(db.settle_send(settled(&id, last)).await.unwrap());
            let before = (db.ledger().await, db.list_attempts(&id).await.unwrap());
            for late in [accepted(9), failed(true), unknown(morning()), SendResult::Unconfirmed] {
                assert!(!db.settle_send(settled(&id, late)).await.unwrap());
            }
            assert_eq!((db.ledger().await, db.list_attempts(&id).await.unwrap()), before);
        }
        assert!(!db.settle_send(settled(&MessageId::generate(), accepted(1))).await.unwrap());
    }

    async fn one_of_many_concurrent_settlements_counts(db: &Database) {
        let agent = new_agent(db).await;
        let replicas = [db.replica().await, db.replica().await];
        for round in 0..20 {
            let id = send(db, &agent, &format!("k{round}")).await;
            // Some share a batch, some come from another replica; each has another outcome.
            let results = [accepted(1), SendResult::Unconfirmed, failed(false), accepted(2)];
            let settlements = results.into_iter().enumerate().map(|(n, result)| {
                replicas[n % 2].settle_send(settled(&id, result))
            });
            let counted = join_all(settlements).await;
            let counted: Vec<bool> = counted.into_iter().map(Result::unwrap).collect();
            let winner: Vec<usize> = (0..4).filter(|n| counted[*n]).collect();
            let message = db.find_message(&id).await.unwrap().unwrap();
            let expected = [
                (Status::Accepted, Some(1)),
                (Status::Unconfirmed, Some(ESTIMATE)),
                (Status::Failed, Some(0)),
                (Status::Accepted, Some(2)),
            ];
            assert_eq!(winner.len(), 1, "settled {} times", winner.len());
            assert_eq!((message.status, message.cost), expected[winner[0]]);
        }
    }

    async fn unknown_and_final_outcome_share_a_batch(db: &Database) {
        let agent = new_agent(db).await;
        let id = send(db, &agent, "k").await;
        let (doubt, answer) = tokio::join!(
            db.settle_send(settled(&id, unknown(morning()))),
            db.settle_send(settled(&id, accepted(3)))
        );
        assert!(doubt.unwrap());
        assert!(answer.unwrap());
        assert_eq!(db.find_message(&id).await.unwrap().unwrap().status, Status::Accepted);
    }

    async fn settled_messages_hold_no_money(db: &Database) {
        let agents = [new_agent(db).await, new_agent(db).await];
        let replicas = [db.replica().await, db.replica().await];
        let lives = (0..60).map(|n| {
            let (agent, store) = (&agents[n % 2], &replicas[n / 2 % 2]);
            async move {
                let id = send(store, agent, &format!("k{n}")).await;
                if n % 3 == 0 {
                    store.settle_send(settled(&id, unknown(morning()))).await.unwrap();
                }
                let result = [accepted(10), failed(false), failed(true), SendResult::Unconfirmed][n % 4].clone();
                assert!(store.settle_send(settled(&id, result)).await.unwrap());
            }
        });
        join_all(lives).await;
        // Of 30 messages each, the one agent has 15 accepted and 15 freed, the other 15 failed and 15 unconfirmed.
        assert_eq!(money(db, &agents[0]).await, (0, 15 * 10));
        assert_eq!(usage(db, &agents[0]).await, (15, 15 * 10));
        assert_eq!(money(db, &agents[1]).await, (0, 15 * ESTIMATE));
        assert_eq!(usage(db, &agents[1]).await, (15, 15 * ESTIMATE));
    }
}
