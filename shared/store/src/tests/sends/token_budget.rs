//! The budget of a restricted token: for a day and for the whole life of the token, over every charge of a message.

use butt_dial_domain::TokenBudget;
use futures::future::join_all;

use super::*;

fn budget(id: &str, max_spend: Option<i64>, max_spend_per_day: Option<i64>) -> Option<TokenBudget> {
    Some(TokenBudget {
        id: id.to_owned(),
        max_spend: max_spend.map(Micros),
        max_spend_per_day: max_spend_per_day.map(Micros),
    })
}

fn paid_by(agent: &Agent, key: &str, budget: &Option<TokenBudget>) -> AcceptedSend {
    AcceptedSend {
        budget: budget.clone(),
        ..text(agent, key)
    }
}

pub(super) async fn fits(store: &Store, send: &AcceptedSend) -> bool {
    match store.accept_send(send.clone()).await {
        Ok(Acceptance::Accepted) => true,
        Err(StoreError::OverBudget) => false,
        other => panic!("{other:?}"),
    }
}

/// Returns held and settled money of a token's whole life.
async fn total(store: &Store, id: &str) -> (i64, i64) {
    let rows = store.list_spend(&format!("tok:{id}"), "total", "total").await.unwrap();
    rows.first().map_or((0, 0), |row| (row.held, row.settled))
}

both_engines! {
    async fn token_budget_is_used_to_the_last_micro(db: &Database) {
        for (id, budget) in [
            ("tok_1", budget("tok_1", Some(2 * ESTIMATE), None)),
            ("tok_2", budget("tok_2", None, Some(2 * ESTIMATE))),
            ("tok_3", budget("tok_3", Some(2 * ESTIMATE), Some(9 * ESTIMATE))),
        ] {
            let agent = new_agent(db).await;
            assert!(fits(db, &paid_by(&agent, "a", &budget)).await);
            let before = db.ledger().await;
            assert!(!fits(db, &AcceptedSend { estimate: ESTIMATE + 1, ..paid_by(&agent, "b", &budget) }).await);
            assert_eq!(db.ledger().await, before, "a refused send writes nothing");
            assert!(fits(db, &paid_by(&agent, "b", &budget)).await);
            assert!(!fits(db, &AcceptedSend { estimate: 1, ..paid_by(&agent, "c", &budget) }).await);
            assert_eq!(total(db, id).await, (2 * ESTIMATE, 0));
            // Another token of the agent has another budget, or none.
            assert!(fits(db, &text(&agent, "c")).await);
            let other = TokenBudget { id: format!("{id}0"), ..budget.unwrap() };
            assert!(fits(db, &paid_by(&agent, "d", &Some(other))).await);
        }
    }

    async fn total_of_token_counts_over_days(db: &Database) {
        let agent = new_agent(db).await;
        let budget = budget("tok_1", Some(3 * ESTIMATE), Some(ESTIMATE));
        let on = |key: &str, days| AcceptedSend {
            at: morning() + TimeDelta::days(days),
            ..paid_by(&agent, key, &budget)
        };
        assert!(fits(db, &on("a", 0)).await);
        assert!(!fits(db, &on("b", 0)).await, "the day is used up");
        assert!(fits(db, &on("b", 1)).await);
        assert!(fits(db, &on("c", 40)).await);
        assert!(!fits(db, &on("d", 80)).await, "the total is used up");
    }

    async fn concurrent_sends_stay_within_token_budget(db: &Database) {
        let agent = new_agent(db).await;
        let budget = budget("tok_1", Some(7 * ESTIMATE), None);
        let sends: Vec<AcceptedSend> = (0..40).map(|n| paid_by(&agent, &format!("k{n}"), &budget)).collect();
        let replicas = [db.replica().await, db.replica().await];
        let tries = sends.iter().enumerate().map(|(n, send)| fits(&replicas[n % 2], send));
        let taken = join_all(tries).await;
        assert_eq!(taken.into_iter().filter(|taken| *taken).count(), 7);
        assert_eq!(total(db, "tok_1").await, (7 * ESTIMATE, 0));
    }

    async fn failed_sends_give_money_back_to_token(db: &Database) {
        let agent = new_agent(db).await;
        let budget = budget("tok_1", Some(ESTIMATE), None);
        let first = paid_by(&agent, "a", &budget);
        assert!(fits(db, &first).await);
        db.settle_send(settled(&first.id, unknown(morning()))).await.unwrap();
        assert!(!fits(db, &paid_by(&agent, "b", &budget)).await, "it may have been sent");
        db.settle_send(settled(&first.id, failed(false))).await.unwrap();
        assert_eq!(total(db, "tok_1").await, (0, 0));
        let second = paid_by(&agent, "b", &budget);
        assert!(fits(db, &second).await);
        db.settle_send(settled(&second.id, accepted(3 * ESTIMATE))).await.unwrap();
        assert_eq!(total(db, "tok_1").await, (0, 3 * ESTIMATE), "the carrier's price may exceed it");
        assert!(!fits(db, &AcceptedSend { estimate: 1, ..paid_by(&agent, "c", &budget) }).await);
    }

    async fn call_extends_within_token_budget(db: &Database) {
        let agent = new_agent(db).await;
        let budget = budget("tok_1", Some(3 * ESTIMATE), None);
        let call = AcceptedSend { channel: Channel::Voice, ..paid_by(&agent, "a", &budget) };
        let free = Limits::default();
        let extend = async || db.extend_cost(&call.id, Micros(ESTIMATE), Micros::ZERO, free, free, morning()).await;
        assert!(fits(db, &call).await);
        extend().await.unwrap();
        assert_eq!(total(db, "tok_1").await, (2 * ESTIMATE, 0));
        db.settle_send(settled(&call.id, accepted(ESTIMATE))).await.unwrap();
        extend().await.unwrap();
        assert!(matches!(extend().await, Err(StoreError::OverBudget)));
        assert_eq!(total(db, "tok_1").await, (0, 3 * ESTIMATE));
        assert_eq!(db.find_payer(&call.id).await.unwrap().unwrap().budget_id.as_deref(), Some("tok_1"));
        assert_eq!(db.find_payer(&MessageId::from("msg_0")).await.unwrap(), None);
    }

    async fn service_is_charged_to_token_budget(db: &Database) {
        let agent = new_agent(db).await;
        let budget = budget("tok_1", Some(100), None);
        let free = Limits::default();
        let charge = async |price: i64| {
            let charge = crate::ServiceCharge {
                org: &agent.org_id,
                agent: &agent.id,
                service: "voice",
                price: Micros(price),
                limits: (free, free),
                budget: budget.as_ref(),
                at: morning(),
            };
            db.charge_service(&charge).await
        };
        charge(60).await.unwrap();
        assert!(matches!(charge(60).await, Err(StoreError::OverBudget)));
        charge(40).await.unwrap();
        assert_eq!(total(db, "tok_1").await, (0, 100));
        // These charges have no message.
        db.execute("DELETE FROM spend").await;
    }
}
