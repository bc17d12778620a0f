//! Restricted tokens: what they may do over every transport, and how an organization manages them.

use std::collections::BTreeSet;

use butt_dial_domain::Scope;
use butt_dial_operations::{self as operations, Definition};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{
    Account, Agent, Cluster, HttpSession, LegacySession, RequestExt as _, Transport, eventually, expect_not_granted,
    jsonrpc_response, sms, whatsapp,
};

const EVE: &str = "+14155550199";

fn ten_numbers() -> Vec<String> {
    (0..10).map(|n| format!("+1415555012{n}")).collect()
}

fn path_of_tokens(account: &Account) -> String {
    format!("/api/v1/agents/{}/tokens", account.agent.host_id())
}

profiles! {
    async fn token_sends_sms_to_ten_numbers_and_nothing_else(cluster: &Cluster) {
        let grants = json!({ "channels": ["sms"], "tools": ["send_message"], "recipients": ten_numbers() });
        let token = cluster.restricted_token(grants).await;
        for (n, transport) in Transport::ALL.into_iter().enumerate() {
            let agent = Agent::connect(&cluster.gateways, &token, transport).await;
            let sent = agent.send(sms(&ten_numbers()[n], "Hello")).await.unwrap();
            assert_eq!(sent["status"], "accepted", "{transport:?}");
            let refused = agent.send(sms(EVE, "Hello")).await;
            assert!(!json!(refused).to_string().contains("+1415555012"), "{transport:?}: {refused:?}");
            expect_not_granted(refused, "recipients", "another number");
            expect_not_granted(agent.send(whatsapp(&ten_numbers()[0], "Hello")).await, "channels", "WhatsApp");
            expect_not_granted(agent.call("comms_get_me", json!({})).await, "tools", "another tool");
            if transport != Transport::Rest {
                assert_eq!(agent.tools().await, ["comms_send_message"]);
            }
        }
        let sent = cluster.stateless_call(&token, "comms_send_message", sms(&ten_numbers()[9], "Hello")).await;
        assert_eq!(sent.unwrap()["status"], "accepted");
        let refused = cluster.stateless_call(&token, "comms_send_message", sms(EVE, "Hello")).await;
        expect_not_granted(refused, "recipients", "another number");
        let listed = cluster.stateless(&token, "tools/list", json!({})).await;
        assert_eq!(listed["result"]["tools"].as_array().unwrap().len(), 1, "{listed}");
        assert_eq!(cluster.carriers.requests_total("twilio"), 4);
        cluster.rest().await.send(sms(EVE, "Hello")).await.expect("the agent's other token is not restricted");
    }
}

/// Calls every operation with a restricted token. Each one that it is not granted must refuse it.
async fn expect_refused_everywhere(cluster: &Cluster, token: &str, is_granted: impl Fn(&Definition) -> bool) {
    let session = HttpSession::open(&cluster.gateways, "/mcp", token).await;
    let mut legacy = LegacySession::open(&cluster.gateways, token).await;
    let mut refused = 0;
    for definition in operations::all() {
        let is_open = definition.scope == Scope::Anyone;
        if is_open || is_granted(definition) {
            continue;
        }
        let name = definition.name;
        if definition.hints.is_some() {
            let params = json!({ "name": name, "arguments": {} });
            let message = json!({ "jsonrpc": "2.0", "id": name, "method": "tools/call", "params": params });
            let http = jsonrpc_response(&session.post(&cluster.gateways, &message).await);
            legacy.post(&cluster.gateways, &message).await.expect(202);
            let sse = legacy.events.message().await;
            let stateless = cluster.stateless(token, "tools/call", params).await;
            for response in [http, sse, stateless] {
                let text = response["result"]["content"][0]["text"].as_str();
                let envelope: Value =
                    serde_json::from_str(text.unwrap_or_else(|| panic!("{name}: {response}"))).unwrap();
                assert_eq!(envelope["code"], "AUTH_FORBIDDEN", "{name}: {response}");
                assert_eq!(response["result"]["isError"], true, "{name}");
            }
        }
        if let Some(route) = definition.route {
            let path = route
                .path
                .split('/')
                .map(|part| if part.starts_with('{') { "x" } else { part });
            let path = path.collect::<Vec<_>>().join("/");
            let method: Method = route.method.parse().unwrap();
            let request = cluster.gateways.request(method.clone(), &path).bearer_auth(token);
            let request = if method == Method::GET {
                request
            } else {
                request.json(&json!({}))
            };
            let reply = request.reply().await;
            assert_eq!(
                (reply.status, &reply.body["code"]),
                (403, &json!("AUTH_FORBIDDEN")),
                "{name}: {}",
                reply.text
            );
        }
        refused += 1;
    }
    assert!(refused > 60, "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn token_with_one_tool_is_refused_all_others() {
    let cluster = Cluster::embedded(&[("TOOL_LISTING", "all")]).await;
    let token = cluster.restricted_token(json!({ "tools": ["ping"] })).await;
    expect_refused_everywhere(&cluster, &token, |definition| definition.name == "comms_ping").await;
    let agent = Agent::connect(&cluster.gateways, &token, Transport::StreamableHttp).await;
    agent.call("comms_ping", json!({})).await.expect("the granted tool");
    let tools = operations::all().iter().filter(|tool| tool.hints.is_some());
    assert_eq!(agent.tools().await.len(), tools.count(), "with TOOL_LISTING=all");
    cluster.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn token_that_reads_is_refused_every_change() {
    let cluster = Cluster::embedded(&[]).await;
    let token = cluster.restricted_token(json!({ "tools": ["read"] })).await;
    let is_granted = |definition: &Definition| definition.scope == Scope::Agent && definition.is_read_only();
    expect_refused_everywhere(&cluster, &token, is_granted).await;
    let agent = Agent::connect(&cluster.gateways, &token, Transport::Sse).await;
    let tools = operations::all()
        .iter()
        .filter(|tool| tool.hints.is_some() && is_granted(tool));
    let expected: BTreeSet<String> = tools.map(|tool| tool.name.to_owned()).collect();
    let listed: BTreeSet<String> = agent.tools().await.into_iter().collect();
    assert_eq!(listed, expected, "with TOOL_LISTING=granted");
    for tool in ["comms_get_me", "comms_list_events", "comms_get_usage_dashboard"] {
        agent
            .call(tool, json!({}))
            .await
            .unwrap_or_else(|refusal| panic!("{tool}: {refusal}"));
    }
    cluster.shut_down().await;
}

profiles! {
    async fn tokens_are_created_listed_and_revoked_one_by_one(cluster: &Cluster) {
        let body = json!({
            "label": " shop ", "expiresInDays": 30,
            "grants": { "channels": ["sms"], "tools": ["comms_send_message"], "recipients": ["+1 415 555 0123", "@Shop.Example"],
                "maxSpend": 5, "maxSpendPerDay": 0.5 },
        });
        let created = cluster.create_agent_token(body).await.expect(201);
        let shown = json!({
            "channels": ["sms"], "tools": ["send_message"], "recipients": ["+14155550123", "@shop.example"],
            "maxSpend": 5.0, "maxSpendPerDay": 0.5,
        });
        assert_eq!((&created["label"], &created["grants"]), (&json!("shop"), &shown), "{created}");
        assert!(created["expiresAt"].is_string());
        let token = created["token"].as_str().unwrap();
        let path = path_of_tokens(&cluster.account);
        // The uses of a token are written by the gateway that it was used at.
        let gateway = cluster.gateways.only(0);
        let list = async || {
            let listed = gateway.get(&path).bearer_auth(&cluster.account.team_token).reply().await;
            listed.expect(200)["tokens"].as_array().unwrap().clone()
        };
        let agent = Agent::connect_rest(&gateway, token);
        agent.send(sms("+14155550123", "Hello")).await.unwrap();
        let listed = list().await;
        let own = listed.iter().find(|listed| listed["id"] == created["id"]).expect("the new token");
        assert_eq!((&own["grants"], &own["label"], &own["scope"]), (&shown, &json!("shop"), &json!("agent")));
        assert!(own["last_used_at"].is_string() && own["expires_at"].is_string(), "{own}");
        assert!(listed.iter().any(|listed| listed["id"] != created["id"] && listed.get("grants").is_none()));

        let of = |id: &Value| format!("{path}/{}", id.as_str().unwrap());
        let revoke = async |token: &str, path: &str| {
            cluster.gateways.request(Method::DELETE, path).bearer_auth(token).reply().await
        };
        assert_eq!(revoke(token, &of(&created["id"])).await.status, 403, "it is no administrator");
        revoke(&cluster.account.team_token, &of(&created["id"])).await.expect(200);
        assert_eq!(revoke(&cluster.account.team_token, &of(&created["id"])).await.status, 404);
        eventually("the token is refused", async || {
            let refused = agent.send(sms("+14155550123", "Hello")).await.err()?;
            (refused["code"] == "AUTH_TOKEN_REVOKED").then_some(())
        })
        .await;
        assert!(list().await.iter().all(|listed| listed["id"] != created["id"]));
        cluster.rest().await.send(sms("+14155550123", "Hello")).await.expect("the other token stays valid");
    }
}

profiles! {
    async fn restricted_token_creates_and_widens_no_token(cluster: &Cluster) {
        let admin = cluster.account.add_colleague(&cluster.store, &cluster.gateways, "org-admin", "+14155550101").await;
        let of_admin = cluster.gateways.post(&path_of_tokens(&admin), &json!({ "label": "shop", "expiresInDays": 9, "grants": { "recipients": [EVE] } }));
        let created = of_admin.bearer_auth(&cluster.account.team_token).reply().await.expect(201);
        let token = created["token"].as_str().unwrap();
        for (method, path) in [
            (Method::POST, path_of_tokens(&admin)),
            (Method::GET, path_of_tokens(&admin)),
            (Method::DELETE, format!("{}/{}", path_of_tokens(&admin), created["id"].as_str().unwrap())),
            (Method::POST, format!("/api/v1/agents/{}/regenerate-token", admin.agent.host_id())),
            (Method::POST, "/api/v1/tokens".to_owned()),
            (Method::POST, "/api/v1/agents".to_owned()),
        ] {
            let request = cluster.gateways.request(method, &path).bearer_auth(token);
            assert_eq!(request.json(&json!({})).reply().await.status, 403, "{path}");
        }
        let agent = Agent::connect_rest(&cluster.gateways, token);
        let rotated = agent.call("comms_rotate_token", json!({ "confirm": true })).await.unwrap();
        let rotated = Agent::connect_rest(&cluster.gateways, rotated["newToken"].as_str().unwrap());
        rotated.send(sms(EVE, "Hello")).await.expect("the granted recipient");
        expect_not_granted(rotated.send(sms("+14155550123", "Hello")).await, "recipients", "the new token");
        let listed = cluster.gateways.get(&path_of_tokens(&admin)).bearer_auth(&cluster.account.team_token);
        let listed = listed.reply().await.expect(200);
        let newest = &listed["tokens"][0];
        assert_ne!(newest["id"], created["id"]);
        for (part, expected) in [("label", "label"), ("expires_at", "expiresAt"), ("grants", "grants")] {
            assert_eq!(newest[part], created[expected], "{newest}");
        }
    }
}

profiles! {
    async fn grants_of_one_organization_never_reach_another(cluster: &Cluster) {
        let other = Account::create(&cluster.store, &cluster.gateways, "Other", "+14155550190").await;
        let host_id = other.agent.host_id().to_owned();
        // Another organization's agent and address in grants open nothing.
        let grants = json!({ "recipients": [format!("agent:{host_id}"), EVE] });
        let token = cluster.restricted_token(grants).await;
        let agent = Agent::connect(&cluster.gateways, &token, Transport::StreamableHttp).await;
        for (tool, arguments) in [
            ("comms_message_agent", json!({ "toAgent": host_id, "body": "Hello" })),
            ("comms_get_message_status", json!({ "externalId": "msg_1" })),
            ("comms_get_call", json!({ "callId": "call_1" })),
        ] {
            let refused = agent.call(tool, arguments.clone()).await.unwrap_err();
            assert!(refused["code"].as_str().unwrap().ends_with("_NOT_FOUND"), "{tool}: {refused}");
        }
        let theirs = async |method: Method, path: String| {
            let request = cluster.gateways.request(method, &path).bearer_auth(&cluster.account.team_token);
            let reply = request.json(&json!({})).reply().await;
            (reply.status, reply.body)
        };
        let foreign = path_of_tokens(&other);
        let unknown = "/api/v1/agents/agt_0/tokens".to_owned();
        for method in [Method::POST, Method::GET] {
            let expected = theirs(method.clone(), unknown.clone()).await;
            assert_eq!((expected.0, &expected.1["code"]), (404, &json!("AGENT_NOT_FOUND")));
            assert_eq!(theirs(method, foreign.clone()).await, expected);
        }
        let listed = cluster.gateways.get(&foreign).bearer_auth(&other.team_token).reply().await.expect(200);
        let id = listed["tokens"][0]["id"].as_str().unwrap().to_owned();
        let expected = theirs(Method::DELETE, format!("{unknown}/{id}")).await;
        assert_eq!(theirs(Method::DELETE, format!("{foreign}/{id}")).await, expected);
        let own = theirs(Method::DELETE, format!("{}/{id}", path_of_tokens(&cluster.account))).await;
        assert_eq!((own.0, &own.1["code"]), (404, &json!("NOT_FOUND")));
        cluster.agent_of(&other, Transport::Rest).await.send(sms(EVE, "Hello")).await.expect("their token is valid");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invalid_grants_are_refused() {
    let cluster = Cluster::embedded(&[]).await;
    for (body, field) in [
        (json!({ "grants": { "channels": ["pigeon"] } }), "grants"),
        (json!({ "grants": { "channels": [] } }), "grants.channels"),
        (json!({ "grants": { "tools": ["comms_fly"] } }), "grants.tools"),
        (json!({ "grants": { "tools": ["create_agent_token"] } }), "grants.tools"),
        (
            json!({ "grants": { "recipients": vec![EVE; 1_001] } }),
            "grants.recipients",
        ),
        (
            json!({ "grants": { "recipients": ["not an address"] } }),
            "grants.recipients",
        ),
        (json!({ "grants": { "maxSpend": -1 } }), "grants.maxSpend"),
        (json!({ "grants": "all" }), "grants"),
    ] {
        let refused = cluster.create_agent_token(body.clone()).await.expect(400);
        assert_eq!(refused["code"], "INVALID_ARGUMENT", "{body}: {refused}");
        assert!(refused["fields"].to_string().contains(field), "{body}: {refused}");
    }
    for body in [
        json!({ "label": "" }),
        json!({ "expiresInDays": 0 }),
        json!({ "grant": {} }),
    ] {
        assert_eq!(cluster.create_agent_token(body.clone()).await.status, 400, "{body}");
    }
    // Without grants it is one more token like the first.
    let created = cluster.create_agent_token(json!({})).await.expect(201);
    assert!(created.get("grants").is_none());
    let agent = Agent::connect_rest(&cluster.gateways, created["token"].as_str().unwrap());
    agent.call("comms_get_me", json!({})).await.unwrap();
    cluster.shut_down().await;
}
