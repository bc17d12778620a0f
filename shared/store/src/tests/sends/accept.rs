//! Accepting: one row per idempotency key.

use butt_dial_domain::message::Status;
use futures::future::join_all;

use super::*;

both_engines! {
    async fn accept_writes_all_rows(db: &Database) {
        let agent = new_agent(db).await;
        let send = text(&agent, "k");
        assert_eq!(db.accept_send(send.clone()).await.unwrap(), Acceptance::Accepted);
        let (id, key) = (&send.id, &agent.id);
        let expected = [
            format!("message {id} k sending"),
            format!("spend agt:{key} {MONTH} {ESTIMATE} 0"),
            format!("spend agt:{key} {DAY} {ESTIMATE} 0"),
            format!("spend org:{} {MONTH} {ESTIMATE} 0", agent.org_id),
            format!("spend org:{} {DAY} {ESTIMATE} 0", agent.org_id),
        ];
        assert_eq!(db.ledger().await, expected);
    }

    async fn concurrent_accepts_of_one_key_store_one_row(db: &Database) {
        let agent = new_agent(db).await;
        let replicas = [db.replica().await, db.replica().await];
        let sends: Vec<AcceptedSend> = (0..32).map(|_| text(&agent, "k")).collect();
        let accepts = sends.iter().enumerate().map(|(n, send)| replicas[n % 2].accept_send(send.clone()));
        let answers = join_all(accepts).await;

        let answers: Vec<Acceptance> = answers.into_iter().map(Result::unwrap).collect();
        let winners: Vec<&MessageId> = (sends.iter().zip(&answers))
            .filter(|(_, answer)| **answer == Acceptance::Accepted)
            .map(|(send, _)| &send.id)
            .collect();
        let [winner] = winners[..] else { panic!("{} were accepted", winners.len()) };
        for (send, answer) in sends.iter().zip(&answers) {
            assert!(send.id == *winner || *answer == Acceptance::PriorRequest(winner.clone()), "{answer:?}");
        }
        assert_eq!(db.count("SELECT COUNT(*) FROM messages").await, 1);
        assert_eq!(spend(db, &format!("agt:{}", agent.id)).await, (ESTIMATE, 0));
    }

    async fn idempotency_key_belongs_to_one_agent(db: &Database) {
        let agent = new_agent(db).await;
        let neighbour = new_agent_in(db, &agent.org_id).await;
        let keys = ["k", "K", "k ", "", "ключ"];
        for agent in [&agent, &neighbour] {
            for key in keys {
                assert_eq!(db.accept_send(text(agent, key)).await.unwrap(), Acceptance::Accepted, "{key}");
            }
        }
    }

    async fn repeat_after_uncertain_commit_changes_nothing(db: &Database) {
        let agent = new_agent(db).await;
        let send = text(&agent, "k");
        db.accept_send(send.clone()).await.unwrap();
        let before = db.ledger().await;
        assert_eq!(db.accept_send(send.clone()).await.unwrap(), Acceptance::Accepted);
        assert_eq!(db.replica().await.accept_send(send).await.unwrap(), Acceptance::Accepted);
        assert_eq!(db.ledger().await, before);
    }

    async fn concurrent_repeat_is_one_send(db: &Database) {
        let agent = new_agent(db).await;
        let send = text(&agent, "k");
        let other = text(&agent, "other");
        // All in one batch.
        let (first, second, third) = tokio::join!(
            db.accept_send(send.clone()),
            db.accept_send(other),
            db.accept_send(send.clone())
        );
        for answer in [first, second, third] {
            assert_eq!(answer.unwrap(), Acceptance::Accepted);
        }
        assert_eq!(db.list_attempts(&send.id).await.unwrap().len(), 1);
        assert_eq!(spend(db, &format!("agt:{}", agent.id)).await, (2 * ESTIMATE, 0));
    }

    async fn late_repeat_must_not_be_sent(db: &Database) {
        let agent = new_agent(db).await;
        let results = [accepted(1), failed(false), failed(true), unknown(morning()), SendResult::Unconfirmed];
        for (n, result) in results.into_iter().enumerate() {
            let send = text(&agent, &format!("k{n}"));
            db.accept_send(send.clone()).await.unwrap();
            db.settle_send(settled(&send.id, result.clone())).await.unwrap();
            let before = db.ledger().await;
            let answer = db.accept_send(send.clone()).await.unwrap();
            assert_eq!(answer, Acceptance::PriorRequest(send.id), "{result:?}");
            assert_eq!(db.ledger().await, before);
        }
    }

    async fn accept_refuses_contact_that_opted_out(db: &Database) {
        let agent = new_agent(db).await;
        let (first, second) = (text(&agent, "first"), text(&agent, "second"));
        assert_eq!(db.accept_send(first.clone()).await.unwrap(), Acceptance::Accepted);
        // By another channel of the number, after the rules were applied.
        let to = &second.recipient;
        db.record_consent(&agent.org_id, Channel::Whatsapp, to, false, "keyword", morning()).await.unwrap();
        let before = db.ledger().await;
        assert_eq!(db.accept_send(second.clone()).await.unwrap(), Acceptance::OptedOut);
        assert_eq!(db.ledger().await, before);
        // A repeat of what was accepted before is the same send, and colleagues need no consent.
        assert_eq!(db.accept_send(first).await.unwrap(), Acceptance::Accepted);
        let to_colleague = AcceptedSend { contact: None, ..text(&agent, "colleague") };
        assert_eq!(db.accept_send(to_colleague).await.unwrap(), Acceptance::Accepted);
        db.record_consent(&agent.org_id, Channel::Sms, to, true, "keyword", morning() + seconds(1)).await.unwrap();
        assert_eq!(db.accept_send(second).await.unwrap(), Acceptance::Accepted);
    }

    async fn accept_that_waits_for_a_lock_sees_the_opt_out(db: &Database) {
        let crate::engine::Engine::Postgres(pool) = &db.engine else {
            return;
        };
        let agent = new_agent(db).await;
        let (first, second) = (text(&agent, "first"), text(&agent, "second"));
        // With a kept plan.
        for n in 0..9 {
            db.accept_send(text(&agent, &format!("k{n}"))).await.unwrap();
        }
        db.accept_send(first).await.unwrap();
        let mut lock = pool.begin().await.unwrap();
        sqlx::query("LOCK TABLE messages IN SHARE MODE").execute(&mut *lock).await.unwrap();
        let opts_out = async {
            while db.count("SELECT COUNT(*) FROM pg_locks WHERE NOT granted").await == 0 {
                tokio::task::yield_now().await;
            }
            let to = &second.recipient;
            db.record_consent(&agent.org_id, Channel::Sms, to, false, "keyword", morning()).await.unwrap();
            lock.commit().await.unwrap();
        };
        let (answer, ()) = tokio::join!(db.accept_send(second.clone()), opts_out);
        assert_eq!(answer.unwrap(), Acceptance::OptedOut);
    }

    async fn failed_keys_are_freed_together(db: &Database) {
        let agent = new_agent(db).await;
        let keys: Vec<String> = ["k", "k:sms", "k:email"].map(str::to_owned).to_vec();
        let mut sends = Vec::new();
        for key in &keys {
            let send = text(&agent, key);
            db.accept_send(send.clone()).await.unwrap();
            sends.push(send);
        }
        db.settle_send(settled(&sends[0].id, failed(false))).await.unwrap();
        db.settle_send(settled(&sends[1].id, accepted(1))).await.unwrap();
        let free = async |failures: &[&str]| db.free_keys(&agent.id, &keys, failures).await.unwrap();
        assert_eq!(free(&["something_else"]).await, 0);
        assert_eq!(free(&["carrier_refused"]).await, 1, "neither what was accepted nor what is being sent");
        assert_eq!(db.accept_send(text(&agent, "k")).await.unwrap(), Acceptance::Accepted);
        assert_eq!(db.accept_send(text(&agent, "k:sms")).await.unwrap(), Acceptance::PriorRequest(sends[1].id.clone()));
    }

    async fn freed_key_accepts_new_message(db: &Database) {
        let agent = new_agent(db).await;
        let (first, second, third) = (text(&agent, "k"), text(&agent, "k"), text(&agent, "k"));
        db.accept_send(first.clone()).await.unwrap();
        assert!(db.settle_send(settled(&first.id, failed(true))).await.unwrap());
        assert_eq!(db.accept_send(second.clone()).await.unwrap(), Acceptance::Accepted);
        assert!(db.settle_send(settled(&second.id, failed(true))).await.unwrap());
        assert_eq!(db.accept_send(third.clone()).await.unwrap(), Acceptance::Accepted);
        for id in [&first.id, &second.id] {
            assert_eq!(db.find_message(id).await.unwrap().unwrap().status, Status::Failed);
        }

        // A permanent failure keeps the key.
        assert!(db.settle_send(settled(&third.id, failed(false))).await.unwrap());
        assert_eq!(db.accept_send(text(&agent, "k")).await.unwrap(), Acceptance::PriorRequest(third.id));
    }

    async fn accept_is_stored_while_key_is_freed(db: &Database) {
        let agent = new_agent(db).await;
        let (here, there) = (db.replica().await, db.replica().await);
        for round in 0..200 {
            let key = format!("k{round}");
            let (first, second) = (text(&agent, &key), text(&agent, &key));
            db.accept_send(first.clone()).await.unwrap();
            let (freed, answer) = tokio::join!(
                here.settle_send(settled(&first.id, failed(true))),
                there.accept_send(second.clone())
            );
            assert!(freed.unwrap());
            let written = db.find_message(&second.id).await.unwrap().is_some();
            match answer.unwrap() {
                Acceptance::Accepted => assert!(written, "round {round}: accepted, but not written"),
                Acceptance::PriorRequest(id) => assert!(id == first.id && !written, "round {round}"),
                other => panic!("round {round}: {other:?}"),
            }
        }
    }
}
