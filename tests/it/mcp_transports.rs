//! MCP on whichever replica: no request needs the one that answered before.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{EventStream, HttpSession, LegacySession, Replying as _, Stage, World, answer, eventually};

fn message(id: u64, method: &str, params: Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })
}

/// The text of a tool's result, as JSON.
fn tool_text(answer: &Value) -> Value {
    let first = &answer["result"]["content"][0];
    assert_eq!(first["type"], "text", "{answer}");
    serde_json::from_str(first["text"].as_str().unwrap()).unwrap()
}

profiles! {
    async fn a_session_goes_over_all_gateways_and_ends_on_all_of_them(world: &World) {
        for path in ["/mcp", "/mcp-legacy"] {
            let last = world.gateways.only(world.gateways.count() - 1);
            let first = world.gateways.only(0);
            let session = HttpSession::open(&first, path, &world.account.token).await;
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
            assert_eq!(tool_text(&me)["agentId"], world.account.agent.as_str());
            let deleted = session.request(&last, Method::DELETE).reply().await;
            assert!(matches!(deleted.status, 200 | 204), "{}", deleted.status);
            for gateway in [&first, &last] {
                eventually("the session is forgotten", async || {
                    let reply = session.post(gateway, &message(2, "tools/list", json!({}))).await;
                    (reply.status == 404).then_some(())
                })
                .await;
            }
        }
    }
}

profiles! {
    async fn an_unknown_session_is_404_so_that_clients_open_a_new_one(world: &World) {
        let mut session = HttpSession::open(&world.gateways, "/mcp", &world.account.token).await;
        session.id = "0".repeat(32);
        let reply = session
            .post(&world.gateways, &message(1, "tools/list", json!({})))
            .await;
        assert_eq!(reply.status, 404);
    }
}

profiles! {
    with [("SESSIONS_PER_AGENT", "2")];
    async fn of_too_many_sessions_the_one_unused_for_longest_ends(world: &World) {
        let colleague = world.account.colleague(&world.store, &world.gateways, "agent", "+14155550101").await;
        let open = async |token: &str| HttpSession::open(&world.gateways, "/mcp", token).await;
        let others = open(&colleague.token).await;
        let (first, second) = (open(&world.account.token).await, open(&world.account.token).await);
        let third = open(&world.account.token).await;
        for index in 0..world.gateways.count() {
            let gateway = world.gateways.only(index);
            eventually("the first one has ended", async || {
                let reply = first.post(&gateway, &message(2, "tools/list", json!({}))).await;
                (reply.status == 404).then_some(())
            })
            .await;
            for session in [&second, &third, &others] {
                session.call(&gateway, "tools/list", json!({})).await;
            }
        }
        // One that its client ends makes room.
        second.request(&world.gateways, Method::DELETE).reply().await;
        let fourth = open(&world.account.token).await;
        for session in [&third, &fourth, &others] {
            session.call(&world.gateways, "tools/list", json!({})).await;
        }
    }
}

profiles! {
    async fn tools_are_described_as_old_clients_need_it(world: &World) {
        let session = HttpSession::open(&world.gateways, "/mcp", &world.account.token).await;
        let list = session.call(&world.gateways, "tools/list", json!({})).await;
        assert!(list["result"].get("nextCursor").is_none(), "all in one page");
        for tool in list["result"]["tools"].as_array().unwrap() {
            assert_eq!(tool["inputSchema"]["type"], "object", "{tool}");
            assert!(tool.get("outputSchema").is_none(), "{tool}");
            assert!(!tool["inputSchema"].to_string().contains("$ref"), "{tool}");
            assert!(tool["description"].as_str().unwrap().contains("[scope: "), "{tool}");
            assert!(tool["annotations"]["readOnlyHint"].is_boolean(), "{tool}");
        }
    }
}

profiles! {
    async fn mistakes_in_arguments_are_results_and_unknown_tools_are_errors(world: &World) {
        let session = HttpSession::open(&world.gateways, "/mcp", &world.account.token).await;
        let wrong = [
            json!({ "name": "comms_send_message", "arguments": { "body": "no recipient" } }),
            json!({ "name": "comms_send_message", "arguments": { "to": 7, "body": "x" } }),
            json!({ "name": "comms_get_waiting_messages", "arguments": { "limit": "many" } }),
            json!({ "name": "comms_get_message_status" }),
        ];
        for params in wrong {
            let result = session.call(&world.gateways, "tools/call", params.clone()).await;
            assert_eq!(result["result"]["isError"], true, "{params}: {result}");
            let envelope = tool_text(&result);
            assert!(
                envelope["error"].is_string() && envelope["code"].is_string(),
                "{envelope}"
            );
        }
        let params = json!({ "name": "comms_launch_rocket", "arguments": {} });
        let error = session.call(&world.gateways, "tools/call", params).await;
        assert!(error["error"]["code"].is_i64(), "{error}");
        // What REST alone has is no tool.
        let error = session
            .call(
                &world.gateways,
                "tools/call",
                json!({ "name": "register_agent", "arguments": {} }),
            )
            .await;
        assert!(error["error"]["code"].is_i64(), "{error}");
    }
}

profiles! {
    async fn what_nobody_knows_passes_through(world: &World) {
        let session = HttpSession::open(&world.gateways, "/mcp", &world.account.token).await;
        let arguments = json!({
            "to": "+14155550123", "channel": "sms", "body": "Hi", "idempotencyKey": "k", "targetGender": "female",
            "somethingNew": { "a": 1 }, "language": "en", "senderSid": world.account.phone,
        });
        let params = json!({ "name": "comms_send_message", "arguments": arguments, "_meta": {} });
        let sent = session.call(&world.gateways, "tools/call", params).await;
        assert_eq!(tool_text(&sent)["status"], "accepted", "{sent}");
    }
}

/// A request of the stateless revision names everything that it needs itself.
async fn stateless(stage: &Stage, path: &str, method: &str, params: Value) -> crate::support::Reply {
    const VERSION: &str = "2026-07-28";
    let mut params = params;
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": VERSION,
        "io.modelcontextprotocol/clientInfo": { "name": "by-hand", "version": "1" },
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    let name = params["name"].as_str().map(str::to_owned);
    let mut request = stage
        .gateways
        .post(path, &message(1, method, params))
        .bearer_auth(&stage.account.token);
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
    async fn the_stateless_revision_needs_no_session(world: &World) {
        let discovered = stateless(world, "/mcp", "server/discover", json!({})).await;
        assert_eq!(discovered.status, 200, "{}", discovered.text);
        assert!(answer(&discovered)["result"].is_object(), "{}", discovered.text);
        let tools = stateless(world, "/mcp", "tools/list", json!({})).await;
        assert!(answer(&tools)["result"]["tools"].is_array(), "{}", tools.text);
        assert!(tools.header("mcp-session-id").is_none());
        let arguments = json!({ "to": "+14155550123", "channel": "sms", "body": "Stateless", "idempotencyKey": "k" });
        let params = json!({ "name": "comms_send_message", "arguments": arguments });
        let first = answer(&stateless(world, "/mcp", "tools/call", params.clone()).await);
        let again = answer(&stateless(world, "/mcp", "tools/call", params).await);
        assert_eq!(tool_text(&first)["messageId"], tool_text(&again)["messageId"]);
        assert_eq!(world.carriers.requests_total("twilio"), 1);
    }
}

profiles! {
    async fn the_endpoint_for_older_clients_does_not_offer_the_stateless_revision(world: &World) {
        let discovered = stateless(world, "/mcp-legacy", "server/discover", json!({})).await;
        assert!(
            answer(&discovered).get("error").is_some(),
            "clients fall back to initialize: {}",
            discovered.text
        );
    }
}

profiles! {
    async fn every_revision_is_spoken_over_sse(world: &World) {
        for revision in ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"] {
            let mut session = LegacySession::open(&world.gateways, &world.account.token).await;
            let client = json!({ "name": "mcp", "version": "0.1.0" });
            let params = json!({ "protocolVersion": revision, "capabilities": {}, "clientInfo": client });
            session
                .post(&world.gateways, &message(0, "initialize", params))
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
            session.post(&world.gateways, &initialized).await.expect(202);
            for id in 1..4 {
                session
                    .post(
                        &world.gateways,
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
    async fn what_is_no_request_is_answered_on_the_stream_and_disturbs_nothing(world: &World) {
        let mut session = LegacySession::open(&world.gateways, &world.account.token).await;
        let wrong = [
            json!({ "jsonrpc": "1.0", "id": 7, "method": 7 }),
            json!({ "id": 7, "method": "tools/list" }),
            message(7, "tools/call", json!({ "name": "comms_launch_rocket" })),
            message(7, "tools/call", json!({ "name": 7 })),
            message(7, "no/such/method", json!({})),
        ];
        for wrong in wrong {
            session.post(&world.gateways, &wrong).await.expect(202);
            let error = session.events.message().await;
            assert_eq!(error["id"], 7, "{wrong}");
            assert!(error["error"]["code"].is_i64(), "{wrong}: {error}");
        }
        session
            .post(&world.gateways, &message(8, "tools/list", json!({})))
            .await
            .expect(202);
        assert_eq!(session.events.message().await["id"], 8);
    }
}

profiles! {
    async fn what_names_no_request_ends_the_stream_so_that_nobody_waits(world: &World) {
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
            let session = LegacySession::open(&world.gateways, &world.account.token).await;
            session.post_text(&world.gateways, nonsense).await.expect(202);
            session.events.end().await;
        }
    }
}

profiles! {
    async fn a_closed_stream_takes_no_messages(world: &World) {
        let session = LegacySession::open(&world.gateways, &world.account.token).await;
        let endpoint = session.endpoint.clone();
        drop(session);
        eventually("the stream is known to be gone", async || {
            let request = world.gateways.post(&endpoint, &message(1, "tools/list", json!({})));
            (request.bearer_auth(&world.account.token).reply().await.status == 404).then_some(())
        })
        .await;
    }
}

profiles! {
    async fn web_pages_of_other_hosts_do_not_reach_mcp(world: &World) {
        for path in ["/mcp", "/mcp-legacy", "/sse"] {
            let ask = |name: &'static str, value: &'static str| {
                world
                    .gateways
                    .get(path)
                    .bearer_auth(&world.account.token)
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
                assert_eq!(ask("host", host).await.status, 403, "{path} {host}");
            }
            for origin in ["http://evil.example", "null", "http://localhost.evil.example:80"] {
                assert_eq!(ask("origin", origin).await.status, 403, "{path} {origin}");
            }
        }
        for (name, value) in [
            ("host", "localhost:1234"),
            ("origin", "http://localhost:6274"),
            ("host", "[::1]:80"),
        ] {
            let request = world
                .gateways
                .get("/sse")
                .bearer_auth(&world.account.token)
                .header(name, value);
            EventStream::open(request).await;
        }
    }
}

profiles! {
    with [("WEBHOOK_BASE_URL", "https://bd.example.com"), ("ALLOWED_HOSTS", "gateway.internal")];
    async fn hosts_that_the_operator_names_reach_mcp(world: &World) {
        // The public address is not where this test finds the gateways.
        for host in ["bd.example.com", "gateway.internal:3100", "BD.example.com"] {
            let request = world
                .gateways
                .get("/sse")
                .bearer_auth(&world.account.token)
                .header("host", host);
            EventStream::open(request).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn push_streams_stay_open_until_the_gateway_stops() {
    let world = World::embedded(&[]).await;
    let session = HttpSession::open(&world.gateways, "/mcp", &world.account.token).await;
    let push = session.push_stream(&world.gateways).await;
    let legacy = LegacySession::open(&world.gateways, &world.account.token).await;
    for _ in 0..3 {
        session.call(&world.gateways, "tools/list", json!({})).await;
    }
    tokio::join!(world.end(), push.end(), legacy.events.end());
}

/// A client whose answer broke off with its gateway asks another one, and is told at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_off_request_is_told_to_come_again_servers() {
    let world = World::servers(&[]).await;
    let session = HttpSession::open(&world.gateways, "/mcp", &world.account.token).await;
    // What is answered at once has no beginning that could be left without an end.
    let slow = json!({ "name": "comms_wait_events", "arguments": { "timeoutMs": 1000 } });
    let reply = session
        .post(&world.gateways.only(0), &message(41, "tools/call", slow))
        .await;
    let primed = reply
        .text
        .lines()
        .find_map(|line| line.strip_prefix("id:"))
        .expect("an event id")
        .trim()
        .to_owned();
    let resumed = session
        .request(&world.gateways.only(1), Method::GET)
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
    world.end().await;
}
