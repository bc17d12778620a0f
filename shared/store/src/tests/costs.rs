//! The cost of outbound calls: extended within the budgets, and exact at the end.

use butt_dial_domain::{CallId, call::Direction};
use futures::future::join_all;

use super::{calls::inbound_call, *};
use crate::{Call, CallEntry};

const MINUTE: i64 = 10;

/// Accepts an outbound call with its first minute.
fn call(agent: &Agent, key: &str) -> AcceptedSend {
    AcceptedSend {
        channel: Channel::Voice,
        estimate: MINUTE,
        ..text(agent, key)
    }
}

/// Accepts an outbound call that the carrier has accepted.
async fn placed(db: &Database, agent: &Agent, key: &str) -> MessageId {
    let send = call(agent, key);
    db.accept_send(send.clone()).await.unwrap();
    assert!(db.settle_send(settled(&send.id, accepted(MINUTE))).await.unwrap());
    send.id
}

async fn extend(store: &Store, message: &MessageId, agent: Limits, org: Limits) -> Result<(), StoreError> {
    store
        .extend_cost(
            message,
            Micros(MINUTE),
            Micros::ZERO,
            agent,
            org,
            morning() + seconds(60),
        )
        .await
}

async fn extend_freely(store: &Store, message: &MessageId) {
    extend(store, message, Limits::default(), Limits::default())
        .await
        .unwrap();
}

/// Stores the call of a message.
async fn known_call(db: &Database, agent: &Agent, message: &MessageId) -> CallId {
    let entry = CallEntry {
        id: CallId::from(message.as_str()),
        direction: Direction::Outbound,
        ..inbound_call(agent, message.as_str())
    };
    db.open_call(&entry).await.unwrap().id
}

/// A leg that is paid for a minute.
fn leg(agent: &Agent, message: &MessageId) -> crate::CallLeg {
    crate::CallLeg {
        call: CallId::from(message.as_str()),
        agent: agent.id.clone(),
        carrier: "simulator".into(),
        carrier_id: "CA1".into(),
        leg_price: Micros(4),
        call_price: Micros(6),
        paid_until: morning() + seconds(60),
    }
}

async fn settle(db: &Database, agent: &Agent, message: &MessageId, cost: i64) {
    let call = known_call(db, agent, message).await;
    let at = morning() + seconds(300);
    db.settle_call(&call, &|_| Some(Micros(cost)), at).await.unwrap();
}

/// Reads held and settled money, and the usage: messages and their cost.
async fn money(db: &Database, agent: &Agent) -> ((i64, i64), (i64, i64)) {
    let own = spend(db, &format!("agt:{}", agent.id)).await;
    assert_eq!(own, spend(db, &format!("org:{}", agent.org_id)).await);
    let used = db.sum_usage(&agent.id, DAY, DAY).await.unwrap();
    assert!(used.iter().all(|row| row.channel == "voice"));
    (own, used.first().map_or((0, 0), |row| (row.messages, row.cost)))
}

async fn cost(db: &Database, message: &MessageId) -> Option<i64> {
    db.find_message(message).await.unwrap().unwrap().cost
}

both_engines! {
    async fn charges_each_minute(db: &Database) {
        let agent = new_agent(db).await;
        let id = placed(db, &agent, "k").await;
        for minutes in 2..5 {
            extend_freely(db, &id).await;
            assert_eq!(money(db, &agent).await, ((0, minutes * MINUTE), (1, minutes * MINUTE)));
            assert_eq!(cost(db, &id).await, Some(minutes * MINUTE));
        }
    }

    async fn minute_over_budget_changes_nothing(db: &Database) {
        let agent = new_agent(db).await;
        let id = placed(db, &agent, "k").await;
        let (some, none) = (2 * MINUTE, Limits::default());
        extend(db, &id, per_day(some), per_month(some)).await.unwrap();
        let before = db.ledger().await;
        for (agent, org) in [
            (per_day(some), none),
            (per_month(some), none),
            (none, per_day(some)),
            (none, per_month(some)),
        ] {
            assert!(matches!(extend(db, &id, agent, org).await, Err(StoreError::OverBudget)));
            assert_eq!(db.ledger().await, before);
            assert_eq!(cost(db, &id).await, Some(some));
        }
        extend(db, &id, per_day(3 * MINUTE), per_month(3 * MINUTE)).await.unwrap();
        assert_eq!(money(db, &agent).await, ((0, 3 * MINUTE), (1, 3 * MINUTE)));
    }

    async fn concurrent_minutes_stay_within_budget(db: &Database) {
        let agent = new_agent(db).await;
        let ids = [placed(db, &agent, "k1").await, placed(db, &agent, "k2").await];
        let replicas = [db.replica().await, db.replica().await];
        let minutes = (0..40).map(|n| extend(&replicas[n % 2], &ids[n % 2], per_day(12 * MINUTE), Limits::default()));
        let fitted = join_all(minutes).await.into_iter().filter(Result::is_ok).count();
        assert_eq!(fitted, 10);
        assert_eq!(money(db, &agent).await, ((0, 12 * MINUTE), (2, 12 * MINUTE)));
    }

    async fn minute_before_settlement_is_held_then_charged(db: &Database) {
        let agent = new_agent(db).await;
        for (key, result) in [
            ("k1", accepted(MINUTE)),
            ("k2", SendResult::Unconfirmed),
            ("k3", unknown(morning() + seconds(600))),
        ] {
            let before = money(db, &agent).await.0;
            let send = call(&agent, key);
            db.accept_send(send.clone()).await.unwrap();
            extend_freely(db, &send.id).await;
            assert_eq!((money(db, &agent).await.0, cost(db, &send.id).await), ((2 * MINUTE, before.1), None));
            let is_open = matches!(result, SendResult::Unknown { .. });
            db.settle_send(settled(&send.id, result)).await.unwrap();
            if is_open {
                extend_freely(db, &send.id).await;
                db.settle_send(settled(&send.id, accepted(0))).await.unwrap();
            }
            assert_eq!(cost(db, &send.id).await, Some(2 * MINUTE), "{key}");
            assert_eq!(money(db, &agent).await.0, (0, before.1 + 2 * MINUTE));
        }
        let over = call(&agent, "k4");
        db.accept_send(over.clone()).await.unwrap();
        let before = db.ledger().await;
        let refused = extend(db, &over.id, per_day(6 * MINUTE), Limits::default()).await;
        assert!(matches!(refused, Err(StoreError::OverBudget)));
        assert_eq!(db.ledger().await, before);
    }

    async fn final_cost_may_exceed_budget(db: &Database) {
        let agent = new_agent(db).await;
        let id = placed(db, &agent, "k").await;
        extend(db, &id, per_day(2 * MINUTE), Limits::default()).await.unwrap();
        for _ in 0..2 {
            settle(db, &agent, &id, 33).await;
            assert_eq!(money(db, &agent).await, ((0, 33), (1, 33)));
        }
        // The call ended before this minute.
        extend_freely(db, &id).await;
        assert_eq!((money(db, &agent).await, cost(db, &id).await), (((0, 33), (1, 33)), Some(33)));
        // A correction, and an unanswered call.
        settle(db, &agent, &id, 0).await;
        assert_eq!((money(db, &agent).await, cost(db, &id).await), (((0, 0), (1, 0)), Some(0)));
    }

    async fn final_cost_before_settlement_is_kept(db: &Database) {
        let agent = new_agent(db).await;
        let send = call(&agent, "k");
        db.accept_send(send.clone()).await.unwrap();
        extend_freely(db, &send.id).await;
        settle(db, &agent, &send.id, 7).await;
        extend_freely(db, &send.id).await;
        assert_eq!(money(db, &agent).await, ((2 * MINUTE, 0), (0, 0)));
        db.settle_send(settled(&send.id, accepted(MINUTE))).await.unwrap();
        assert_eq!((money(db, &agent).await, cost(db, &send.id).await), (((0, 7), (1, 7)), Some(7)));
    }

    async fn corrects_estimate_when_final_cost_is_unchanged(db: &Database) {
        let agent = new_agent(db).await;
        let id = placed(db, &agent, "k").await;
        settle(db, &agent, &id, MINUTE).await;
        extend_freely(db, &id).await;
        assert_eq!(money(db, &agent).await, ((0, MINUTE), (1, MINUTE)));
    }

    async fn unknown_cost_changes_nothing(db: &Database) {
        let agent = new_agent(db).await;
        let id = placed(db, &agent, "k").await;
        let call = CallId::from(id.as_str());
        let before = db.ledger().await;
        let known = |call: &Call| call.cost.map(Micros);
        // Without a stored call, and then without a known cost.
        for _ in 0..2 {
            db.settle_call(&call, &known, morning()).await.unwrap();
            assert_eq!(db.ledger().await, before);
            known_call(db, &agent, &id).await;
        }
        extend_freely(db, &id).await;
        assert_eq!(money(db, &agent).await, ((0, 2 * MINUTE), (1, 2 * MINUTE)));
    }

    async fn charges_after_midnight_stay_on_first_day(db: &Database) {
        let agent = new_agent(db).await;
        let id = placed(db, &agent, "k").await;
        let tomorrow = morning() + TimeDelta::days(1);
        let (by, free) = (Micros(MINUTE), Limits::default());
        db.extend_cost(&id, by, Micros::ZERO, free, free, tomorrow).await.unwrap();
        assert_eq!(money(db, &agent).await, ((0, 2 * MINUTE), (1, 2 * MINUTE)));
        let call = known_call(db, &agent, &id).await;
        db.settle_call(&call, &|_| Some(Micros(15)), tomorrow).await.unwrap();
        assert_eq!(money(db, &agent).await, ((0, 15), (1, 15)));
    }

    async fn missing_message_is_not_charged(db: &Database) {
        let id = MessageId::generate();
        let none = Limits::default();
        assert!(matches!(extend(db, &id, none, none).await, Err(StoreError::Other(_))));
        let settled = db.settle_call(&CallId::from(id.as_str()), &|_| Some(Micros(1)), morning()).await;
        assert!(matches!(settled, Err(StoreError::Other(_))));
    }

    async fn final_price_includes_dialled_legs(db: &Database) {
        let agent = new_agent(db).await;
        let message = placed(db, &agent, "k1").await;
        let leg = leg(&agent, &message);
        db.open_call_leg(&leg, Some(Micros(4))).await.unwrap();
        // A repeated callback reserves nothing again.
        db.open_call_leg(&leg, Some(Micros(4))).await.unwrap();
        let free = Limits::default();
        let at = morning() + seconds(60);
        db.extend_cost(&message, Micros(MINUTE), Micros(4), free, free, at).await.unwrap();
        assert_eq!(money(db, &agent).await, ((0, 2 * MINUTE), (1, 2 * MINUTE)));
        settle(db, &agent, &message, 100).await;
        assert_eq!(money(db, &agent).await, ((0, 108), (1, 108)));
        settle(db, &agent, &message, 100).await;
        assert_eq!(money(db, &agent).await, ((0, 108), (1, 108)));
    }

    async fn one_process_charges_a_due_leg(db: &Database) {
        let agent = new_agent(db).await;
        let message = placed(db, &agent, "k1").await;
        let leg = leg(&agent, &message);
        db.open_call_leg(&leg, None).await.unwrap();
        assert_eq!(db.list_due_call_legs(morning(), 9).await.unwrap(), []);
        assert!(!is_due(db, DueKind::CallLegs, morning()).await);
        let due = leg.paid_until;
        assert!(is_due(db, DueKind::CallLegs, due).await);
        assert_eq!(db.list_due_call_legs(due, 9).await.unwrap(), std::slice::from_ref(&leg));
        let until = due + seconds(60);
        assert!(db.claim_call_leg(&leg, until).await.unwrap());
        assert!(!db.claim_call_leg(&leg, until).await.unwrap(), "claimed by another process");
        assert_eq!(db.list_due_call_legs(due, 9).await.unwrap(), []);
        let paid = crate::CallLeg { paid_until: until, ..leg.clone() };
        assert_eq!(db.list_due_call_legs(until, 9).await.unwrap(), [paid]);
        // A second transfer replaces the leg.
        let other = crate::CallLeg { leg_price: Micros(7), ..leg.clone() };
        db.open_call_leg(&other, None).await.unwrap();
        assert_eq!(db.list_due_call_legs(until, 9).await.unwrap(), [other]);
        db.close_call_leg(&leg.call).await.unwrap();
        assert_eq!(db.list_due_call_legs(until, 9).await.unwrap(), []);
    }

    async fn services_are_charged_within_budget(db: &Database) {
        let agent = new_agent(db).await;
        let charge = async |price: i64, limits: (Limits, Limits)| {
            let (org, agent, price) = (&agent.org_id, &agent.id, Micros(price));
            let charge = crate::ServiceCharge { org, agent, service: "voice", price, limits, budget: None, at: morning() };
            db.charge_service(&charge).await
        };
        let free = Limits::default();
        charge(60, (per_day(100), free)).await.unwrap();
        assert!(matches!(charge(60, (per_day(100), free)).await, Err(StoreError::OverBudget)));
        assert!(matches!(charge(60, (free, per_month(100))).await, Err(StoreError::OverBudget)));
        assert_eq!(spend(db, &format!("agt:{}", agent.id)).await, (0, 60));
        let used = db.sum_usage(&agent.id, DAY, DAY).await.unwrap();
        assert_eq!((used[0].channel.as_str(), used[0].cost), ("voice", 60));
        // These charges have no message.
        db.execute("DELETE FROM spend").await;
    }
}
