//! Alerts about budgets.

use super::*;

both_engines! {
    async fn budget_alert_is_due_once_per_percentage(db: &Database) {
        let agent = new_agent(db).await;
        let scope = format!("agt:{}", agent.id);
        let spend = async |settled: i64| {
            db.execute("DELETE FROM spend").await;
            db.execute(&format!(
                "INSERT INTO spend (scope, period, held, settled) VALUES ('{scope}', '{DAY}', 10, {settled}),
                    ('{scope}', '{MONTH}', 10, {settled}), ('org:x', '2026-11-21', 0, 100)"
            ))
            .await;
        };
        let limits = Limits {
            max_spend_per_day: Some(Micros(100)),
            ..Limits::default()
        };
        let due = async || db.list_budget_alerts(DAY, MONTH, &limits).await.unwrap();
        spend(39).await;
        assert_eq!(due().await, []);
        spend(75).await;
        let alerts = due().await;
        assert_eq!(alerts.iter().map(|alert| alert.threshold).collect::<Vec<_>>(), [80, 50]);
        assert_eq!((alerts[0].used, alerts[0].cap, &alerts[0].org_id), (85, 100, &agent.org_id));
        for alert in &alerts {
            db.record_budget_alert(alert, morning()).await.unwrap();
        }
        db.record_budget_alert(&alerts[0], morning()).await.unwrap();
        assert_eq!(due().await, []);
        spend(90).await;
        assert_eq!(due().await.len(), 1);
        db.change(setup()).set_limits(&scope, &Limits::default(), morning()).await.unwrap();
        assert_eq!(due().await, [], "no limit any more");
        db.execute("DELETE FROM spend").await;
    }
}
