//! Events, resources and calls reach a restricted token only with the tools that return the same.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Cluster, HttpSession, LegacySession, RequestExt as _, Transport, eventually, within_timeout};

const ANN: &str = "+14155550123";
const RESOURCES: [&str; 4] = [
    "comms://inbox",
    "comms://calls/active",
    "comms://messages/msg_1",
    "comms://calls/call_1/transcript",
];

/// Opens a stream of the legacy transport, as a client that listens.
async fn listen(cluster: &Cluster, token: &str) -> LegacySession {
    let mut session = LegacySession::open(&cluster.gateways, token).await;
    let params = json!({
        "protocolVersion": "2025-06-18", "capabilities": { "sampling": {} },
        "clientInfo": { "name": "by-hand", "version": "1" },
    });
    let initialize = json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params });
    session.post(&cluster.gateways, &initialize).await.expect(202);
    session.events.message().await;
    let initialized = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
    session.post(&cluster.gateways, &initialized).await.expect(202);
    session
}

fn code(response: &Value) -> &str {
    response["error"]["data"]["code"]
        .as_str()
        .unwrap_or_else(|| panic!("{response}"))
}

profiles! {
    async fn stream_of_token_without_event_tools_receives_none(cluster: &Cluster) {
        let sender = cluster.restricted_token(json!({ "tools": ["send_message"] })).await;
        let mut deaf = listen(cluster, &sender).await;
        let set_level = json!({ "jsonrpc": "2.0", "id": 7, "method": "logging/setLevel", "params": { "level": "info" } });
        deaf.post(&cluster.gateways, &set_level).await.expect(202);
        assert_eq!(deaf.events.message().await["id"], 7);
        let listening = cluster.restricted_token(json!({ "tools": ["subscribe_inbound"] })).await;
        let mut hearing = listen(cluster, &listening).await;
        cluster.texts(ANN, "First").await;
        let pushed = hearing.events.message().await;
        assert!(pushed.to_string().contains("First"), "{pushed}");
        // Events are pushed in order, so a later response proves that none was pushed to the other stream.
        let ping = json!({ "jsonrpc": "2.0", "id": 8, "method": "ping" });
        deaf.post(&cluster.gateways, &ping).await.expect(202);
        assert_eq!(deaf.events.message().await["id"], 8);
        let registered = cluster.delivery().find_initialized_listeners(&cluster.account.agent).await.unwrap();
        assert!(registered.iter().any(|listener| listener.no_events && !listener.samples()), "{registered:?}");
    }
}

profiles! {
    async fn sessions_are_not_shared_by_tokens_with_other_grants(cluster: &Cluster) {
        let token = cluster.restricted_token(json!({ "tools": ["send_message"] })).await;
        let session = HttpSession::open(&cluster.gateways, "/mcp", &cluster.account.token).await;
        let stolen = session.with_token(&token);
        for method in [Method::GET, Method::DELETE] {
            assert_eq!(stolen.request(&cluster.gateways, method).reply().await.status, 404);
        }
        let list = json!({ "jsonrpc": "2.0", "id": 7, "method": "tools/list" });
        assert_eq!(stolen.post(&cluster.gateways, &list).await.status, 404);
        let legacy = LegacySession::open(&cluster.gateways, &cluster.account.token).await;
        let posted = cluster.gateways.post(&legacy.endpoint, &list).bearer_auth(&token).reply().await;
        assert_eq!(posted.status, 404);
        // A further token with the same grants continues a session, as after a rotation.
        let full = cluster.create_agent_token(json!({})).await.expect(201);
        let continued = session.with_token(full["token"].as_str().unwrap());
        assert_eq!(continued.post(&cluster.gateways, &list).await.status, 200);
    }
}

profiles! {
    async fn resources_and_event_streams_need_the_reading_tools(cluster: &Cluster) {
        let token = cluster.restricted_token(json!({ "tools": ["send_message"] })).await;
        let session = HttpSession::open(&cluster.gateways, "/mcp", &token).await;
        for uri in RESOURCES {
            let read = session.call(&cluster.gateways, "resources/read", json!({ "uri": uri })).await;
            assert_eq!(code(&read), "AUTH_FORBIDDEN", "{uri}");
            let read = cluster.stateless(&token, "resources/read", json!({ "uri": uri })).await;
            assert_eq!(code(&read), "AUTH_FORBIDDEN", "{uri}");
        }
        let watched = session.call(&cluster.gateways, "resources/subscribe", json!({ "uri": RESOURCES[0] })).await;
        assert_eq!(code(&watched), "AUTH_FORBIDDEN");
        for (method, list) in [("resources/list", "resources"), ("resources/templates/list", "resourceTemplates")] {
            let listed = session.call(&cluster.gateways, method, json!({})).await;
            assert_eq!(listed["result"][list], json!([]), "{listed}");
        }
        for name in ["comms.message.received", "comms.call.turn"] {
            for method in ["events/poll", "events/stream"] {
                if (method, name) == ("events/poll", "comms.call.turn") {
                    continue;
                }
                let request = cluster.stateless(&token, method, json!({ "name": name }));
                assert_eq!(code(&within_timeout(name, request).await), "AUTH_FORBIDDEN", "{method} {name}");
            }
        }
        let listener = json!({ "notifications": { "resourceSubscriptions": [RESOURCES[0]] } });
        let listened = within_timeout("listen", cluster.stateless(&token, "subscriptions/listen", listener)).await;
        assert_eq!(code(&listened), "AUTH_FORBIDDEN");
    }
}

profiles! {
    async fn reading_tools_open_their_resources_only(cluster: &Cluster) {
        let sent = cluster.rest().await.send(crate::support::sms(ANN, "Hello")).await.unwrap();
        let message = format!("comms://messages/{}", sent["messageId"].as_str().unwrap());
        for (tools, readable) in [
            (json!(["list_events"]), &[RESOURCES[0]][..]),
            (json!(["get_message_status"]), &[&message]),
            (json!(["list_calls"]), &[RESOURCES[1]]),
            (json!(["read"]), &[RESOURCES[0], &message, RESOURCES[1]]),
        ] {
            let token = cluster.restricted_token(json!({ "tools": tools })).await;
            for uri in [RESOURCES[0], RESOURCES[1], &message] {
                let read = cluster.stateless(&token, "resources/read", json!({ "uri": uri })).await;
                assert_eq!(read.get("result").is_some(), readable.contains(&uri), "{tools} {uri}: {read}");
            }
        }
    }
}

profiles! {
    async fn calls_are_left_to_tokens_that_may_take_any(cluster: &Cluster) {
        cluster.carriers.set_pace(0.1);
        let token = cluster.restricted_token(json!({ "recipients": ["+14155550199"] })).await;
        let restricted = crate::support::Agent::connect(&cluster.gateways, &token, Transport::Rest).await;
        let refused = restricted.call("comms_attend_call", json!({ "waitMs": 0 })).await.unwrap_err();
        assert_eq!(refused["code"], "AUTH_FORBIDDEN");
        let mut stream = listen(cluster, &token).await;
        let own = cluster.agent(Transport::StreamableHttp).await;
        let (turn, call) = tokio::join!(own.attend_any(), async {
            cluster.wait_until_agent_attends().await;
            let call = cluster.carriers.dial(ANN, &cluster.account.phone).await.unwrap();
            crate::support::hears(&call, "I'm an AI assistant.").await;
            crate::support::says(&call, "Hello?").await;
            call
        });
        assert!(turn["text"].as_str().unwrap().ends_with("Hello?"), "{turn}");
        call.hang_up().await;
        eventually("the call has ended", async || {
            let record = own.get_call(turn["callId"].as_str().unwrap()).await;
            record["endedAt"].is_string().then_some(())
        })
        .await;
        // Neither a turn nor a sampling request came to the stream of the restricted token.
        let ping = json!({ "jsonrpc": "2.0", "id": 8, "method": "ping" });
        stream.post(&cluster.gateways, &ping).await.expect(202);
        loop {
            let message = stream.events.message().await;
            if message["id"] == 8 {
                break;
            }
            let text = message.to_string();
            assert!(!text.contains("call.turn") && !text.contains("call.incoming") && !text.contains("sampling/"), "{text}");
        }
    }
}
