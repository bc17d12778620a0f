//! Messages that wait for the approval of a person, and the do-not-contact list of an organization.

use serde_json::{Value, json};

use crate::support::{Account, Agent, Cluster, RequestExt as _, TestContext, error_code, eventually, sms, with};

const ANN: &str = "+14155550123";
const RULES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/rules");

fn marketing(key: &str) -> Value {
    with(
        sms(ANN, "Twenty percent off."),
        json!({ "purpose": "marketing", "idempotencyKey": key }),
    )
}

async fn decide(context: &TestContext, token: &str, message: &Value, decision: &str) -> (u16, Value) {
    let path = format!("/api/v1/approvals/{}", message["messageId"].as_str().unwrap());
    let request = context.gateways.post(&path, &json!({ "decision": decision }));
    let reply = request.bearer_auth(token).reply().await;
    (reply.status, reply.body)
}

async fn status_of(agent: &Agent, message: &Value) -> Value {
    let id = json!({ "externalId": message["messageId"] });
    agent.call("comms_get_message_status", id).await.unwrap()
}

profiles! {
    with [("RULES_DIR", RULES)];
    async fn held_message_is_sent_after_approval_only(cluster: &Cluster) {
        let agent = cluster.rest().await;
        let requests_before = cluster.carriers.requests_total("twilio");
        let held = agent.send(marketing("a")).await.unwrap();
        assert_eq!(held["status"], "pending_approval", "{held}");
        assert_eq!(status_of(&agent, &held).await["status"], "pending_approval");
        let repeat = agent.send(marketing("a")).await.unwrap();
        assert_eq!((&repeat["messageId"], &repeat["replayed"]), (&held["messageId"], &json!(true)));

        let list = async |token: &str| {
            let reply = cluster.gateways.get("/api/v1/approvals").bearer_auth(token).reply().await;
            reply.expect(200)["messages"].clone()
        };
        let team = &cluster.account.team_token;
        let waiting = list(team).await;
        assert_eq!((&waiting[0]["body"], &waiting[0]["rule"]), (&json!("Twenty percent off."), &json!("approve-marketing")));

        // Neither the agent itself nor another organization decides.
        let other = Account::create(&cluster.store, &cluster.gateways, "Other", "+14155550190").await;
        assert_eq!(decide(cluster, &cluster.account.token, &held, "approve").await.0, 403);
        assert_eq!(decide(cluster, &other.team_token, &held, "approve").await.0, 404);
        assert_eq!(list(&other.team_token).await, json!([]));
        assert_eq!(cluster.carriers.requests_total("twilio"), requests_before, "nothing has left");

        assert_eq!(decide(cluster, team, &held, "approve").await.0, 200);
        assert_eq!(decide(cluster, team, &held, "reject").await.0, 404, "decided once");
        eventually("the message is accepted", async || {
            (status_of(&agent, &held).await["provider"].is_string()).then_some(())
        })
        .await;
        assert_eq!(list(team).await, json!([]));
    }
}

profiles! {
    with [("RULES_DIR", RULES)];
    async fn rejected_message_fails_and_opt_out_beats_approval(cluster: &Cluster) {
        let agent = cluster.rest().await;
        let team = &cluster.account.team_token;
        let rejected = agent.send(marketing("a")).await.unwrap();
        assert_eq!(decide(cluster, team, &rejected, "reject").await.0, 200);
        eventually("the rejected message has failed", async || {
            let status = status_of(&agent, &rejected).await;
            (status["status"] == "failed" && status["code"] == "APPROVAL_REJECTED").then_some(())
        })
        .await;
        let refused = agent.send(marketing("a")).await.unwrap_err();
        assert_eq!(error_code(&refused), "APPROVAL_REJECTED");

        let held = agent.send(marketing("b")).await.unwrap();
        let add = json!({ "csv": format!("address,channel,reason\n{ANN},,asked by letter\nnobody,,\n") });
        let added = cluster.gateways.post("/api/v1/suppressions", &add).bearer_auth(team).reply().await.expect(200);
        assert_eq!((&added["added"], &added["errors"][0]["row"]), (&json!(1), &json!(2)), "{added}");
        assert_eq!(decide(cluster, team, &held, "approve").await.0, 200);
        eventually("the rules decide again", async || {
            let status = status_of(&agent, &held).await;
            (status["status"] == "failed" && status["code"] == "DO_NOT_CONTACT").then_some(())
        })
        .await;
        let refused = agent.send(sms(ANN, "Hi")).await.unwrap_err();
        assert_eq!(error_code(&refused), "DO_NOT_CONTACT");
        let list = cluster.gateways.get("/api/v1/suppressions/export").bearer_auth(team).send().await.unwrap();
        let text = list.text().await.unwrap();
        assert!(text.starts_with("address,channel,reason,created_at\n+14155550123,*,asked by letter,"), "{text}");
        let remove = cluster.gateways.request(reqwest::Method::DELETE, "/api/v1/suppressions");
        remove.bearer_auth(team).json(&json!({ "address": "+1 415-555-0123" })).reply().await.expect(200);
        agent.send(sms(ANN, "Hi")).await.unwrap();
    }
}

/// Returns the link in the mail about a held message.
async fn link_to(context: &TestContext, address: &str) -> String {
    eventually("a mail has the link", async || {
        let mails = context.carriers.messages_to(address);
        let link = mails.last()?.body.split_once("Approve or reject: ")?.1;
        Some(link.split_whitespace().next()?.to_owned())
    })
    .await
}

#[tokio::test]
async fn link_of_an_alert_decides_once_and_by_post_only() {
    let settings = [
        ("INSTALLATION_EMAIL", "installation@butt-dial.example"),
        ("RULES_DIR", RULES),
    ];
    let cluster = &Cluster::servers(&settings).await;
    let agent = cluster.rest().await;
    let route = json!({ "kind": "email", "address": "ops@example.com", "severity": "high" });
    let made = cluster.gateways.post("/api/v1/alert-routes", &route);
    let made = made.bearer_auth(&cluster.account.team_token).reply().await.expect(201);
    let held = agent.send(marketing("a")).await.unwrap();
    let link = link_to(cluster, "ops@example.com").await;
    let path = &link[link.find("/approvals/").unwrap()..];

    let show = async |path: &str| {
        let page = cluster.gateways.get(path).send().await.unwrap();
        (page.status().as_u16(), page.text().await.unwrap())
    };
    let decide = async |path: &str, decision: &str| {
        let posted = cluster.gateways.request(reqwest::Method::POST, path);
        posted
            .form(&[("decision", decision)])
            .send()
            .await
            .unwrap()
            .status()
            .as_u16()
    };
    for _ in 0..2 {
        let (status, page) = show(path).await;
        assert_eq!(status, 200);
        assert!(
            page.contains("Twenty percent off.") && page.contains("approve-marketing"),
            "{page}"
        );
    }
    assert_eq!(
        status_of(&agent, &held).await["status"],
        "pending_approval",
        "reading decides nothing"
    );
    let forged = format!("{}x", &path[..path.len() - 1]);
    assert_eq!((show(&forged).await.0, decide(&forged, "approve").await), (404, 404));
    assert_eq!(decide(path, "maybe").await, 422);
    assert_eq!(decide(path, "approve").await, 200);
    assert_eq!(
        (show(path).await.0, decide(path, "reject").await),
        (404, 404),
        "decided once"
    );
    eventually("the message is accepted", async || {
        (status_of(&agent, &held).await["provider"].is_string()).then_some(())
    })
    .await;
    let route = json!({ "kind": "email", "address": "former@example.com", "severity": "high" });
    let former = cluster.gateways.post("/api/v1/alert-routes", &route);
    let former = former
        .bearer_auth(&cluster.account.team_token)
        .reply()
        .await
        .expect(201);
    agent.send(marketing("b")).await.unwrap();
    let second = link_to(cluster, "former@example.com").await;
    let path = &second[second.find("/approvals/").unwrap()..];
    assert_eq!(show(path).await.0, 200);
    let route = format!("/api/v1/alert-routes/{}", former["id"].as_str().unwrap());
    let delete = cluster.gateways.request(reqwest::Method::DELETE, &route);
    let deleted = delete.bearer_auth(&cluster.account.team_token).reply().await;
    assert!(deleted.status < 300, "{}", deleted.body);
    assert_eq!(
        (show(path).await.0, decide(path, "approve").await),
        (404, 404),
        "its route is deleted"
    );
    let log = cluster
        .gateways
        .get("/api/v1/audit?action=approval.approve")
        .bearer_auth(&cluster.account.team_token);
    let log = log.reply().await.expect(200).to_string();
    assert!(
        log.contains(&format!("alert-route:{}", made["id"].as_str().unwrap())),
        "{log}"
    );
}
