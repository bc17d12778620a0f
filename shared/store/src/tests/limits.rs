//! Limits, usage and spend.

use super::*;
use crate::{Spend, UsageRow};

both_engines! {
    async fn stores_limits_and_none(db: &Database) {
        let all = Limits {
            max_actions_per_minute: Some(0),
            max_actions_per_hour: Some(1),
            max_actions_per_day: Some(u32::MAX),
            max_spend_per_day: Some(Micros(0)),
            max_spend_per_month: Some(Micros(i64::MAX)),
        };
        assert_eq!(db.find_limits("agt:a").await.unwrap(), None);
        db.change(setup()).set_limits("agt:a", &all, morning()).await.unwrap();
        assert_eq!(db.find_limits("agt:a").await.unwrap(), Some(all));
        assert_eq!(db.find_limits("org:a").await.unwrap(), None);

        // `None` removes a limit.
        db.change(setup()).set_limits("agt:a", &per_day(5), morning()).await.unwrap();
        assert_eq!(db.find_limits("agt:a").await.unwrap(), Some(per_day(5)));
        db.change(setup()).set_limits("agt:a", &Limits::default(), morning()).await.unwrap();
        assert_eq!(db.find_limits("agt:a").await.unwrap(), Some(Limits::default()));
    }

    async fn sums_usage_per_channel_over_days(db: &Database) {
        let (agent, other) = (new_agent(db).await, new_agent(db).await);
        let sent = |agent: &Agent, channel, days, cost| {
            let send = AcceptedSend { channel, at: morning() + TimeDelta::days(days), ..text(agent, "") };
            let send = AcceptedSend { idempotency_key: send.id.to_string(), ..send };
            (settled(&send.id, accepted(cost)), send)
        };
        for (settlement, send) in [
            sent(&agent, Channel::Sms, -1, 1),
            sent(&agent, Channel::Sms, 0, 10),
            sent(&agent, Channel::Sms, 0, 20),
            sent(&agent, Channel::Email, 0, 100),
            sent(&agent, Channel::Sms, 1, 1_000),
            sent(&agent, Channel::Sms, 2, 10_000),
            sent(&other, Channel::Sms, 0, 100_000),
        ] {
            db.accept_send(send).await.unwrap();
            assert!(db.settle_send(settlement).await.unwrap());
        }
        let row = |channel: &str, messages, cost| UsageRow { channel: channel.into(), messages, cost };
        let sum = async |from, to| db.sum_usage(&agent.id, from, to).await.unwrap();
        assert_eq!(sum(DAY, DAY).await, [row("email", 1, 100), row("sms", 2, 30)]);
        assert_eq!(sum(DAY, "2026-11-23").await, [row("email", 1, 100), row("sms", 3, 1_030)]);
        assert_eq!(sum("2026-11-01", "2026-11-30").await, [row("email", 1, 100), row("sms", 5, 11_031)]);
        assert_eq!(sum("2026-12-01", "2026-12-31").await, []);
    }

    async fn lists_spend_by_scope_and_period(db: &Database) {
        let agent = new_agent(db).await;
        let (scope, org) = (format!("agt:{}", agent.id), format!("org:{}", agent.org_id));
        assert_eq!(db.list_spend(&scope, DAY, MONTH).await.unwrap(), []);

        db.accept_send(text(&agent, "today")).await.unwrap();
        let tomorrow = AcceptedSend { at: morning() + TimeDelta::days(1), ..text(&agent, "tomorrow") };
        db.accept_send(tomorrow.clone()).await.unwrap();
        db.settle_send(settled(&tomorrow.id, accepted(7))).await.unwrap();

        for scope in [scope, org] {
            let mut rows = db.list_spend(&scope, DAY, MONTH).await.unwrap();
            rows.sort_by_key(|row| row.period.len());
            let row = |period: &str, held, settled| Spend { scope: scope.clone(), period: period.into(), held, settled };
            assert_eq!(rows, [row(MONTH, ESTIMATE, 7), row(DAY, ESTIMATE, 0)]);
        }
    }
}
