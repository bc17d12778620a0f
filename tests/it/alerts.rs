//! Alerts over REST: routes of an organization, mails from the installation, and causes that begin and end.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Cluster, RequestExt as _, TestContext, eventually};

async fn call(context: &TestContext, method: &str, path: &str, body: Value) -> crate::support::Reply {
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    let is_get = method == Method::GET;
    let request = context.gateways.request(method, path);
    let request = if is_get { request } else { request.json(&body) };
    request.bearer_auth(&context.account.team_token).reply().await
}

#[tokio::test]
async fn budget_alert_reaches_a_person_by_mail() {
    let cluster = Cluster::servers(&[("INSTALLATION_EMAIL", "installation@butt-dial.example")]).await;
    let cluster = &cluster;
    let settings = json!({ "kind": "email", "address": "ops@example.com", "severity": "high" });
    let made = call(cluster, "POST", "/api/v1/alert-routes", settings)
        .await
        .expect(201);
    assert_eq!((&made["hint"], &made["severity"]), (&json!("….com"), &json!("high")));
    let route = made["id"].as_str().unwrap().to_owned();
    let tested = call(
        cluster,
        "POST",
        &format!("/api/v1/alert-routes/{route}/test"),
        json!({}),
    )
    .await
    .expect(200);
    assert_eq!(tested["success"], true);

    let alert = butt_dial_store::BudgetAlert {
        scope: format!("org:{}", cluster.account.org),
        period: "2026-11-29".into(),
        threshold: 100,
        used: 10,
        cap: 10,
        org_id: cluster.account.org.clone(),
    };
    cluster
        .store
        .record_budget_alert(&alert, butt_dial_domain::Clock::System.now())
        .await
        .unwrap();
    let listed = eventually("the alert is open", async || {
        let reply = call(cluster, "GET", "/api/v1/alerts", json!({})).await.expect(200);
        reply["alerts"][0].is_object().then(|| reply["alerts"][0].clone())
    })
    .await;
    assert_eq!(
        (&listed["kind"], &listed["severity"], &listed["state"]),
        (&json!("budget"), &json!("high"), &json!("open"))
    );
    eventually("the mail arrives", async || {
        let mails = cluster.carriers.messages_to("ops@example.com");
        mails
            .iter()
            .any(|mail| mail.body.contains("100 % of a budget is used"))
            .then_some(())
    })
    .await;
    let id = listed["id"].as_str().unwrap();
    call(cluster, "POST", &format!("/api/v1/alerts/{id}/acknowledge"), json!({}))
        .await
        .expect(200);
    call(cluster, "POST", &format!("/api/v1/alerts/{id}/resolve"), json!({}))
        .await
        .expect(200);
    let again = call(cluster, "POST", &format!("/api/v1/alerts/{id}/resolve"), json!({})).await;
    assert_eq!(again.body["code"], "NOT_FOUND");
    let agents = cluster
        .gateways
        .get("/api/v1/alerts")
        .bearer_auth(&cluster.account.token)
        .reply()
        .await;
    assert_eq!(agents.body["code"], "AUTH_FORBIDDEN");
}

profiles! {
    async fn routes_are_checked_changed_and_deleted(cluster: &Cluster) {
        for (settings, field) in [
            (json!({ "kind": "fax" }), "kind"),
            (json!({ "kind": "email" }), "address"),
            (json!({ "kind": "sms", "address": "x" }), "address"),
            (json!({ "kind": "webhook", "url": "ftp://example.com" }), "url"),
            (json!({ "kind": "pagerduty" }), "key"),
            (json!({ "kind": "email", "address": "a@example.com", "severity": "loud" }), "severity"),
            (json!({ "kind": "email", "address": "a@example.com", "quietFrom": "22:00" }), "quietFrom"),
            (json!({ "kind": "email", "address": "a@example.com", "quietFrom": "25:00", "quietUntil": "07:00" }), "quietFrom"),
        ] {
            let refused = call(cluster, "POST", "/api/v1/alert-routes", settings.clone()).await;
            assert_eq!((refused.status, &refused.body["fields"]), (400, &json!([field])), "{settings}: {}", refused.text);
        }
        let settings = json!({ "kind": "email", "address": "a@example.com", "quietFrom": "22:00", "quietUntil": "07:30" });
        let made = call(cluster, "POST", "/api/v1/alert-routes", settings).await.expect(201);
        let path = format!("/api/v1/alert-routes/{}", made["id"].as_str().unwrap());
        let changed = json!({ "kind": "email", "address": "b@example.org", "severity": "critical", "escalation": true });
        let changed = call(cluster, "PUT", &path, changed).await.expect(200);
        assert_eq!((&changed["severity"], &changed["escalation"], &changed["quietFrom"]), (&json!("critical"), &json!(true), &Value::Null));
        let listed = call(cluster, "GET", "/api/v1/alert-routes", json!({})).await.expect(200);
        assert_eq!(listed["routes"].as_array().unwrap().len(), 1);
        call(cluster, "DELETE", &path, json!({})).await.expect(200);
        assert_eq!(call(cluster, "DELETE", &path, json!({})).await.body["code"], "NOT_FOUND");
        let audit = call(cluster, "GET", "/api/v1/audit?action=alert_route.delete", json!({})).await.expect(200);
        assert_eq!(audit["entries"][0]["detail"]["hint"], "….org");
    }
}
