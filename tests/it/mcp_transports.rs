//! MCP on any replica: no request depends on the replica that served the one before.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{
    Cluster, EventStream, HttpSession, LegacySession, RequestExt as _, TestContext, eventually, jsonrpc_response,
};

fn message(id: u64, method: &str, params: Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })
}

/// Parses the text of a tool result.
fn tool_text(answer: &Value) -> Value {
    let first = &answer["result"]["content"][0];
    assert_eq!(first["type"], "text", "{answer}");
    serde_json::from_str(first["text"].as_str().unwrap()).unwrap()
}

profiles! {
    async fn session_works_and_ends_on_all_gateways(cluster: &Cluster) {
        for path in ["/mcp", "/mcp-legacy"] {
            let last = cluster.gateways.only(cluster.gateways.count() - 1);
            let first = cluster.gateways.only(0);
            let session = HttpSession::open(&first, path, &cluster.account.token).await;
            let tools = session.call(&last, "tools/list", json!({})).await;
            let names: Vec<_> = tools["result"]["tools"]
                .as_array()
                .unwrap()
                .iter()
                .map(|tool| &tool["name"])
                .collect();
            assert!(names.contains(&&json!("comms_send_message")), "{names:?}");
            let params = json!({ "name": "comms_get_me", "arguments": {} });
            let me = session.call(&first, "tools/call", params).await;
            assert_eq!(tool_text(&me)["agentId"], cluster.account.agent.as_str());
            let deleted = session.request(&last, Method::DELETE).reply().await;
            assert!(matches!(deleted.status, 200 | 204), "{}", deleted.status);
            for gateway in [&first, &last] {
                eventually("the session has ended", async || {
                    let reply = session.post(gateway, &message(2, "tools/list", json!({}))).await;
                    (reply.status == 404).then_some(())
                })
                .await;
            }
        }
    }
}

profiles! {
    async fn returns_404_for_unknown_session(cluster: &Cluster) {
        let mut session = HttpSession::open(&cluster.gateways, "/mcp", &cluster.account.token).await;
        session.id = "0".repeat(32);
        let reply = session
            .post(&cluster.gateways, &message(1, "tools/list", json!({})))
            .await;
        assert_eq!(reply.status, 404);
    }
}

profiles! {
    with [("SESSIONS_PER_AGENT", "2")];
    async fn ends_least_recently_used_session_over_limit(cluster: &Cluster) {
        let colleague = cluster.account.add_colleague(&cluster.store, &cluster.gateways, "agent", "+14155550101").await;
        let open = async |token: &str| HttpSession::open(&cluster.gateways, "/mcp", token).await;
        let others = open(&colleague.token).await;
        let (first, second) = (open(&cluster.account.token).await, open(&cluster.account.token).await);
        let third = open(&cluster.account.token).await;
        for index in 0..cluster.gateways.count() {
            let gateway = cluster.gateways.only(index);
            eventually("the first session has ended", async || {
                let reply = first.post(&gateway, &message(2, "tools/list", json!({}))).await;
                (reply.status == 404).then_some(())
            })
            .await;
            for session in [&second, &third, &others] {
                session.call(&gateway, "tools/list", json!({})).await;
            }
        }
        // A session that its client ends frees a slot.
        second.request(&cluster.gateways, Method::DELETE).reply().await;
        let fourth = open(&cluster.account.token).await;
        for session in [&third, &fourth, &others] {
            session.call(&cluster.gateways, "tools/list", json!({})).await;
        }
    }
}

profiles! {
    async fn tool_descriptions_suit_older_clients(cluster: &Cluster) {
        let session = HttpSession::open(&cluster.gateways, "/mcp", &cluster.account.token).await;
        let list = session.call(&cluster.gateways, "tools/list", json!({})).await;
        assert!(list["result"].get("nextCursor").is_none(), "all tools in one page");
        for tool in list["result"]["tools"].as_array().unwrap() {
            assert_eq!(tool["inputSchema"]["type"], "object", "{tool}");
            assert!(tool.get("outputSchema").is_none(), "{tool}");
            assert!(!tool["inputSchema"].to_string().contains("$ref"), "{tool}");
            assert!(tool["description"].as_str().unwrap().ends_with('.'), "{tool}");
        }
    }
}

profiles! {
    async fn bad_arguments_are_results_unknown_tools_are_errors(cluster: &Cluster) {
        let session = HttpSession::open(&cluster.gateways, "/mcp", &cluster.account.token).await;
        let wrong = [
            json!({ "name": "comms_send_message", "arguments": { "body": "no recipient" } }),
            json!({ "name": "comms_send_message", "arguments": { "to": 7, "body": "x" } }),
            json!({ "name": "comms_get_waiting_messages", "arguments": { "limit": "many" } }),
            json!({ "name": "comms_get_message_status" }),
        ];
        for params in wrong {
            let result = session.call(&cluster.gateways, "tools/call", params.clone()).await;
            assert_eq!(result["result"]["isError"], true, "{params}: {result}");
            let envelope = tool_text(&result);
            assert!(
                envelope["error"].is_string() && envelope["code"].is_string(),
                "{envelope}"
            );
        }
        let params = json!({ "name": "comms_launch_rocket", "arguments": {} });
        let error = session.call(&cluster.gateways, "tools/call", params).await;
        assert!(error["error"]["code"].is_i64(), "{error}");
        // Operations of REST only are no tools.
        let error = session
            .call(
                &cluster.gateways,
                "tools/call",
                json!({ "name": "register_agent", "arguments": {} }),
            )
            .await;
        assert!(error["error"]["code"].is_i64(), "{error}");
    }
}

profiles! {
    async fn ignores_unknown_arguments(cluster: &Cluster) {
        let session = HttpSession::open(&cluster.gateways, "/mcp", &cluster.account.token).await;
        let arguments = json!({
            "to": "+14155550123", "channel": "sms", "body": "Hi", "idempotencyKey": "k", "targetGender": "female",
            "somethingNew": { "a": 1 }, "language": "en", "senderSid": cluster.account.phone,
        });
        let params = json!({ "name": "comms_send_message", "arguments": arguments, "_meta": {} });
        let sent = session.call(&cluster.gateways, "tools/call", params).await;
        assert_eq!(tool_text(&sent)["status"], "accepted", "{sent}");
    }
}

/// Sends a request of the stateless revision, which carries all of its context.
async fn stateless(context: &TestContext, path: &str, method: &str, params: Value) -> crate::support::Reply {
    const VERSION: &str = "2026-07-28";
    let mut params = params;
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": VERSION,
        "io.modelcontextprotocol/clientInfo": { "name": "by-hand", "version": "1" },
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    let name = params["name"].as_str().map(str::to_owned);
    let mut request = context
        .gateways
        .post(path, &message(1, method, params))
        .bearer_auth(&context.account.token);
    request = request.header("accept", "application/json, text/event-stream");
    request = request
        .header("mcp-protocol-version", VERSION)
        .header("mcp-method", method);
    if let Some(name) = name {
        request = request.header("mcp-name", name);
    }
    request.reply().await
}

profiles! {
    async fn stateless_revision_needs_no_session(cluster: &Cluster) {
        let discovered = stateless(cluster, "/mcp", "server/discover", json!({})).await;
        assert_eq!(discovered.status, 200, "{}", discovered.text);
        assert!(jsonrpc_response(&discovered)["result"].is_object(), "{}", discovered.text);
        let tools = stateless(cluster, "/mcp", "tools/list", json!({})).await;
        assert!(jsonrpc_response(&tools)["result"]["tools"].is_array(), "{}", tools.text);
        assert!(tools.header("mcp-session-id").is_none());
        let arguments = json!({ "to": "+14155550123", "channel": "sms", "body": "Stateless", "idempotencyKey": "k" });
        let params = json!({ "name": "comms_send_message", "arguments": arguments });
        let first = jsonrpc_response(&stateless(cluster, "/mcp", "tools/call", params.clone()).await);
        let again = jsonrpc_response(&stateless(cluster, "/mcp", "tools/call", params).await);
        assert!(tool_text(&first)["messageId"].is_string(), "{first}");
        assert_eq!(tool_text(&first)["messageId"], tool_text(&again)["messageId"]);
        assert_eq!(cluster.carriers.requests_total("twilio"), 1);
    }
}

profiles! {
    async fn legacy_endpoint_rejects_stateless_revision(cluster: &Cluster) {
        let discovered = stateless(cluster, "/mcp-legacy", "server/discover", json!({})).await;
        assert!(
            jsonrpc_response(&discovered).get("error").is_some(),
            "clients fall back to initialize: {}",
            discovered.text
        );
    }
}

profiles! {
    async fn sse_supports_every_protocol_revision(cluster: &Cluster) {
        for revision in ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"] {
            let mut session = LegacySession::open(&cluster.gateways, &cluster.account.token).await;
            let client = json!({ "name": "mcp", "version": "0.1.0" });
            let params = json!({ "protocolVersion": revision, "capabilities": {}, "clientInfo": client });
            session
                .post(&cluster.gateways, &message(0, "initialize", params))
                .await
                .expect(202);
            let introduced = session.events.message().await;
            assert_eq!(
                (&introduced["id"], &introduced["result"]["protocolVersion"]),
                (&json!(0), &json!(revision))
            );
            assert_eq!(introduced["result"]["serverInfo"]["name"], "butt-dial-mcp");
            assert!(
                introduced["result"]["serverInfo"]["version"]
                    .as_str()
                    .unwrap()
                    .starts_with("1.")
            );
            let initialized = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
            session.post(&cluster.gateways, &initialized).await.expect(202);
            for id in 1..4 {
                session
                    .post(
                        &cluster.gateways,
                        &message(id, "tools/call", json!({ "name": "comms_ping", "arguments": {} })),
                    )
                    .await
                    .expect(202);
                let pong = session.events.message().await;
                assert_eq!(pong["id"], id);
                assert_eq!(tool_text(&pong)["status"], "ok");
            }
        }
    }
}

profiles! {
    async fn answers_invalid_requests_on_stream(cluster: &Cluster) {
        let mut session = LegacySession::open(&cluster.gateways, &cluster.account.token).await;
        let wrong = [
            json!({ "jsonrpc": "1.0", "id": 7, "method": 7 }),
            json!({ "id": 7, "method": "tools/list" }),
            message(7, "tools/call", json!({ "name": "comms_launch_rocket" })),
            message(7, "tools/call", json!({ "name": 7 })),
            message(7, "no/such/method", json!({})),
        ];
        for wrong in wrong {
            session.post(&cluster.gateways, &wrong).await.expect(202);
            let error = session.events.message().await;
            assert_eq!(error["id"], 7, "{wrong}");
            assert!(error["error"]["code"].is_i64(), "{wrong}: {error}");
        }
        session
            .post(&cluster.gateways, &message(8, "tools/list", json!({})))
            .await
            .expect(202);
        assert_eq!(session.events.message().await["id"], 8);
    }
}

profiles! {
    async fn ends_stream_on_message_without_request_id(cluster: &Cluster) {
        let too_large = " ".repeat(5 * 1024 * 1024);
        for nonsense in [
            "",
            "{",
            "null",
            "[]",
            "7",
            "\"hello\"",
            "{\"jsonrpc\":\"2.0\"}",
            "\u{0}",
            &too_large,
        ] {
            let session = LegacySession::open(&cluster.gateways, &cluster.account.token).await;
            session.post_text(&cluster.gateways, nonsense).await.expect(202);
            session.events.read_to_end().await;
        }
    }
}

profiles! {
    async fn returns_404_for_closed_stream(cluster: &Cluster) {
        let session = LegacySession::open(&cluster.gateways, &cluster.account.token).await;
        let endpoint = session.endpoint.clone();
        drop(session);
        eventually("the stream is closed", async || {
            let request = cluster.gateways.post(&endpoint, &message(1, "tools/list", json!({})));
            (request.bearer_auth(&cluster.account.token).reply().await.status == 404).then_some(())
        })
        .await;
    }
}

profiles! {
    async fn rejects_foreign_host_and_origin(cluster: &Cluster) {
        for path in ["/mcp", "/mcp-legacy", "/sse"] {
            let request = |name: &'static str, value: &'static str| {
                cluster
                    .gateways
                    .get(path)
                    .bearer_auth(&cluster.account.token)
                    .header(name, value)
                    .reply()
            };
            for host in [
                "evil.example",
                "evil.example:3100",
                "localhost.evil.example",
                "127.0.0.1.evil.example",
                "",
            ] {
                assert_eq!(request("host", host).await.status, 403, "{path} {host}");
            }
            for origin in ["http://evil.example", "null", "http://localhost.evil.example:80"] {
                assert_eq!(request("origin", origin).await.status, 403, "{path} {origin}");
            }
        }
        for (name, value) in [
            ("host", "localhost:1234"),
            ("origin", "http://localhost:6274"),
            ("host", "[::1]:80"),
        ] {
            let request = cluster
                .gateways
                .get("/sse")
                .bearer_auth(&cluster.account.token)
                .header(name, value);
            EventStream::open(request).await;
        }
    }
}

profiles! {
    with [("WEBHOOK_BASE_URL", "https://bd.example.com"), ("ALLOWED_HOSTS", "gateway.internal")];
    async fn accepts_configured_hosts(cluster: &Cluster) {
        // The test does not reach the gateways at their public address.
        for host in ["bd.example.com", "gateway.internal:3100", "BD.example.com"] {
            let request = cluster
                .gateways
                .get("/sse")
                .bearer_auth(&cluster.account.token)
                .header("host", host);
            EventStream::open(request).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn push_streams_stay_open_until_shutdown() {
    let cluster = Cluster::embedded(&[]).await;
    let session = HttpSession::open(&cluster.gateways, "/mcp", &cluster.account.token).await;
    let push = session.push_stream(&cluster.gateways).await;
    let legacy = LegacySession::open(&cluster.gateways, &cluster.account.token).await;
    for _ in 0..3 {
        session.call(&cluster.gateways, "tools/list", json!({})).await;
    }
    tokio::join!(cluster.shut_down(), push.read_to_end(), legacy.events.read_to_end());
}

/// A client that resumes an interrupted request on another gateway gets an error at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn resumed_broken_request_gets_retry_error_servers() {
    let cluster = Cluster::servers(&[]).await;
    let session = HttpSession::open(&cluster.gateways, "/mcp", &cluster.account.token).await;
    // A request that is answered at once has no resume position.
    let slow = json!({ "name": "comms_wait_events", "arguments": { "timeoutMs": 1000 } });
    let reply = session
        .post(&cluster.gateways.only(0), &message(41, "tools/call", slow))
        .await;
    let primed = reply
        .text
        .lines()
        .find_map(|line| line.strip_prefix("id:"))
        .expect("an event id")
        .trim()
        .to_owned();
    let resumed = session
        .request(&cluster.gateways.only(1), Method::GET)
        .header("last-event-id", primed);
    let error = EventStream::open(resumed).await.message().await;
    assert_eq!(error["id"], 41);
    assert!(
        error["error"]["message"]
            .as_str()
            .unwrap()
            .contains("same idempotencyKey"),
        "{error}"
    );
    cluster.shut_down().await;
}

profiles! {
    async fn streams_end_with_their_session(cluster: &Cluster) {
        let first = cluster.gateways.only(0);
        let last = cluster.gateways.only(cluster.gateways.count() - 1);
        let session = HttpSession::open(&first, "/mcp", &cluster.account.token).await;
        let other = HttpSession::open(&first, "/mcp", &cluster.account.token).await;
        let mut streams = [session.push_stream(&first).await, session.push_stream(&last).await];
        let mut kept = other.push_stream(&first).await;
        session.request(&last, Method::DELETE).reply().await;
        for stream in &mut streams {
            while stream.next().await.is_some() {}
        }
        let subscribe = json!({ "name": "comms_subscribe_inbound", "arguments": { "operation": "subscribe" } });
        other.call(&first, "tools/call", subscribe).await;
        cluster.texts("+14155550123", "Hi").await;
        while kept.message().await["params"]["data"]["body"] != "Hi" {}
    }
}

// MCP 2025-11-25, Transports, Multiple Connections: no message on several streams.
profiles! {
    with [("STREAMS_PER_AGENT", "3")];
    async fn message_goes_to_one_stream_of_its_session(cluster: &Cluster) {
        let gateway = &cluster.gateways.only(0);
        let session = HttpSession::open(gateway, "/mcp", &cluster.account.token).await;
        let older = [session.push_stream(gateway).await, session.push_stream(gateway).await];
        let mut newest = session.push_stream(gateway).await;
        let subscribe = json!({ "name": "comms_subscribe_inbound", "arguments": { "operation": "subscribe" } });
        session.call(gateway, "tools/call", subscribe).await;
        // The client answers no ping, so nothing is confirmed. The second push begins after the first one is given up.
        for text in ["First", "Second"] {
            cluster.texts("+14155550123", text).await;
            while newest.message().await["params"]["data"]["body"] != text {}
        }
        // Further streams end the older ones.
        let _others = [
            LegacySession::open(gateway, &cluster.account.token).await,
            LegacySession::open(gateway, &cluster.account.token).await,
        ];
        for mut stream in older {
            while let Some(event) = stream.next().await {
                let data = event.data.unwrap_or_default();
                assert!(!data.contains("notifications/message"), "{data}");
            }
        }
    }
}
