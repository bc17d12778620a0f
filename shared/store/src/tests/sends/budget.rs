//! Budgets: never exceeded, usable to the last micro-unit, and a refused send writes nothing.

use std::sync::atomic::{AtomicBool, Ordering};

use futures::future::join_all;

use super::*;

fn send_with_limits(agent: &Agent, key: &str, agent_limits: Limits, org_limits: Limits) -> AcceptedSend {
    AcceptedSend {
        agent_limits,
        org_limits,
        ..text(agent, key)
    }
}

async fn fits(store: &Store, send: &AcceptedSend) -> bool {
    match store.accept_send(send.clone()).await {
        Ok(Acceptance::Accepted) => true,
        Err(StoreError::OverBudget) => false,
        other => panic!("{other:?}"),
    }
}

both_engines! {
    async fn budget_is_used_to_the_last_micro(db: &Database) {
        let none = Limits::default();
        let budgets: [fn(i64) -> (Limits, Limits); 4] = [
            |cap| (per_day(cap), Limits::default()),
            |cap| (per_month(cap), Limits::default()),
            |cap| (Limits::default(), per_day(cap)),
            |cap| (Limits::default(), per_month(cap)),
        ];
        for budget in budgets {
            let agent = new_agent(db).await;
            let (agent_limits, org_limits) = budget(2 * ESTIMATE);
            assert!(fits(db, &send_with_limits(&agent, "a", agent_limits, org_limits)).await);
            let much = AcceptedSend { estimate: ESTIMATE + 1, ..send_with_limits(&agent, "b", agent_limits, org_limits) };
            assert!(!fits(db, &much).await);
            assert!(fits(db, &send_with_limits(&agent, "b", agent_limits, org_limits)).await);
            assert!(!fits(db, &AcceptedSend { estimate: 1, ..send_with_limits(&agent, "c", agent_limits, org_limits) }).await);
            // An agent of another organization has another budget; without a limit everything fits.
            assert!(fits(db, &send_with_limits(&new_agent(db).await, "a", agent_limits, org_limits)).await);
            assert!(fits(db, &send_with_limits(&agent, "d", none, none)).await);
        }
    }

    async fn refused_send_writes_nothing(db: &Database) {
        let agent = new_agent(db).await;
        let first = send_with_limits(&agent, "first", per_day(ESTIMATE), Limits::default());
        assert!(!fits(db, &AcceptedSend { estimate: ESTIMATE + 1, ..first.clone() }).await);
        assert_eq!(db.ledger().await, [""; 0]);
        assert!(fits(db, &first).await);

        let before = db.ledger().await;
        // The last of the four sums exceeds its cap.
        let refused = send_with_limits(&agent, "second", Limits::default(), per_day(ESTIMATE));
        assert!(!fits(db, &refused).await);
        assert!(!fits(db, &refused).await);
        assert_eq!(db.ledger().await, before);
        let last = AcceptedSend { org_limits: per_day(2 * ESTIMATE), ..refused };
        assert!(fits(db, &last).await, "the key is still free");
    }

    async fn refused_sends_leave_others_in_the_batch(db: &Database) {
        let (poor, rich) = (new_agent(db).await, new_agent(db).await);
        let broke = |n: usize| send_with_limits(&poor, &format!("k{n}"), per_day(0), Limits::default());
        let sends: Vec<AcceptedSend> = (0..40)
            .map(|n| if n % 4 == 0 { broke(n) } else { text(&rich, &format!("k{n}")) })
            .collect();
        let fitting = join_all(sends.iter().map(|send| fits(db, send))).await;
        for (send, fits) in sends.iter().zip(fitting) {
            assert_eq!(fits, send.agent == rich.id);
        }
        assert_eq!(spend(db, &format!("agt:{}", rich.id)).await, (30 * ESTIMATE, 0));
        assert_eq!(spend(db, &format!("agt:{}", poor.id)).await, (0, 0));
    }

    async fn batch_uses_budget_to_the_last_micro(db: &Database) {
        let agent = new_agent(db).await;
        // Too expensive ones in between must not count against those that fit.
        let send = |n: usize| AcceptedSend {
            estimate: if n.is_multiple_of(3) { 99 * ESTIMATE } else { ESTIMATE },
            ..send_with_limits(&agent, &format!("k{n}"), per_day(7 * ESTIMATE), Limits::default())
        };
        let sends: Vec<AcceptedSend> = (0..30).map(send).collect();
        let fitting = join_all(sends.iter().map(|send| fits(db, send))).await;
        assert_eq!(fitting.into_iter().filter(|fits| *fits).count(), 7);
    }

    async fn zero_budget_refuses_every_cost(db: &Database) {
        let agent = new_agent(db).await;
        assert!(!fits(db, &AcceptedSend { estimate: 1, ..send_with_limits(&agent, "a", per_day(0), Limits::default()) }).await);
        assert!(fits(db, &AcceptedSend { estimate: 0, ..send_with_limits(&agent, "a", per_day(0), Limits::default()) }).await);
    }

    async fn released_money_can_be_spent_again(db: &Database) {
        let agent = new_agent(db).await;
        let budget = |key: &str| send_with_limits(&agent, key, per_day(ESTIMATE), per_month(ESTIMATE));
        let first = budget("a");
        assert!(fits(db, &first).await);
        assert!(!fits(db, &budget("b")).await);
        db.settle_send(settled(&first.id, unknown(morning()))).await.unwrap();
        assert!(!fits(db, &budget("b")).await, "it may have been sent");
        db.settle_send(settled(&first.id, failed(false))).await.unwrap();
        assert!(fits(db, &budget("b")).await);
    }

    async fn settlement_may_exceed_budget(db: &Database) {
        let agent = new_agent(db).await;
        let send = send_with_limits(&agent, "a", per_day(ESTIMATE), Limits::default());
        assert!(fits(db, &send).await);
        assert!(db.settle_send(settled(&send.id, accepted(5 * ESTIMATE))).await.unwrap());
        assert_eq!(spend(db, &format!("agt:{}", agent.id)).await, (0, 5 * ESTIMATE));
        assert!(!fits(db, &AcceptedSend { estimate: 1, ..send_with_limits(&agent, "b", per_day(ESTIMATE), Limits::default()) }).await);
        // A raised budget applies from the next send.
        assert!(fits(db, &send_with_limits(&agent, "b", per_day(6 * ESTIMATE), Limits::default())).await);
    }

    async fn budget_resets_on_new_day_and_month(db: &Database) {
        let agent = new_agent(db).await;
        let limits = Limits { max_spend_per_month: Some(Micros(2 * ESTIMATE)), ..per_day(ESTIMATE) };
        let on = |key: &str, days| AcceptedSend {
            at: morning() + TimeDelta::days(days),
            ..send_with_limits(&agent, key, limits, Limits::default())
        };
        assert!(fits(db, &on("a", 0)).await);
        assert!(!fits(db, &on("b", 0)).await);
        assert!(fits(db, &on("b", 1)).await);
        assert!(!fits(db, &on("c", 2)).await, "the month is used up");
        assert!(fits(db, &on("c", 9)).await, "December");
    }

    async fn concurrent_sends_stay_within_budget(db: &Database) {
        let first = new_agent(db).await;
        let mut agents = vec![first.clone()];
        for _ in 0..3 {
            agents.push(new_agent_in(db, &first.org_id).await);
        }
        // Four sends per agent, ten per organization.
        let (agent_limits, org_limits) = (per_day(4 * ESTIMATE), per_month(10 * ESTIMATE));
        let sends: Vec<AcceptedSend> = (0..64)
            .map(|n| send_with_limits(&agents[n % 4], &format!("k{n}"), agent_limits, org_limits))
            .collect();
        let replicas = [db.replica().await, db.replica().await];
        let org = format!("org:{}", first.org_id);
        let done = AtomicBool::new(false);
        let watch = async {
            while !done.load(Ordering::Relaxed) {
                let (held, settled) = spend(db, &org).await;
                assert!(held + settled <= 10 * ESTIMATE, "{held} held, {settled} settled");
            }
        };
        let accept = async {
            let tries = sends.iter().enumerate().map(async |(n, send)| {
                let store = &replicas[n % 2];
                let taken = fits(store, send).await;
                // Half of them are settled at once: settled money counts against the budget like held money.
                if taken && n % 2 == 0 {
                    assert!(store.settle_send(settled(&send.id, accepted(ESTIMATE))).await.unwrap());
                }
                taken
            });
            let taken = join_all(tries).await;
            done.store(true, Ordering::Relaxed);
            taken
        };
        let (taken, ()) = tokio::join!(accept, watch);

        assert_eq!(taken.iter().filter(|taken| **taken).count(), 10);
        let (held, spent) = spend(db, &org).await;
        assert_eq!(held + spent, 10 * ESTIMATE);
        for agent in &agents {
            let (held, spent) = spend(db, &format!("agt:{}", agent.id)).await;
            assert!(held + spent <= 4 * ESTIMATE);
        }
        assert_eq!(db.count("SELECT COUNT(*) FROM messages").await, 10);
    }
}
