//! Group commit: concurrent items share a batch, and one failing item does not fail the others.

use futures::future::join_all;

use super::*;

/// Accepts sends in one batch: all are queued before the task runs. Returns the results.
async fn accept_all(store: &Store, sends: &[AcceptedSend]) -> Vec<Result<Acceptance, StoreError>> {
    join_all(sends.iter().map(|send| store.accept_send(send.clone()))).await
}

fn many(agent: &Agent, count: usize) -> Vec<AcceptedSend> {
    (0..count).map(|n| text(agent, &format!("k{n}"))).collect()
}

both_engines! {
    async fn one_item_over_budget_fails_alone(db: &Database) {
        let agent = new_agent(db).await;
        let mut sends = many(&agent, 9);
        sends[4].agent_limits = per_day(1);
        for (n, answer) in accept_all(db, &sends).await.into_iter().enumerate() {
            match answer {
                Ok(answer) => assert_eq!((answer, n != 4), (Acceptance::Accepted, true)),
                Err(error) => assert!(n == 4 && matches!(error, StoreError::OverBudget), "{n}: {error}"),
            }
        }
        assert!(db.find_message(&sends[4].id).await.unwrap().is_none());
        assert_eq!(spend(db, &format!("agt:{}", agent.id)).await, (8 * ESTIMATE, 0));
    }

    async fn one_invalid_item_fails_alone(db: &Database) {
        let agent = new_agent(db).await;
        let mut sends = many(&agent, 9);
        sends[4].recipient = "a\0b".into();
        let answers = accept_all(db, &sends).await;
        for (n, answer) in answers.iter().enumerate().filter(|(n, _)| *n != 4) {
            assert!(matches!(answer, Ok(Acceptance::Accepted)), "{n}: {answer:?}");
        }
        // Postgres does not store NUL in a text; SQLite does.
        if db.is_postgres() {
            assert!(matches!(answers[4], Err(StoreError::Other(_))), "{:?}", answers[4]);
            assert!(db.find_message(&sends[4].id).await.unwrap().is_none());
        } else {
            assert_eq!(db.find_message(&sends[4].id).await.unwrap().unwrap().recipient, "a\0b");
        }
    }

    async fn new_and_repeated_items_share_a_batch(db: &Database) {
        let agent = new_agent(db).await;
        let before = text(&agent, "before");
        db.accept_send(before.clone()).await.unwrap();
        let (new, again) = (text(&agent, "new"), text(&agent, "before"));
        let answers = accept_all(db, &[again, before.clone(), new]).await;
        let answers: Vec<Acceptance> = answers.into_iter().map(Result::unwrap).collect();
        assert_eq!(answers, [Acceptance::PriorRequest(before.id), Acceptance::Accepted, Acceptance::Accepted]);
    }

    async fn completes_more_items_than_one_batch(db: &Database) {
        let agent = new_agent(db).await;
        let sends = many(&agent, 300);
        assert!(accept_all(db, &sends).await.iter().all(|answer| matches!(answer, Ok(Acceptance::Accepted))));
        let settlements = sends.iter().map(|send| db.settle_send(settled(&send.id, accepted(1))));
        assert!(join_all(settlements).await.into_iter().all(Result::unwrap));
        assert_eq!(spend(db, &format!("agt:{}", agent.id)).await, (0, 300));
        assert_eq!(db.sum_usage(&agent.id, DAY, DAY).await.unwrap()[0].messages, 300);
    }

    async fn replicas_do_not_deadlock(db: &Database) {
        let agents = [new_agent(db).await, new_agent(db).await];
        let replicas = [db.replica().await, db.replica().await, db.replica().await];
        // All of them write every key and every sum, in different orders.
        for round in 0..5 {
            let tries = replicas.iter().enumerate().flat_map(|(r, store)| {
                (0..20).map(move |n| (store, if r == 1 { 19 - n } else { n }))
            });
            let tries = tries.map(|(store, n)| {
                let send = text(&agents[n % 2], &format!("k{round}-{n}"));
                async move {
                    if store.accept_send(send.clone()).await.unwrap() == Acceptance::Accepted {
                        assert!(store.settle_send(settled(&send.id, accepted(1))).await.unwrap());
                    }
                }
            });
            join_all(tries).await;
        }
        assert_eq!(db.count("SELECT COUNT(*) FROM messages").await, 100);
    }

    async fn sender_and_reconciler_settle_same_messages(db: &Database) {
        // Enough other messages for lookups by id, in the order of the items.
        db.execute(
            "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 20000)
            INSERT INTO messages (id, org_id, agent_id, channel, sender, recipient, idempotency_key, request_hash,
                body_hash, status, verdict, carrier, estimate, cost, day, attempts, created_at, updated_at)
            SELECT 'old_' || n, 'org', 'agt', 'sms', '+1', '+1', 'k' || n, '', '', 'failed', 'allow', 'simulator', 0, 0,
                '2026-11-21', 1, '2026-11-21T09:00:00+00:00', '2026-11-21T09:00:00+00:00' FROM n",
        )
        .await;
        db.execute("ANALYZE").await;
        let agent = new_agent(db).await;
        let (sender, reconciler) = (db.replica().await, db.replica().await);
        for round in 0..10 {
            let sends: Vec<AcceptedSend> = (0..100).map(|n| text(&agent, &format!("k{round}-{n}"))).collect();
            assert!(accept_all(db, &sends).await.iter().all(|answer| matches!(answer, Ok(Acceptance::Accepted))));
            let there = sends.iter().map(|send| sender.settle_send(settled(&send.id, accepted(1))));
            let back = sends.iter().rev().map(|send| reconciler.settle_send(settled(&send.id, accepted(1))));
            let (there, back) = tokio::join!(join_all(there), join_all(back));
            let counted = there.into_iter().chain(back).map(Result::unwrap).filter(|counted| *counted);
            assert_eq!(counted.count(), 100);
        }
    }

    async fn dropped_caller_does_not_undo_its_write(db: &Database) {
        let agent = new_agent(db).await;
        let send = text(&agent, "k");
        {
            // Queued by one poll, and dropped before the result.
            let asking = std::pin::pin!(db.accept_send(send.clone()));
            assert!(futures::poll!(asking).is_pending());
        }
        // The queue is processed in order.
        db.accept_send(text(&agent, "next")).await.unwrap();
        assert!(db.find_message(&send.id).await.unwrap().is_some());
    }
}
