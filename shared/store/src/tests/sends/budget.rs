//! Budgets: never overspent, exactly used up, and a refusal leaves nothing behind.

use std::sync::atomic::{AtomicBool, Ordering};

use futures::future::join_all;

use super::*;

fn within(agent: &Agent, key: &str, agent_limits: Limits, org_limits: Limits) -> AcceptedSend {
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
    async fn a_budget_is_used_up_to_the_last_micro(db: &Database) {
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
            assert!(fits(db, &within(&agent, "a", agent_limits, org_limits)).await);
            let much = AcceptedSend { estimate: ESTIMATE + 1, ..within(&agent, "b", agent_limits, org_limits) };
            assert!(!fits(db, &much).await);
            assert!(fits(db, &within(&agent, "b", agent_limits, org_limits)).await);
            assert!(!fits(db, &AcceptedSend { estimate: 1, ..within(&agent, "c", agent_limits, org_limits) }).await);
            // Another agent of another organization has money of its own; without a limit there is no end.
            assert!(fits(db, &within(&new_agent(db).await, "a", agent_limits, org_limits)).await);
            assert!(fits(db, &within(&agent, "d", none, none)).await);
        }
    }

    async fn a_refusal_leaves_nothing_behind(db: &Database) {
        let agent = new_agent(db).await;
        let first = within(&agent, "first", per_day(ESTIMATE), Limits::default());
        assert!(!fits(db, &AcceptedSend { estimate: ESTIMATE + 1, ..first.clone() }).await);
        assert_eq!(db.ledger().await, [""; 0]);
        assert!(fits(db, &first).await);

        let before = db.ledger().await;
        // The last of the four sums is the one that does not fit.
        let refused = within(&agent, "second", Limits::default(), per_day(ESTIMATE));
        assert!(!fits(db, &refused).await);
        assert!(!fits(db, &refused).await);
        assert_eq!(db.ledger().await, before);
        let last = AcceptedSend { org_limits: per_day(2 * ESTIMATE), ..refused };
        assert!(fits(db, &last).await, "the key was not used up");
    }

    async fn a_budget_of_nothing_stops_everything_that_costs(db: &Database) {
        let agent = new_agent(db).await;
        assert!(!fits(db, &AcceptedSend { estimate: 1, ..within(&agent, "a", per_day(0), Limits::default()) }).await);
        assert!(fits(db, &AcceptedSend { estimate: 0, ..within(&agent, "a", per_day(0), Limits::default()) }).await);
    }

    async fn money_that_is_released_can_be_spent_again(db: &Database) {
        let agent = new_agent(db).await;
        let budget = |key: &str| within(&agent, key, per_day(ESTIMATE), per_month(ESTIMATE));
        let first = budget("a");
        assert!(fits(db, &first).await);
        assert!(!fits(db, &budget("b")).await);
        db.settle_send(settled(&first.id, unknown(morning()))).await.unwrap();
        assert!(!fits(db, &budget("b")).await, "it may have been sent");
        db.settle_send(settled(&first.id, failed(false))).await.unwrap();
        assert!(fits(db, &budget("b")).await);
    }

    async fn what_has_been_spent_is_written_even_beyond_the_budget(db: &Database) {
        let agent = new_agent(db).await;
        let send = within(&agent, "a", per_day(ESTIMATE), Limits::default());
        assert!(fits(db, &send).await);
        assert!(db.settle_send(settled(&send.id, accepted(5 * ESTIMATE))).await.unwrap());
        assert_eq!(spend(db, &format!("agt:{}", agent.id)).await, (0, 5 * ESTIMATE));
        assert!(!fits(db, &AcceptedSend { estimate: 1, ..within(&agent, "b", per_day(ESTIMATE), Limits::default()) }).await);
        // A budget that was raised meanwhile holds from the next send on.
        assert!(fits(db, &within(&agent, "b", per_day(6 * ESTIMATE), Limits::default())).await);
    }

    async fn a_new_day_and_a_new_month_begin_with_a_full_budget(db: &Database) {
        let agent = new_agent(db).await;
        let limits = Limits { max_spend_per_month: Some(Micros(2 * ESTIMATE)), ..per_day(ESTIMATE) };
        let on = |key: &str, days| AcceptedSend {
            at: morning() + TimeDelta::days(days),
            ..within(&agent, key, limits, Limits::default())
        };
        assert!(fits(db, &on("a", 0)).await);
        assert!(!fits(db, &on("b", 0)).await);
        assert!(fits(db, &on("b", 1)).await);
        assert!(!fits(db, &on("c", 2)).await, "the month is used up");
        assert!(fits(db, &on("c", 9)).await, "December");
    }

    async fn sixty_four_at_once_get_what_there_is_for_ten(db: &Database) {
        let first = new_agent(db).await;
        let mut agents = vec![first.clone()];
        for _ in 0..3 {
            agents.push(recipient_agent(db, &first.org_id).await);
        }
        // Each agent may send four, all together ten.
        let (agent_limits, org_limits) = (per_day(4 * ESTIMATE), per_month(10 * ESTIMATE));
        let sends: Vec<AcceptedSend> = (0..64)
            .map(|n| within(&agents[n % 4], &format!("k{n}"), agent_limits, org_limits))
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
                // Half of them are settled at once: what is spent counts against the budget as what is held does.
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
        assert_eq!(db.count("SELECT COUNT(*) FROM attempts").await, 10);
    }
}
