//! Billing configurations, and the usage of an organization.

use super::*;
use crate::BillingConfig;

both_engines! {
    async fn billing_config_keeps_values_that_are_not_given(db: &Database) {
        let agent = new_agent(db).await;
        let (org, id) = (&agent.org_id, &agent.id);
        assert_eq!(db.find_billing_config(org, None).await.unwrap(), None);
        let tier = BillingConfig { tier: Some("pro".into()), markup: Some(1_250), billing_email: None };
        db.change(setup()).set_billing_config(org, None, &tier, morning()).await.unwrap();
        let email = BillingConfig { billing_email: Some("a@example.com".into()), ..BillingConfig::default() };
        db.change(setup()).set_billing_config(org, None, &email, morning()).await.unwrap();
        let expected = BillingConfig { billing_email: email.billing_email.clone(), ..tier };
        assert_eq!(db.find_billing_config(org, None).await.unwrap(), Some(expected));
        assert_eq!(db.find_billing_config(org, Some(id)).await.unwrap(), None);
        let own = BillingConfig { markup: Some(500), ..BillingConfig::default() };
        db.change(setup()).set_billing_config(org, Some(id), &own, morning()).await.unwrap();
        assert_eq!(db.list_agent_markups(org).await.unwrap(), [(id.to_string(), 500)]);
    }

    async fn org_usage_is_summed_per_agent_and_channel(db: &Database) {
        let (ours, theirs) = (new_agent(db).await, new_agent(db).await);
        for (day, agent) in [("2026-11-21", &ours), ("2026-11-22", &ours), ("2026-11-22", &theirs)] {
            let (id, org) = (&agent.id, &agent.org_id);
            db.execute(&format!(
                "INSERT INTO usage (agent_id, day, channel, org_id, messages, cost) VALUES ('{id}', '{day}', 'sms', '{org}', 2, 30)"
            ))
            .await;
        }
        let sums = db.sum_org_usage(&ours.org_id, "2026-11-21", "2026-11-22").await.unwrap();
        assert_eq!((sums.len(), sums[0].messages, sums[0].cost), (1, 4, 60));
        assert_eq!(db.sum_org_usage(&ours.org_id, "2026-11-22", "2026-11-22").await.unwrap()[0].messages, 2);
    }
}
