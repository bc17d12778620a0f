//! Tenant isolation: resources of other tenants look the same as missing ones.

use butt_dial_domain::{Channel, Clock};
use butt_dial_store::Suppression;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{
    Account, Cluster, HttpSession, LegacySession, Reply, RequestExt as _, Transport, Webhook, bodies, eventually,
    setup, sms, with,
};

const ANN: &str = "+14155550123";

/// Creates another organization with one agent.
async fn other_account(cluster: &Cluster) -> Account {
    Account::create(&cluster.store, &cluster.gateways, "Other", "+14155550190").await
}

/// Returns status and body, the parts of a response that must not differ.
fn comparable(reply: Reply) -> (u16, Value) {
    (reply.status, reply.body)
}

profiles! {
    async fn hides_foreign_agents(cluster: &Cluster) {
        let other = other_account(cluster).await;
        let routes = [
            (Method::GET, "/api/v1/agents/{}"),
            (Method::GET, "/api/v1/agents/{}/tokens"),
            (Method::POST, "/api/v1/agents/{}/regenerate-token"),
        ];
        for (method, route) in routes {
            let fetch = async |id: &str| {
                let request = cluster.gateways.request(method.clone(), &route.replace("{}", id));
                comparable(request.bearer_auth(&cluster.account.team_token).reply().await)
            };
            let foreign = fetch(other.agent.as_str()).await;
            assert_eq!(foreign, fetch("agt_0").await, "{route}");
            assert_eq!((foreign.0, &foreign.1["code"]), (404, &json!("AGENT_NOT_FOUND")));
        }
        let limits = json!({ "agentId": other.agent, "limits": { "maxActionsPerDay": 1 } });
        let request = cluster
            .gateways
            .post("/api/v1/client-limits", &limits)
            .bearer_auth(&cluster.account.team_token);
        assert_eq!(request.reply().await.expect(404)["code"], "AGENT_NOT_FOUND");
        // The foreign agent is unchanged: its token still works.
        cluster
            .gateways
            .get("/api/v1/agents/me")
            .bearer_auth(&other.token)
            .reply()
            .await
            .expect(200);
    }
}

profiles! {
    async fn lists_only_own_agents(cluster: &Cluster) {
        let other = other_account(cluster).await;
        for account in [&cluster.account, &other] {
            let listed = cluster
                .gateways
                .get("/api/v1/agents")
                .bearer_auth(&account.team_token)
                .reply()
                .await
                .expect(200);
            assert_eq!(listed["count"], 1);
            assert_eq!(listed["agents"][0]["agentId"], account.agent.as_str());
        }
    }
}

profiles! {
    async fn rejects_send_as_foreign_agent(cluster: &Cluster) {
        let other = other_account(cluster).await;
        let admin = cluster
            .account
            .add_colleague(&cluster.store, &cluster.gateways, "org-admin", "+14155550101")
            .await;
        let colleague = cluster
            .account
            .add_colleague(&cluster.store, &cluster.gateways, "agent", "+14155550102")
            .await;
        let (agent, admin) = (cluster.rest().await, cluster.agent_of(&admin, Transport::Rest).await);
        let named = |id: &str| with(sms(ANN, "As another agent"), json!({ "agentId": id }));
        let unknown = agent.send(named("agt_0")).await.unwrap_err();
        assert_eq!(unknown["code"], "AGENT_NOT_FOUND");
        assert_eq!(agent.send(named(other.agent.as_str())).await.unwrap_err(), unknown);
        assert_eq!(
            agent.send(named(colleague.agent.as_str())).await.unwrap_err(),
            unknown,
            "an agent must not send as a colleague"
        );
        assert_eq!(admin.send(named(other.agent.as_str())).await.unwrap_err(), unknown);
        assert_eq!(cluster.carriers.requests_total("twilio"), 0);
        admin.send(named(colleague.agent.as_str())).await.unwrap();
    }
}

profiles! {
    async fn hides_foreign_messages_under_all_ids(cluster: &Cluster) {
        let other = other_account(cluster).await;
        let colleague = cluster
            .account
            .add_colleague(&cluster.store, &cluster.gateways, "agent", "+14155550101")
            .await;
        let sent = cluster.rest().await.send(sms(ANN, "Mine")).await.unwrap();
        for stranger in [&other, &colleague] {
            let stranger = cluster.agent_of(stranger, Transport::StreamableHttp).await;
            let unknown = stranger.status_of("msg_0").await.unwrap_err();
            assert_eq!(unknown["code"], "MESSAGE_NOT_FOUND");
            for id in ["messageId", "providerMessageId"] {
                assert_eq!(
                    stranger.status_of(sent[id].as_str().unwrap()).await.unwrap_err(),
                    unknown
                );
            }
        }
    }
}

profiles! {
    async fn scopes_keys_suppressions_and_consent_to_organization(cluster: &Cluster) {
        let other = other_account(cluster).await;
        let now = Clock::System.now();
        let entry = Suppression {
            org: &other.org,
            channel: None,
            address: ANN,
            reason: "requested",
        };
        cluster.store.suppress(&entry, now).await.unwrap();
        cluster
            .store
            .record_consent(&other.org, Channel::Sms, ANN, false, "test", now)
            .await
            .unwrap();
        let (ours, theirs) = (cluster.rest().await, cluster.agent_of(&other, Transport::Rest).await);
        let message = sms(ANN, "Hello");
        assert_eq!(
            theirs.send(message.clone()).await.unwrap_err()["code"],
            "DO_NOT_CONTACT"
        );
        assert_eq!(ours.send(message).await.unwrap()["status"], "accepted");
        let usage = theirs.call("comms_get_usage_dashboard", json!({})).await.unwrap();
        assert_eq!(usage["totalActions"], 0);
    }
}

profiles! {
    async fn returns_404_for_session_of_another_agent(cluster: &Cluster) {
        let other = other_account(cluster).await;
        let colleague = cluster
            .account
            .add_colleague(&cluster.store, &cluster.gateways, "agent", "+14155550101")
            .await;
        let session = HttpSession::open(&cluster.gateways, "/mcp", &cluster.account.token).await;
        for stranger in [&other, &colleague] {
            let stolen = session.with_token(&stranger.token);
            for index in 0..cluster.gateways.count() {
                let gateway = cluster.gateways.only(index);
                let tools = stolen
                    .post(&gateway, &json!({ "jsonrpc": "2.0", "id": 7, "method": "tools/list" }))
                    .await;
                assert_eq!(tools.status, 404, "{}", tools.text);
                assert_eq!(stolen.request(&gateway, Method::GET).reply().await.status, 404);
                assert_eq!(stolen.request(&gateway, Method::DELETE).reply().await.status, 404);
            }
        }
        let tools = session.call(&cluster.gateways, "tools/list", json!({})).await;
        assert!(
            tools["result"]["tools"].is_array(),
            "the owner's session is unchanged: {tools}"
        );
    }
}

profiles! {
    async fn returns_404_for_sse_stream_of_another_agent(cluster: &Cluster) {
        let other = other_account(cluster).await;
        let mut session = LegacySession::open(&cluster.gateways, &cluster.account.token).await;
        for index in 0..cluster.gateways.count() {
            let gateway = cluster.gateways.only(index);
            let message = json!({ "jsonrpc": "2.0", "id": "theirs", "method": "tools/list" });
            let path = session.endpoint.clone();
            let stolen = gateway.post(&path, &message).bearer_auth(&other.token).reply().await;
            assert_eq!(stolen.status, 404, "{}", stolen.text);
            let unknown = gateway
                .post("/messages?sessionId=0.0", &message)
                .bearer_auth(&other.token)
                .reply()
                .await;
            assert_eq!(comparable(unknown), comparable(stolen));
        }
        let own = json!({ "jsonrpc": "2.0", "id": "ours", "method": "tools/list" });
        session.post(&cluster.gateways, &own).await.expect(202);
        assert_eq!(
            session.events.message().await["id"],
            "ours",
            "the foreign request had no effect"
        );
    }
}

/// Calls a route, and checks that the response shows no id of the installation.
async fn request_as(cluster: &Cluster, token: &str, method: Method, path: &str, body: Value) -> Value {
    let request = cluster.gateways.request(method, path).bearer_auth(token);
    let request = if body.is_null() { request } else { request.json(&body) };
    let reply = request.reply().await;
    assert!(
        matches!(reply.status, 200 | 201),
        "{path}: {} {}",
        reply.status,
        reply.text
    );
    assert!(!reply.text.contains('~'), "{path}: {}", reply.text);
    reply.body
}

/// Exercises each operation that takes or returns the id of an agent, for `ada` of this account.
async fn administer_ada(cluster: &Cluster, ada: &Account, actions: u64) {
    let team = async |method: Method, path: &str, body: Value| {
        let reply = request_as(cluster, &ada.team_token, method, path, body).await;
        if let Some(id) = reply.get("agentId") {
            assert_eq!(id, "ada", "{path}");
        }
        reply
    };
    let found = team(Method::GET, "/api/v1/agents/ada", Value::Null).await;
    assert_eq!((&found["agentId"], &found["agent_id"]), (&json!("ada"), &json!("ada")));
    assert!(found.to_string().contains(&ada.phone), "{found}");
    let tokens = team(Method::GET, "/api/v1/agents/ada/tokens", Value::Null).await;
    assert_eq!(tokens["tokens"].as_array().map(Vec::len), Some(1));
    for status in ["suspended", "active"] {
        let changed = team(Method::PUT, "/api/v1/agents/ada/status", json!({ "status": status })).await;
        assert_eq!(changed["status"], status);
    }
    let limits = json!({ "agentId": "ada", "limits": { "maxActionsPerDay": actions } });
    team(Method::POST, "/api/v1/client-limits", limits).await;
    let block = json!({ "agentId": "ada", "channel": "email", "blocked": true });
    team(Method::PUT, "/api/v1/channel-blocks", block).await;
    let again = json!({ "agent_id": "ada", "display_name": "Ada" });
    let again = cluster
        .gateways
        .post("/api/v1/agents", &again)
        .bearer_auth(&ada.team_token);
    assert_eq!(again.reply().await.expect(409)["code"], "ALREADY_EXISTS");

    let listed = team(Method::GET, "/api/v1/agents", Value::Null).await;
    let ids: Vec<&Value> = listed["agents"]
        .as_array()
        .unwrap()
        .iter()
        .map(|agent| &agent["agentId"])
        .collect();
    let position = ids.iter().position(|id| *id == "ada").expect("ada is listed");
    let rest = team(Method::GET, "/api/v1/agents?after=ada", Value::Null).await;
    assert_eq!(rest["count"], ids.len() - position - 1);

    let key = format!("to-ann-{}", ada.phone);
    for fallbacks in [json!([]), json!(["whatsapp"])] {
        let named = json!({ "agentId": "ada", "fallbackChannels": fallbacks, "idempotencyKey": key });
        let body = with(sms(ANN, "Hello"), named);
        let sent = team(Method::POST, "/api/v1/send-message", body).await;
        assert_eq!(cluster.expect_arrival(&sent).await.from, ada.phone);
    }
    let call = json!({ "agentId": "ada", "to": ANN, "greeting": "Hello", "idempotencyKey": "call" });
    team(Method::POST, "/api/v1/calls", call).await;
}

/// Exercises each operation that returns the id of the caller.
async fn act_as_ada(cluster: &Cluster, ada: &Account, actions: u64) {
    for path in ["/api/v1/agents/me", "/api/v1/channel-status", "/api/v1/usage"] {
        let own = request_as(cluster, &ada.token, Method::GET, path, Value::Null).await;
        assert_eq!(own["agentId"], "ada", "{path}");
        if path.ends_with("usage") {
            assert_eq!(own["limits"]["maxActionsPerDay"], actions);
        }
    }
    let named = with(sms(ANN, "As myself"), json!({ "agentId": "ada" }));
    let sent = request_as(cluster, &ada.token, Method::POST, "/api/v1/send-message", named).await;
    assert_eq!(cluster.expect_arrival(&sent).await.from, ada.phone);
}

profiles! {
    async fn organizations_use_same_agent_id(cluster: &Cluster) {
        let other = other_account(cluster).await;
        let (store, gateways) = (&cluster.store, &cluster.gateways);
        let ours = cluster.account.add_named(store, gateways, "ada", "+14155550101").await;
        let theirs = other.add_named(store, gateways, "ada", "+14155550102").await;
        for account in [&ours, &theirs] {
            let now = Clock::System.now();
            let voice = store.change(setup()).assign_channel(&account.org, &account.agent, Channel::Voice, &account.phone, now).await;
            voice.unwrap();
        }
        for (ada, actions) in [(&ours, 31), (&theirs, 32)] {
            administer_ada(cluster, ada, actions).await;
        }
        for (ada, actions) in [(&ours, 31), (&theirs, 32)] {
            act_as_ada(cluster, ada, actions).await;
        }
        // A colleague writes to the agent of the same organization.
        let colleague = cluster.agent_of(&other, Transport::StreamableHttp).await;
        colleague.send(sms("ada", "Hello Ada")).await.unwrap();
        let text = |to: &Account, body: &str| Webhook::text(cluster, "/webhooks/ada/sms", ANN, &to.phone, body);
        for (ada, body) in [(&ours, "To ours"), (&theirs, "To theirs")] {
            assert_eq!(text(ada, body).post(cluster).await.status, 200);
        }
        assert_eq!(text(&other, "To another agent").post(cluster).await.status, 404);
        let inbox = cluster.agent_of(&theirs, Transport::Rest).await;
        assert_eq!(bodies(&inbox.poll_until("To theirs").await), ["Hello Ada"]);
        let inbox = cluster.agent_of(&ours, Transport::Rest).await;
        assert!(inbox.poll_until("To ours").await.is_empty());
        // A new token of the one leaves the other's token valid.
        request_as(cluster, &theirs.team_token, Method::POST, "/api/v1/agents/ada/regenerate-token", json!({})).await;
        eventually("the old token is refused", async || {
            let me = gateways.get("/api/v1/agents/me").bearer_auth(&theirs.token).reply().await;
            (me.status == 401).then_some(())
        })
        .await;
        gateways.get("/api/v1/agents/me").bearer_auth(&ours.token).reply().await.expect(200);
    }
}

profiles! {
    async fn rejects_unsafe_agent_ids(cluster: &Cluster) {
        for id in ["../../etc/passwd", "a/b", "a b", "a.b", "a\u{0}b", "", "a~b", &"x".repeat(65)] {
            let body = json!({ "agent_id": id, "display_name": "X" });
            let request = cluster
                .gateways
                .post("/api/v1/agents", &body)
                .bearer_auth(&cluster.account.team_token);
            assert_eq!(request.reply().await.expect(400)["code"], "INVALID_ARGUMENT", "{id:?}");
        }
        let body = json!({ "agent_id": cluster.account.agent, "display_name": "X" });
        let taken = cluster
            .gateways
            .post("/api/v1/agents", &body)
            .bearer_auth(&cluster.account.team_token);
        assert_eq!(taken.reply().await.expect(409)["code"], "ALREADY_EXISTS");
    }
}
