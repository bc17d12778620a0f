//! Orders of senders.

use butt_dial_domain::SenderOrderId;

use super::*;
use crate::{NUMBERS, OrderState, OrderStep, SenderOrder, ServiceCharge};

fn new_order(agent: &Agent) -> SenderOrder {
    SenderOrder {
        id: SenderOrderId::generate(),
        org_id: agent.org_id.clone(),
        agent_id: Some(agent.id.as_str().to_owned()),
        account_id: None,
        request: "{}".into(),
        step: OrderStep::Buy,
        state: OrderState::Running,
        address: Some("+14155550101".into()),
        number_id: None,
        failure: None,
        attempts: 0,
        created_at: morning(),
    }
}

both_engines! {
    async fn order_is_claimed_once_its_holder_has_left(db: &Database) {
        let agent = new_agent(db).await;
        let order = new_order(&agent);
        let (lease, next) = (morning() + seconds(60), morning() + seconds(120));
        db.create_sender_order(&order, lease, None).await.unwrap();
        let bought = SenderOrder { step: OrderStep::Configure, number_id: Some("PN1".into()), ..order.clone() };
        assert!(db.update_sender_order(&bought, lease, morning(), None).await.unwrap());
        assert!(!is_due(db, DueKind::SenderOrders, morning()).await);
        assert!(db.claim_sender_orders(9, morning(), next).await.unwrap().is_empty());
        assert!(is_due(db, DueKind::SenderOrders, lease).await);
        let claimed = db.claim_sender_orders(9, lease, next).await.unwrap();
        assert_eq!((claimed[0].step, claimed[0].attempts), (OrderStep::Configure, 1));
        assert!(!db.update_sender_order(&bought, next, lease, None).await.unwrap(), "its first holder is too late");
        let done = SenderOrder { state: OrderState::Done, ..claimed[0].clone() };
        assert!(db.update_sender_order(&done, next, lease, None).await.unwrap());
        assert!(db.claim_sender_orders(9, next, next).await.unwrap().is_empty());
        let found = db.find_sender_order(&agent.org_id, &order.id).await.unwrap().unwrap();
        assert_eq!((found.state, found.number_id.as_deref()), (OrderState::Done, Some("PN1")));
        let other = new_agent(db).await;
        assert!(db.find_sender_order(&other.org_id, &order.id).await.unwrap().is_none());
    }

    async fn price_of_order_is_charged_and_refunded_once(db: &Database) {
        let agent = new_agent(db).await;
        let (order, lease) = (new_order(&agent), morning() + seconds(60));
        let limits = (per_day(100), Limits::default());
        let charge = |price| ServiceCharge {
            org: &agent.org_id,
            agent: &agent.id,
            service: NUMBERS,
            price: Micros(price),
            limits,
            budget: None,
            at: morning(),
        };
        let scope = format!("agt:{}", agent.id);
        let refused = db.create_sender_order(&order, lease, Some(charge(101))).await;
        assert!(matches!(refused, Err(StoreError::OverBudget)));
        assert!(db.find_sender_order(&agent.org_id, &order.id).await.unwrap().is_none());
        db.create_sender_order(&order, lease, Some(charge(60))).await.unwrap();
        assert_eq!(spend(db, &scope).await, (0, 60));
        let failed = SenderOrder { state: OrderState::Failed, ..order.clone() };
        let late = SenderOrder { attempts: 7, ..failed.clone() };
        assert!(!db.update_sender_order(&late, lease, morning(), Some(charge(-60))).await.unwrap());
        assert_eq!(spend(db, &scope).await, (0, 60));
        assert!(db.update_sender_order(&failed, lease, morning(), Some(charge(-60))).await.unwrap());
        assert!(!db.update_sender_order(&failed, lease, morning(), Some(charge(-60))).await.unwrap());
        assert_eq!(spend(db, &scope).await, (0, 0));
        // These charges have no message.
        db.execute("DELETE FROM spend").await;
    }

    async fn stuck_order_is_listed_until_it_is_retried(db: &Database) {
        let agent = new_agent(db).await;
        let (order, lease) = (new_order(&agent), morning() + seconds(60));
        db.create_sender_order(&order, lease, None).await.unwrap();
        assert_eq!(db.retry_stuck_order(&order.id, morning()).await.unwrap(), None, "it is running");
        let stuck = SenderOrder { state: OrderState::Stuck, ..order.clone() };
        assert!(db.update_sender_order(&stuck, lease, morning(), None).await.unwrap());
        assert!(is_due(db, DueKind::AlertCauses, morning()).await);
        let listed = db.list_stuck_orders(9).await.unwrap();
        assert_eq!((listed.len(), listed[0].id == order.id), (1, true));
        let measured = db.measure_backlogs(lease).await.unwrap();
        let counted = measured.iter().find(|backlog| backlog.kind() == Some(crate::BacklogKind::StuckOrders));
        assert_eq!(counted.map(|backlog| (backlog.count, backlog.oldest)), Some((1, Some(morning()))));

        assert_eq!(db.retry_stuck_order(&order.id, morning()).await.unwrap(), Some(agent.org_id.clone()));
        assert_eq!(db.retry_stuck_order(&order.id, morning()).await.unwrap(), None);
        assert!(db.list_stuck_orders(9).await.unwrap().is_empty());
        let claimed = db.claim_sender_orders(9, morning(), lease).await.unwrap();
        assert_eq!((claimed[0].state, claimed[0].attempts), (OrderState::Undoing, 1));
    }
}
