//! Tasks: what the messages of each have cost, and its budget, over every charge of a message.

use butt_dial_domain::OrgId;
use futures::future::join_all;

use super::{token_budget::fits, *};
use crate::{BilledBy, BilledLine, BillingConfig, TaskSpend};

fn of_task(agent: &Agent, key: &str, task: &str) -> AcceptedSend {
    AcceptedSend {
        thread: ThreadRef {
            task_id: Some(task.to_owned()),
            ..ThreadRef::default()
        },
        ..text(agent, key)
    }
}

async fn limit(store: &Store, org: &OrgId, task: &str, limit: i64) {
    store
        .change(setup())
        .set_task_limit(org, task, Some(Micros(limit)), morning())
        .await
        .unwrap();
}

/// Returns held and settled money of a task.
async fn total(store: &Store, org: &OrgId, task: &str) -> (i64, i64) {
    let found = store.find_task(org, task).await.unwrap();
    found.map_or((0, 0), |task| (task.held, task.settled))
}

both_engines! {
    async fn task_budget_is_used_to_the_last_micro(db: &Database) {
        let (agent, other) = (new_agent(db).await, new_agent(db).await);
        let org = &agent.org_id;
        limit(db, org, "t1", 2 * ESTIMATE).await;
        assert!(fits(db, &of_task(&agent, "a", "t1")).await);
        let before = db.ledger().await;
        assert!(!fits(db, &AcceptedSend { estimate: ESTIMATE + 1, ..of_task(&agent, "b", "t1") }).await);
        assert_eq!(db.ledger().await, before, "a refused send writes nothing");
        assert!(fits(db, &AcceptedSend { at: morning() + TimeDelta::days(40), ..of_task(&agent, "b", "t1") }).await);
        assert!(!fits(db, &AcceptedSend { estimate: 1, ..of_task(&agent, "c", "t1") }).await);
        assert_eq!(total(db, org, "t1").await, (2 * ESTIMATE, 0));
        assert!(fits(db, &text(&agent, "c")).await, "without a task");
        assert!(fits(db, &of_task(&agent, "d", "t10")).await, "another task");
        assert!(fits(db, &of_task(&other, "e", "t1")).await, "of another organization");
        limit(db, org, "t1", 3 * ESTIMATE).await;
        assert!(fits(db, &of_task(&agent, "f", "t1")).await);
        db.change(setup()).set_task_limit(org, "t1", None, morning()).await.unwrap();
        assert!(fits(db, &of_task(&agent, "g", "t1")).await);
    }

    async fn concurrent_sends_stay_within_task_budget(db: &Database) {
        let agent = new_agent(db).await;
        limit(db, &agent.org_id, "t", 7 * ESTIMATE).await;
        let sends: Vec<AcceptedSend> = (0..40).map(|n| of_task(&agent, &format!("k{n}"), "t")).collect();
        let replicas = [db.replica().await, db.replica().await];
        let tries = sends.iter().enumerate().map(|(n, send)| fits(&replicas[n % 2], send));
        let taken = join_all(tries).await;
        assert_eq!(taken.into_iter().filter(|taken| *taken).count(), 7);
        assert_eq!(total(db, &agent.org_id, "t").await, (7 * ESTIMATE, 0));
    }

    async fn failed_sends_give_money_back_to_task(db: &Database) {
        let agent = new_agent(db).await;
        let org = &agent.org_id;
        limit(db, org, "t", ESTIMATE).await;
        let first = of_task(&agent, "a", "t");
        assert!(fits(db, &first).await);
        db.settle_send(settled(&first.id, unknown(morning()))).await.unwrap();
        assert!(!fits(db, &of_task(&agent, "b", "t")).await, "it may have been sent");
        db.settle_send(settled(&first.id, failed(false))).await.unwrap();
        assert_eq!(total(db, org, "t").await, (0, 0));
        let second = of_task(&agent, "b", "t");
        assert!(fits(db, &second).await);
        db.settle_send(settled(&second.id, accepted(3 * ESTIMATE))).await.unwrap();
        assert_eq!(total(db, org, "t").await, (0, 3 * ESTIMATE), "the carrier's price may exceed it");
        assert!(!fits(db, &AcceptedSend { estimate: 1, ..of_task(&agent, "c", "t") }).await);
        let message = db.find_message(&second.id).await.unwrap().unwrap();
        assert_eq!(message.thread.task_id.as_deref(), Some("t"));
    }

    async fn call_extends_within_task_budget(db: &Database) {
        let agent = new_agent(db).await;
        let org = &agent.org_id;
        limit(db, org, "t", 3 * ESTIMATE).await;
        let call = AcceptedSend { channel: Channel::Voice, ..of_task(&agent, "a", "t") };
        let free = Limits::default();
        let extend = async || db.extend_cost(&call.id, Micros(ESTIMATE), Micros::ZERO, free, free, morning()).await;
        assert!(fits(db, &call).await);
        extend().await.unwrap();
        assert_eq!(total(db, org, "t").await, (2 * ESTIMATE, 0));
        db.settle_send(settled(&call.id, accepted(ESTIMATE))).await.unwrap();
        extend().await.unwrap();
        assert!(matches!(extend().await, Err(StoreError::OverBudget)));
        assert_eq!(total(db, org, "t").await, (0, 3 * ESTIMATE));
        let payer = db.find_payer(&call.id).await.unwrap().unwrap();
        assert_eq!((payer.budget_id, payer.task_id.as_deref()), (None, Some("t")));
    }

    async fn tasks_are_listed_in_pages(db: &Database) {
        let (agent, other) = (new_agent(db).await, new_agent(db).await);
        let org = &agent.org_id;
        limit(db, org, "b", 5).await;
        limit(db, &other.org_id, "a", 5).await;
        for (key, task) in [("1", "c"), ("2", "a"), ("3", "c")] {
            assert!(fits(db, &of_task(&agent, key, task)).await);
        }
        let names = |tasks: Vec<TaskSpend>| tasks.into_iter().map(|task| task.task).collect::<Vec<_>>();
        assert_eq!(names(db.list_tasks(org, None, 2).await.unwrap()), ["a", "b"]);
        let rest = db.list_tasks(org, Some("b"), 2).await.unwrap();
        assert_eq!(rest, [TaskSpend { task: "c".into(), held: 2 * ESTIMATE, settled: 0, limit: None }]);
        let limited = db.find_task(org, "b").await.unwrap().unwrap();
        assert_eq!((limited.held, limited.limit), (0, Some(Micros(5))));
        assert_eq!(db.find_task(org, "d").await.unwrap(), None);
    }

    async fn billed_lines_add_up_to_the_usage(db: &Database) {
        let (agent, other) = (new_agent(db).await, new_agent(db).await);
        let (org, id) = (&agent.org_id, &agent.id);
        let sends = [of_task(&agent, "a", "t1"), of_task(&agent, "b", "t2"), text(&agent, "c"), of_task(&other, "d", "t1")];
        for send in &sends {
            assert!(fits(db, send).await);
            db.settle_send(settled(&send.id, accepted(100))).await.unwrap();
        }
        let refused = of_task(&agent, "e", "t3");
        assert!(fits(db, &refused).await);
        db.settle_send(settled(&refused.id, failed(false))).await.unwrap();
        let later = AcceptedSend { at: morning() + TimeDelta::days(1), ..of_task(&agent, "f", "t1") };
        assert!(fits(db, &later).await);
        db.settle_send(settled(&later.id, accepted(1))).await.unwrap();
        let markup = |markup| BillingConfig { markup: Some(markup), ..BillingConfig::default() };
        db.change(setup()).set_billing_config(org, None, &markup(1_000), morning()).await.unwrap();
        let lines = async |by| db.list_billed_lines(org, (DAY, DAY), by, 10).await.unwrap();
        let line = |name: &str, actions, cost, billed| BilledLine { name: name.into(), actions, cost, billed };
        assert_eq!(lines(BilledBy::Day).await, [line(DAY, 3, 300, 330)]);
        assert_eq!(lines(BilledBy::Channel).await, [line("sms", 3, 300, 330)]);
        db.change(setup()).set_billing_config(org, Some(id), &markup(5_000), morning()).await.unwrap();
        assert_eq!(lines(BilledBy::Agent).await, [line(id.as_str(), 3, 300, 450)]);
        let by_task = [line("", 1, 100, 150), line("t1", 1, 100, 150), line("t2", 1, 100, 150)];
        assert_eq!(lines(BilledBy::Task).await, by_task);
        let both_days = db.list_billed_lines(org, (DAY, "2026-12-31"), BilledBy::Task, 2).await.unwrap();
        assert_eq!(both_days, [line("", 1, 100, 150), line("t1", 2, 101, 151)], "at most two lines");
    }
}
