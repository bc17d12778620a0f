//! Bills: what usage costs and earns, tiers that bind, and alerts about budgets.

use serde_json::{Value, json};

use crate::{
    accounts::{get_as, post_as, text},
    limits::set_limits,
    support::{Transport, error_code, eventually, sms},
};

const ANN: &str = "+14155550123";
/// One segment to the United States, in dollars.
const PRICE: f64 = 0.0083;

fn is_near(value: &Value, expected: f64) -> bool {
    (value.as_f64().unwrap() - expected).abs() < 0.000_01
}

profiles! {
    async fn usage_is_billed_at_cost_and_markup(cluster: &Cluster) {
        let (agent, team) = (cluster.agent(Transport::StreamableHttp).await, &cluster.account.team_token);
        agent.send(sms(ANN, "Hi")).await.unwrap();
        let config = json!({ "markupPercent": 50, "tier": "pro", "billingEmail": "bills@example.com" });
        let set = post_as(cluster, team, "/api/v1/billing/config", config).await.expect(200);
        assert_eq!((&set["tier"], &set["markupPercent"]), (&json!("pro"), &json!(50.0)));
        let bill = get_as(cluster, team, "/api/v1/billing?period=today").await.expect(200);
        assert!(is_near(&bill["providerCost"], PRICE) && is_near(&bill["billedCost"], 1.5 * PRICE), "{bill}");
        assert!(is_near(&bill["byChannel"]["sms"]["income"], 0.5 * PRICE), "{bill}");
        assert_eq!(bill["byAgent"][cluster.account.agent.host_id()]["actions"], 1);
        let own = agent.call("comms_get_billing_summary", json!({})).await.unwrap();
        assert_eq!((&own["period"], &own["actions"], &own["currency"]), (&json!("month"), &json!(1), &json!("USD")));
        let income = agent.call("comms_get_income", json!({ "period": "month" })).await.unwrap();
        assert!(is_near(&income["income"], 0.5 * PRICE), "{income}");
        for invalid in [json!({ "tier": "gold" }), json!({ "markupPercent": 501 }), json!({ "billingEmail": "x" })] {
            let refused = post_as(cluster, team, "/api/v1/billing/config", invalid).await.expect(400);
            assert_eq!(refused["code"], "INVALID_ARGUMENT");
        }
        let by_agent = post_as(cluster, &cluster.account.token, "/api/v1/billing/config", json!({})).await.expect(403);
        assert_eq!(by_agent["code"], "AUTH_FORBIDDEN");
        let voices = get_as(cluster, &cluster.account.token, "/api/v1/voices").await.expect(200);
        assert_eq!(json!(voices["voices"].as_array().unwrap().len()), voices["count"]);
    }
}

profiles! {
    async fn tier_limits_actions_of_its_agent(cluster: &Cluster) {
        let (agent, team) = (cluster.rest().await, &cluster.account.team_token);
        let config = json!({ "agentId": cluster.account.agent.host_id(), "tier": "free" });
        post_as(cluster, team, "/api/v1/billing/config", config).await.expect(200);
        let refusal = eventually("the sixth action in a minute is refused", async || {
            agent.send(sms(ANN, "Hi")).await.err()
        })
        .await;
        assert_eq!(refusal["reason"], "RATE_LIMITED", "{refusal}");
    }
}

profiles! {
    async fn client_limits_preview_before_they_bind(cluster: &Cluster) {
        let admin = cluster.account.add_colleague(&cluster.store, &cluster.gateways, "org-admin", "+14155550101").await;
        let tools = cluster.agent_of(&admin, Transport::StreamableHttp).await;
        let limits = json!({ "maxActionsPerMinute": 7 });
        let agent = cluster.account.agent.host_id();
        let preview = tools.call("comms_set_client_limits", json!({ "limits": limits, "agentId": agent })).await.unwrap();
        assert_eq!((&preview["preview"], &preview["limits"]["maxActionsPerMinute"]), (&json!(true), &json!(7)));
        assert_eq!(preview["error"], Value::Null);
        let usage = cluster.rest().await.call("comms_get_usage_dashboard", json!({})).await.unwrap();
        assert_ne!(usage["limits"]["maxActionsPerMinute"], 7);
        let own = json!({ "limits": limits, "agentId": admin.agent.host_id(), "confirm": true });
        let refusal = tools.call("comms_set_client_limits", own).await.unwrap_err();
        assert_eq!(error_code(&refusal), "AUTH_FORBIDDEN");
        let of_organization = json!({ "limits": { "maxActionsPerMinute": 9 }, "confirm": true });
        assert_eq!(tools.call("comms_set_client_limits", of_organization).await.unwrap()["success"], true);
        let set = json!({ "limits": limits, "agentId": agent, "confirm": true });
        assert_eq!(tools.call("comms_set_client_limits", set).await.unwrap()["success"], true);
    }
}

profiles! {
    async fn agent_is_alerted_once_about_its_budget(cluster: &Cluster) {
        let agent = cluster.agent(Transport::StreamableHttp).await;
        set_limits(cluster, &cluster.account, false, json!({ "maxSpendPerDay": 0.009 })).await;
        agent.send(sms(ANN, "Hi")).await.unwrap();
        let alerts = async || {
            let events = agent.call("comms_list_events", json!({ "types": ["budget.alert"] })).await.unwrap();
            events["events"].as_array().unwrap().clone()
        };
        let alert = eventually("the alert arrives", async || {
            cluster.accounts().send_budget_alerts().await.unwrap();
            alerts().await.into_iter().next()
        })
        .await;
        assert_eq!((&alert["percent"], &alert["period"]), (&json!(80), &json!("day")));
        assert_eq!(text(&alert["event"]), "budget.alert");
        cluster.accounts().send_budget_alerts().await.unwrap();
        assert_eq!(alerts().await.len(), 1, "80 percent were reported, and 50 with it");
    }
}
