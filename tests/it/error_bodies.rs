//! The bodies of error responses over HTTP: every one is an envelope with a code, and none quotes Rust types or a parser.

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::support::{Gateways, HttpSession, RequestExt as _};

/// Phrases of serde and names of Rust types.
const INTERNAL_PHRASES: [&str; 10] = [
    "untagged",
    "variant",
    "deserialize",
    "expected value",
    "at line",
    "u32",
    "i64",
    "a sequence",
    "struct ",
    "invalid type",
];

const JSON: (&str, &str) = ("content-type", "application/json");
const ACCEPT: (&str, &str) = ("accept", "application/json, text/event-stream");
const SEND: &str = "/api/v1/send-message";

struct Case {
    method: Method,
    path: &'static str,
    headers: &'static [(&'static str, &'static str)],
    body: &'static str,
    status: u16,
    code: &'static str,
}

fn case(method: Method, path: &'static str, status: u16, code: &'static str) -> Case {
    Case {
        method,
        path,
        headers: &[],
        body: "",
        status,
        code,
    }
}

impl Case {
    fn body(mut self, body: &'static str) -> Self {
        self.body = body;
        self
    }

    fn headers(mut self, headers: &'static [(&'static str, &'static str)]) -> Self {
        self.headers = headers;
        self
    }

    fn request(&self, gateways: &Gateways) -> RequestBuilder {
        let request = gateways.request(self.method.clone(), self.path);
        let request = self
            .headers
            .iter()
            .fold(request, |request, (name, value)| request.header(*name, *value));
        request.body(self.body)
    }
}

fn routing_cases() -> Vec<Case> {
    vec![
        case(Method::GET, "/nothing", 404, "NOT_FOUND"),
        case(Method::GET, "/api/v1/nothing", 404, "NOT_FOUND"),
        case(Method::DELETE, "/api/v1/usage", 405, "METHOD_NOT_ALLOWED"),
        case(Method::DELETE, "/sse", 405, "METHOD_NOT_ALLOWED"),
        case(Method::GET, "/messages", 405, "METHOD_NOT_ALLOWED"),
        case(Method::POST, "/media/x", 405, "METHOD_NOT_ALLOWED"),
        case(Method::PUT, "/mcp", 405, "METHOD_NOT_ALLOWED"),
        case(Method::GET, "/media/x", 404, "NOT_FOUND"),
    ]
}

fn rest_cases() -> Vec<Case> {
    vec![
        case(Method::POST, SEND, 400, "INVALID_ARGUMENT").body("{"),
        case(Method::POST, SEND, 400, "INVALID_ARGUMENT").body("[]"),
        case(Method::POST, SEND, 400, "MISSING_FIELDS").body("{}"),
        case(Method::POST, SEND, 400, "INVALID_ARGUMENT").body(r#"{"to":1}"#),
        case(Method::POST, SEND, 400, "INVALID_ARGUMENT").body(r#"{"to":"+14155550123","media":7}"#),
        case(Method::POST, SEND, 400, "INVALID_ARGUMENT").body(r#"{"to":"+14155550123","scheduledAt":"soon"}"#),
        case(Method::POST, SEND, 400, "INVALID_ARGUMENT").body(r#"{"to":"+14155550123","channel":"fax"}"#),
        case(Method::GET, "/api/v1/agents/%FF", 400, "INVALID_ARGUMENT"),
        case(Method::GET, "/api/v1/usage?period=%FF", 400, "INVALID_ARGUMENT"),
        case(
            Method::GET,
            "/api/v1/waiting-messages?limit=many",
            400,
            "INVALID_ARGUMENT",
        ),
        case(Method::POST, "/api/v1/calls/x/reply", 400, "INVALID_ARGUMENT").body(r#"{"turnId":[],"text":"Hi"}"#),
        case(Method::GET, "/api/v1/messages/msg_0", 404, "MESSAGE_NOT_FOUND"),
        case(Method::GET, "/api/v1/calls/call_0", 404, "CALL_NOT_FOUND"),
    ]
}

fn mcp_cases() -> Vec<Case> {
    vec![
        case(Method::POST, "/mcp", 415, "UNSUPPORTED_MEDIA_TYPE").headers(&[("content-type", "text/plain"), ACCEPT]),
        case(Method::POST, "/mcp", 406, "NOT_ACCEPTABLE").headers(&[JSON, ("accept", "text/html")]),
        case(Method::POST, "/mcp", 404, "NOT_FOUND")
            .headers(&[JSON, ACCEPT, ("mcp-session-id", "x")])
            .body("{}"),
        case(Method::POST, "/messages", 400, "MISSING_FIELDS")
            .headers(&[JSON])
            .body("{}"),
        case(Method::POST, "/messages?sessionId=x", 404, "NOT_FOUND")
            .headers(&[JSON])
            .body("{}"),
    ]
}

profiles! {
    async fn every_error_body_has_a_code(cluster: &Cluster) {
        for case in [routing_cases(), rest_cases(), mcp_cases()].into_iter().flatten() {
            let request = case.request(&cluster.gateways).bearer_auth(&cluster.account.token);
            let reply = request.reply().await;
            let name = format!("{} {} {}: {}", case.method, case.path, case.body, reply.text);
            assert_eq!((reply.status, &reply.body["code"]), (case.status, &json!(case.code)), "{name}");
            assert!(reply.body["error"].as_str().is_some_and(|text| !text.is_empty()), "{name}");
            assert!(reply.body["retryable"].is_boolean(), "{name}");
            let phrase = INTERNAL_PHRASES.iter().find(|phrase| reply.text.contains(**phrase));
            assert_eq!(phrase, None, "{name}");
        }
    }
}

profiles! {
    async fn requests_without_token_get_a_code(cluster: &Cluster) {
        for path in ["/mcp", "/sse", "/api/v1/usage"] {
            let reply = cluster.gateways.get(path).reply().await;
            let code = &reply.body["code"];
            assert_eq!((reply.status, code), (401, &json!("AUTH_MISSING_HEADER")), "{path}: {}", reply.text);
        }
    }
}

profiles! {
    async fn bodies_that_are_too_large_get_a_code(cluster: &Cluster) {
        let body = "x".repeat(5 * 1024 * 1024);
        for path in ["/mcp", SEND] {
            let request = cluster.gateways.request(Method::POST, path).bearer_auth(&cluster.account.token);
            let request = request.header(JSON.0, JSON.1).header(ACCEPT.0, ACCEPT.1);
            let reply = request.body(body.clone()).reply().await;
            let code = &reply.body["code"];
            assert_eq!((reply.status, code), (413, &json!("PAYLOAD_TOO_LARGE")), "{path}: {}", reply.text);
        }
    }
}

profiles! {
    async fn mcp_errors_carry_the_envelope_as_data(cluster: &Cluster) {
        let session = HttpSession::open(&cluster.gateways, "/mcp", &cluster.account.token).await;
        let call = async |params| session.call(&cluster.gateways, "tools/call", params).await;
        let unknown = call(json!({ "name": "nothing" })).await;
        assert_eq!(unknown["error"]["data"]["code"], "NOT_FOUND", "{unknown}");
        let refused = call(json!({ "name": "comms_list_events", "arguments": { "cursor": [] } })).await;
        let text = refused["result"]["content"][0]["text"].as_str().unwrap_or_default();
        let envelope: Value = serde_json::from_str(text).unwrap();
        assert_eq!(
            (&envelope["code"], &envelope["error"]),
            (&json!("INVALID_ARGUMENT"), &json!("cursor must be text or a whole number"))
        );
    }
}

profiles! {
    async fn every_response_has_security_headers(cluster: &Cluster) {
        for (path, policy, is_stored) in [
            ("/docs/index.html", "default-src 'self'", true),
            ("/openapi.json", "default-src 'none'", false),
            ("/api/v1/agents", "default-src 'none'", false),
            ("/no/such/path", "default-src 'none'", false),
        ] {
            let reply = cluster.gateways.get(path).reply().await;
            assert_eq!(reply.header("x-content-type-options"), Some("nosniff"), "{path}");
            assert_eq!(reply.header("x-frame-options"), Some("DENY"), "{path}");
            assert_eq!(reply.header("referrer-policy"), Some("no-referrer"), "{path}");
            assert!(reply.header("content-security-policy").unwrap().starts_with(policy), "{path}");
            assert_eq!(reply.header("cache-control") != Some("no-store"), is_stored, "{path}");
        }
    }
}
