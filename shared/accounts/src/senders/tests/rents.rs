//! The rent of bought numbers.

use butt_dial_domain::{Micros, limits::Limits};
use butt_dial_store::NUMBERS;

use super::*;

const RENT: i64 = 1_150_000;

impl World {
    async fn rent(&self) -> i64 {
        let agent = &self.bench.agent.id;
        let usage = self.bench.store.sum_usage(agent, "2000-01-01", "2999-01-01").await;
        let usage = usage.unwrap().into_iter().filter(|row| row.channel == NUMBERS);
        usage.map(|row| row.cost).sum()
    }

    async fn charge(&self) -> usize {
        self.senders.charge_rents().await.unwrap()
    }

    async fn over_budget(&self) -> Vec<serde_json::Value> {
        let events = self
            .bench
            .store
            .list_events(&self.bench.agent.id, 0, 100)
            .await
            .unwrap();
        let reports = events
            .into_iter()
            .filter(|event| event.kind == "number.rent_over_budget");
        reports.map(|event| event.data).collect()
    }
}

#[tokio::test]
async fn rent_is_charged_once_each_month() {
    let world = World::new().await;
    world.senders.order_number(&world.caller, world.order()).await.unwrap();
    world.clock.advance(TimeDelta::days(27));
    assert_eq!((world.charge().await, world.rent().await), (0, RENT), "the first month");
    world.clock.advance(TimeDelta::days(5));
    let charges = futures::future::join_all((0..4).map(|_| world.charge())).await;
    assert_eq!((charges.iter().sum::<usize>(), world.rent().await), (1, 2 * RENT));
    world.clock.advance(TimeDelta::days(61));
    assert_eq!(world.charge().await, 2, "months that no process charged");
    assert_eq!((world.charge().await, world.rent().await), (0, 4 * RENT));
    assert!(world.over_budget().await.is_empty());
}

#[tokio::test]
async fn released_number_pays_no_further_month() {
    let world = World::new().await;
    let ordered = world.senders.order_number(&world.caller, world.order()).await.unwrap();
    let id = ordered.senders[0].as_str();
    world.senders.release(&world.caller, id).await.unwrap();
    world.clock.advance(TimeDelta::days(32));
    assert_eq!((world.charge().await, world.rent().await), (0, RENT));
}

#[tokio::test]
async fn rent_beyond_a_budget_is_charged_and_reported() {
    let world = World::new().await;
    world.senders.order_number(&world.caller, world.order()).await.unwrap();
    let limits = Limits {
        max_spend_per_month: Some(Micros(RENT)),
        ..Limits::default()
    };
    let scope = format!("agt:{}", world.bench.agent.id);
    world
        .bench
        .store
        .change(setup())
        .set_limits(&scope, &limits, world.clock.now())
        .await
        .unwrap();
    world.clock.advance(TimeDelta::days(32));
    assert_eq!(
        (world.charge().await, world.over_budget().await.len()),
        (1, 0),
        "the budget of the new month covers it"
    );
    let limits = Limits {
        max_spend_per_month: Some(Micros(RENT - 1)),
        ..limits
    };
    world
        .bench
        .store
        .change(setup())
        .set_limits(&scope, &limits, world.clock.now())
        .await
        .unwrap();
    world.clock.advance(TimeDelta::days(31));
    assert_eq!((world.charge().await, world.rent().await), (1, 3 * RENT));
    let reports = world.over_budget().await;
    assert_eq!((reports.len(), &reports[0]["rent"]), (1, &json!(1.15)), "{reports:?}");
    assert_eq!(world.owned().await.len(), 2, "the number stays");
}
