//! The rent of bought numbers.

use butt_dial_domain::Micros;

use super::*;
use crate::{DueRent, NUMBERS, NewSender};

const RENT: i64 = 1_150_000;

async fn number(db: &Database, agent: &Agent) -> ChannelId {
    let new = NewSender {
        org: &agent.org_id,
        agent: Some(&agent.id),
        channel: Channel::Sms,
        address: "+14155550101",
        label: None,
        account: None,
        number_id: Some("PN1"),
        country: Some("US"),
        monthly_price: Some(RENT),
        registration: None,
    };
    db.change(setup())
        .create_senders(&[new], morning())
        .await
        .unwrap()
        .remove(0)
}

async fn due(db: &Database, at: Timestamp) -> Vec<DueRent> {
    db.list_due_rents(at, 9).await.unwrap()
}

async fn cost(db: &Database, agent: &Agent) -> i64 {
    let usage = db.sum_usage(&agent.id, "2000-01-01", "2999-01-01").await.unwrap();
    usage
        .into_iter()
        .filter(|row| row.channel == NUMBERS)
        .map(|row| row.cost)
        .sum()
}

both_engines! {
    async fn month_is_charged_with_its_date_once(db: &Database) {
        let agent = new_agent(db).await;
        number(db, &agent).await;
        let (second, third) = (morning() + TimeDelta::days(30), morning() + TimeDelta::days(61));
        assert_eq!(due(db, second - seconds(1)).await, []);
        let rent = due(db, second).await.remove(0);
        assert_eq!((rent.monthly_price, rent.agent().as_ref(), rent.rent_paid_until), (RENT, Some(&agent.id), Some(second)));
        let charge = async || db.charge_rent(&rent, &agent.id, Micros(RENT), third, second).await.unwrap();
        assert!(charge().await);
        assert!(!charge().await, "another process has charged it");
        assert_eq!((cost(db, &agent).await, due(db, second).await.len()), (RENT, 0));
        db.execute("DELETE FROM spend").await;
    }

    async fn number_without_date_gets_one(db: &Database) {
        let agent = new_agent(db).await;
        let id = number(db, &agent).await;
        db.execute("UPDATE channels SET rent_paid_until = NULL").await;
        let rent = due(db, morning()).await.remove(0);
        assert_eq!(rent.rent_paid_until, None);
        let next = morning() + TimeDelta::days(30);
        assert!(db.charge_rent(&rent, &agent.id, Micros::ZERO, next, morning()).await.unwrap());
        assert_eq!((cost(db, &agent).await, due(db, morning()).await.len()), (0, 0));
        db.change(setup()).release_senders(&agent.org_id, &[id], morning()).await.unwrap();
        assert_eq!(due(db, next).await, [], "released");
        let stale = DueRent { rent_paid_until: Some(next), ..rent };
        assert!(!db.charge_rent(&stale, &agent.id, Micros(RENT), next, next).await.unwrap());
    }
}
