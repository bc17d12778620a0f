//! A session of Streamable HTTP, without a client library: each request goes to the gateway that the test names.

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use super::{EventStream, Gateways, Reply, RequestExt as _};

pub const REVISION: &str = "2025-11-25";

#[derive(Clone)]
pub struct HttpSession {
    pub id: String,
    path: &'static str,
    token: String,
}

impl HttpSession {
    /// Initializes a session, as revision 2025-11-25 specifies.
    pub async fn open(gateway: &Gateways, path: &'static str, token: &str) -> Self {
        Self::open_with(gateway, path, token, json!({})).await
    }

    /// Initializes a session of a client with these capabilities.
    pub async fn open_with(gateway: &Gateways, path: &'static str, token: &str, capabilities: Value) -> Self {
        let mut session = Self {
            id: String::new(),
            path,
            token: token.to_owned(),
        };
        let params = json!({
            "protocolVersion": REVISION, "capabilities": capabilities,
            "clientInfo": { "name": "by-hand", "version": "1" },
        });
        let message = json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params });
        let reply = session.post(gateway, &message).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        session.id = reply.header("mcp-session-id").expect("a session").to_owned();
        assert_eq!(jsonrpc_response(&reply)["result"]["protocolVersion"], REVISION);
        let initialized = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
        session.post(gateway, &initialized).await.expect(202);
        session
    }

    /// Returns the same session, used with another token.
    pub fn with_token(&self, token: &str) -> Self {
        Self {
            token: token.to_owned(),
            ..self.clone()
        }
    }

    pub fn request(&self, gateway: &Gateways, method: Method) -> RequestBuilder {
        let request = gateway.request(method, self.path).bearer_auth(&self.token);
        let request = request.header("accept", "application/json, text/event-stream");
        if self.id.is_empty() {
            return request;
        }
        request
            .header("mcp-session-id", &self.id)
            .header("mcp-protocol-version", REVISION)
    }

    pub async fn post(&self, gateway: &Gateways, message: &Value) -> Reply {
        self.request(gateway, Method::POST).json(message).reply().await
    }

    /// Sends a request and returns the JSON-RPC response.
    pub async fn call(&self, gateway: &Gateways, method: &str, params: Value) -> Value {
        let message = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let reply = self.post(gateway, &message).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        jsonrpc_response(&reply)
    }

    pub async fn push_stream(&self, gateway: &Gateways) -> EventStream {
        EventStream::open(self.request(gateway, Method::GET)).await
    }
}

/// Returns the JSON-RPC message of a response, from the JSON body or from the last event of a stream.
pub fn jsonrpc_response(reply: &Reply) -> Value {
    if !reply.body.is_null() {
        return reply.body.clone();
    }
    let events = reply.text.lines().filter_map(|line| line.strip_prefix("data:"));
    let mut messages = events.filter_map(|data| serde_json::from_str(data.trim()).ok());
    messages.next_back().expect("a message")
}
