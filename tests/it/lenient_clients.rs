//! MCP clients as they are: headers and members that they leave out, browsers, proxies, and calls that they give up.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Cluster, EventStream, HttpSession, Reply, RequestExt as _, jsonrpc_response};

fn message(id: u64, method: &str, params: Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })
}

fn introduction() -> Value {
    let client = json!({ "name": "by-hand", "version": "1" });
    message(
        0,
        "initialize",
        json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client }),
    )
}

async fn post(cluster: &Cluster, path: &str, headers: &[(&str, &str)], body: String) -> Reply {
    let mut request = cluster
        .gateways
        .request(Method::POST, path)
        .bearer_auth(&cluster.account.token);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(body).reply().await
}

profiles! {
    async fn serves_any_acceptable_media_type(cluster: &Cluster) {
        const JSON: (&str, &str) = ("content-type", "application/json");
        for headers in [
            &[JSON, ("accept", "*/*")][..],
            &[JSON, ("accept", "application/*, text/*")],
            &[JSON, ("accept", "application/json")],
            &[JSON, ("accept", "text/event-stream")],
            &[JSON],
            &[],
        ] {
            let reply = post(cluster, "/mcp", headers, introduction().to_string()).await;
            assert_eq!(reply.status, 200, "{headers:?}: {}", reply.text);
            assert_eq!(jsonrpc_response(&reply)["result"]["serverInfo"]["name"], "butt-dial-mcp", "{headers:?}");
        }
        // A client of JSON only gets no stream, however long the call takes.
        let session = HttpSession::open(&cluster.gateways, "/mcp", &cluster.account.token).await;
        let wait = json!({ "name": "comms_wait_events", "arguments": { "timeoutMs": 300 } });
        let headers = [JSON, ("accept", "application/json"), ("mcp-session-id", session.id.as_str())];
        let reply = post(cluster, "/mcp", &headers, message(1, "tools/call", wait).to_string()).await;
        assert_eq!(reply.header("content-type"), Some("application/json"));
        assert!(reply.body["result"]["content"].is_array(), "{}", reply.text);
    }
}

profiles! {
    async fn invalid_messages_get_codes_of_json_rpc(cluster: &Cluster) {
        let headers = [("content-type", "application/json"), ("accept", "application/json, text/event-stream")];
        for (body, code) in [
            ("{nope", -32700),
            ("[]", -32600),
            (r#"{"id":1,"method":"ping"}"#, -32600),
            (r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":[]}"#, -32600),
        ] {
            let reply = post(cluster, "/mcp", &headers, body.to_owned()).await;
            assert_eq!((reply.status, &reply.body["error"]["code"]), (400, &json!(code)), "{body}: {}", reply.text);
        }
        let session = HttpSession::open(&cluster.gateways, "/mcp", &cluster.account.token).await;
        for (method, params) in [
            ("tools/call", json!({ "name": "comms_ping", "arguments": [] })),
            ("tools/call", json!({ "name": "comms_ping", "arguments": "{}" })),
            ("tools/call", json!({})),
            ("logging/setLevel", json!({ "level": "loud" })),
        ] {
            let answer = session.call(&cluster.gateways, method, params).await;
            assert_eq!(answer["error"]["code"], -32602, "{method}: {answer}");
        }
        let nothing = session.call(&cluster.gateways, "tools/call", json!({ "name": "comms_ping", "arguments": null })).await;
        assert!(nothing["result"]["content"].is_array(), "{nothing}");
    }
}

profiles! {
    async fn completes_introductions(cluster: &Cluster) {
        let headers = [("content-type", "application/json"), ("accept", "application/json, text/event-stream")];
        for body in [
            json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize" }),
            message(0, "initialize", json!({ "protocolVersion": "2025-06-18", "capabilities": null })),
        ] {
            let reply = post(cluster, "/mcp", &headers, body.to_string()).await;
            assert_eq!(reply.status, 200, "{}", reply.text);
            assert!(jsonrpc_response(&reply)["result"]["protocolVersion"].is_string(), "{}", reply.text);
        }
    }
}

profiles! {
    async fn paths_with_trailing_slash_are_served(cluster: &Cluster) {
        let headers = [("content-type", "application/json"), ("accept", "application/json, text/event-stream")];
        let reply = post(cluster, "/mcp/", &headers, introduction().to_string()).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        let request = cluster.gateways.get("/api/v1/agents/me/").bearer_auth(&cluster.account.token);
        request.reply().await.expect(200);
        let stream = cluster.gateways.get("/sse/").bearer_auth(&cluster.account.token);
        EventStream::open(stream).await;
    }
}

profiles! {
    with [("CORS_ALLOWED_ORIGINS", "https://app.example.com")];
    async fn browsers_may_call_from_allowed_origins(cluster: &Cluster) {
        for path in ["/mcp", "/sse", "/api/v1/send-message"] {
            for origin in ["http://localhost:6274", "https://app.example.com"] {
                let preflight = cluster.gateways.request(Method::OPTIONS, path).header("origin", origin);
                let preflight = preflight.header("access-control-request-method", "POST").header(
                    "access-control-request-headers",
                    "authorization,content-type,mcp-protocol-version,mcp-session-id",
                );
                let reply = preflight.reply().await;
                assert!(matches!(reply.status, 200 | 204), "{path} {origin}: {}", reply.status);
                assert_eq!(reply.header("access-control-allow-origin"), Some(origin), "{path}");
                let allowed = reply.header("access-control-allow-headers").unwrap();
                assert!(allowed.contains("mcp-session-id") && allowed.contains("authorization"), "{allowed}");
            }
        }
        let headers = |origin| [("content-type", "application/json"), ("origin", origin)];
        let reply = post(cluster, "/mcp", &headers("http://localhost:6274"), introduction().to_string()).await;
        assert_eq!((reply.status, reply.header("access-control-allow-origin")), (200, Some("http://localhost:6274")));
        assert!(reply.header("access-control-expose-headers").unwrap().contains("mcp-session-id"));
        let refused = post(cluster, "/mcp", &headers("https://evil.example"), introduction().to_string()).await;
        assert_eq!((refused.status, refused.header("access-control-allow-origin")), (403, None));
    }
}

/// Reads the path for messages from the first event of the legacy transport.
async fn endpoint(request: reqwest::RequestBuilder) -> String {
    let event = EventStream::open(request).await.next().await.expect("an event");
    assert_eq!(event.event.as_deref(), Some("endpoint"));
    event.data.expect("a path")
}

profiles! {
    with [("BASE_PATH", "/base")];
    async fn endpoint_has_the_path_of_the_proxy(cluster: &Cluster) {
        let sse = |path| cluster.gateways.get(path).bearer_auth(&cluster.account.token);
        assert!(endpoint(sse("/sse")).await.starts_with("/base/messages?"));
        assert!(endpoint(sse("/base/sse")).await.starts_with("/base/messages?"));
        let forwarded = endpoint(sse("/sse").header("x-forwarded-prefix", "/bd")).await;
        assert!(forwarded.starts_with("/bd/messages?"), "{forwarded}");
        let foreign = endpoint(sse("/sse").header("x-forwarded-prefix", "//evil.example")).await;
        assert!(foreign.starts_with("/base/messages?"), "{foreign}");
    }
}

profiles! {
    with [("ALLOW_QUERY_TOKEN", "true")];
    async fn query_token_opens_the_legacy_transport(cluster: &Cluster) {
        let token = &cluster.account.token;
        let path = endpoint(cluster.gateways.get(&format!("/sse?token={token}"))).await;
        assert!(path.contains(&format!("token={token}")), "the client posts with the same token");
        let wrong = cluster.gateways.get("/sse?token=wrong").reply().await;
        assert_eq!((wrong.status, &wrong.body["code"]), (401, &json!("AUTH_INVALID_TOKEN")));
        let rest = cluster.gateways.get(&format!("/api/v1/usage?token={token}")).reply().await;
        assert_eq!(rest.status, 401, "only MCP clients lack headers");
    }
}

profiles! {
    async fn query_token_is_refused_by_default(cluster: &Cluster) {
        let reply = cluster.gateways.get(&format!("/sse?token={}", cluster.account.token)).reply().await;
        assert_eq!((reply.status, &reply.body["code"]), (401, &json!("AUTH_MISSING_HEADER")));
    }
}

profiles! {
    async fn stateless_wait_responds_before_its_result(cluster: &Cluster) {
        let params = json!({
            "name": "comms_wait_events", "arguments": { "timeoutMs": 7_000 },
            "_meta": {
                "io.modelcontextprotocol/protocolVersion": "2026-07-28",
                "io.modelcontextprotocol/clientInfo": { "name": "by-hand", "version": "1" },
                "io.modelcontextprotocol/clientCapabilities": {},
            },
        });
        let request = cluster.gateways.request(Method::POST, "/mcp").bearer_auth(&cluster.account.token);
        let request = request.header("accept", "application/json, text/event-stream").header("mcp-protocol-version", "2026-07-28");
        let request = request.header("mcp-method", "tools/call").header("mcp-name", "comms_wait_events");
        let started = tokio::time::Instant::now();
        let response = request.json(&message(1, "tools/call", params)).send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert!(started.elapsed() < Duration::from_millis(6_500), "headers come before the result");
        let text = response.text().await.unwrap();
        assert!(text.contains(": waiting") && text.contains("\"result\""), "{text}");
    }
}

profiles! {
    async fn cancelled_wait_ends_on_any_gateway(cluster: &Cluster) {
        let session = HttpSession::open(&cluster.gateways, "/mcp", &cluster.account.token).await;
        let (first, last) = (cluster.gateways.only(0), cluster.gateways.only(cluster.gateways.count() - 1));
        let params = json!({ "name": "comms_wait_events", "arguments": { "timeoutMs": 30_000 } });
        let request = session.request(&first, Method::POST).json(&message(9, "tools/call", params));
        // The stream begins when the call has waited for a moment.
        let waiting = request.send().await.unwrap();
        let cancelled = json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": 9 } });
        session.post(&last, &cancelled).await.expect(202);
        // Without the cancellation, the stream stays open for 30 s.
        let rest = tokio::time::timeout(Duration::from_secs(10), waiting.text()).await.expect("the stream ends").unwrap();
        assert!(!rest.contains("\"result\""), "{rest}");
    }
}
