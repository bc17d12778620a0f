//! Alerts over REST: routes of an organization, mails from the installation, and causes that begin and end.

use butt_dial_domain::Channel;
use butt_dial_providers::PersonMessage;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Cluster, RequestExt as _, TestContext, WAIT_TIMEOUT, eventually, hears};

const ANN: &str = "+14155550123";
const INSTALLATION: &str = "+14155550177";
const TEMPLATE: &str = "HX00000000000000000000000000000002";

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

/// Creates a route and returns the path of its test.
async fn add_route(cluster: &Cluster, kind: &str, address: &str) -> String {
    let settings = json!({ "kind": kind, "address": address });
    let made = call(cluster, "POST", "/api/v1/alert-routes", settings)
        .await
        .expect(201);
    assert_eq!(
        (&made["kind"], &made["hint"]),
        (&json!(kind), &json!("…0123")),
        "{made}"
    );
    format!("/api/v1/alert-routes/{}/test", made["id"].as_str().unwrap())
}

profiles! {
    with [("INSTALLATION_PHONE", INSTALLATION)];
    async fn alert_is_spoken_in_a_call(cluster: &Cluster) {
        cluster.carriers.set_pace(0.1);
        let path = add_route(cluster, "voice", ANN).await;
        call(cluster, "POST", &path, json!({})).await.expect(200);
        let rung = cluster.carriers.wait_for_call(ANN, WAIT_TIMEOUT).await.expect("the carrier places the call");
        hears(&rung, "Test of an alert route.").await;
        assert!(rung.wait_for_end(WAIT_TIMEOUT).await);
        // No program answers calls to the installation.
        let call = cluster.carriers.dial(ANN, INSTALLATION).await.unwrap();
        assert!(call.wait_for_end(WAIT_TIMEOUT).await);
        assert!(!format!("{:?}", call.transcript()).contains("assistant"), "{:?}", call.transcript());
    }
}

// With simulated carriers alone, the window of every fictional number is open.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alert_on_whatsapp_is_a_template_outside_the_window() {
    let settings = [
        ("INSTALLATION_WHATSAPP", INSTALLATION),
        ("ALERT_WHATSAPP_TEMPLATE", TEMPLATE),
    ];
    let cluster = Cluster::servers(&settings).await;
    let path = add_route(&cluster, "whatsapp", ANN).await;
    call(&cluster, "POST", &path, json!({})).await.expect(200);
    let first = cluster.wait_for_acceptance(ANN).await;
    let expected = format!("[{TEMPLATE}]");
    assert!(
        first.body.starts_with(&expected) && first.body.contains("Test of an alert route"),
        "{}",
        first.body
    );
    let written = PersonMessage::new(Channel::Whatsapp, ANN, INSTALLATION, "Hi");
    cluster.deliver_accepted(written).await;
    eventually("the window is open", async || {
        call(&cluster, "POST", &path, json!({})).await.expect(200);
        let sent = cluster.carriers.messages_to(ANN);
        sent.iter()
            .any(|message| message.body == "Test of an alert route")
            .then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alert_on_whatsapp_needs_window_or_template() {
    let cluster = Cluster::servers(&[("INSTALLATION_WHATSAPP", INSTALLATION)]).await;
    let path = add_route(&cluster, "whatsapp", ANN).await;
    let refused = call(&cluster, "POST", &path, json!({})).await;
    assert!(
        refused.status >= 400 && refused.text.contains("WHATSAPP_WINDOW_CLOSED"),
        "{}",
        refused.text
    );
    assert!(cluster.carriers.messages_to(ANN).is_empty());
}
