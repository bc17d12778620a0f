//! Restricted tokens of the account's agent, and requests of the stateless revision with them.

use serde_json::{Value, json};

use super::{Reply, RequestExt as _, TestContext, jsonrpc_response};

impl TestContext {
    /// Creates a token of the account's agent with these grants.
    pub async fn restricted_token(&self, grants: Value) -> String {
        let created = self.create_agent_token(json!({ "grants": grants })).await.expect(201);
        created["token"].as_str().expect("a token").to_owned()
    }

    /// Requests a further token of the account's agent.
    pub async fn create_agent_token(&self, body: Value) -> Reply {
        let path = format!("/api/v1/agents/{}/tokens", self.account.agent.host_id());
        let request = self.gateways.post(&path, &body);
        request.bearer_auth(&self.account.team_token).reply().await
    }

    /// Sends a request of the stateless revision, which carries all of its context. Returns the JSON-RPC response.
    pub async fn stateless(&self, token: &str, method: &str, mut params: Value) -> Value {
        const VERSION: &str = "2026-07-28";
        params["_meta"] = json!({
            "io.modelcontextprotocol/protocolVersion": VERSION,
            "io.modelcontextprotocol/clientInfo": { "name": "by-hand", "version": "1" },
            "io.modelcontextprotocol/clientCapabilities": {},
        });
        let name = params["name"].as_str().or(params["uri"].as_str()).map(str::to_owned);
        let message = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let request = self.gateways.post("/mcp", &message).bearer_auth(token);
        let request = request.header("accept", "application/json, text/event-stream");
        let request = request
            .header("mcp-protocol-version", VERSION)
            .header("mcp-method", method);
        let request = match name {
            Some(name) => request.header("mcp-name", name),
            None => request,
        };
        jsonrpc_response(&request.reply().await)
    }

    /// Calls a tool over the stateless revision. Returns the error envelope when the call is rejected.
    pub async fn stateless_call(&self, token: &str, tool: &str, arguments: Value) -> Result<Value, Value> {
        let params = json!({ "name": tool, "arguments": arguments });
        let response = self.stateless(token, "tools/call", params).await;
        let result = &response["result"];
        let text = result["content"][0]["text"].as_str();
        let value = serde_json::from_str(text.unwrap_or_else(|| panic!("{response}"))).expect("JSON in the text");
        match result["isError"] == true {
            true => Err(value),
            false => Ok(value),
        }
    }
}

/// Asserts that a restricted token was refused because of this part of its grants.
pub fn expect_not_granted(answer: Result<Value, Value>, part: &str, what: &str) {
    let refusal = answer.expect_err(what);
    assert_eq!(
        (refusal["code"].as_str(), refusal["grant"].as_str()),
        (Some("AUTH_FORBIDDEN"), Some(part)),
        "{what}: {refusal}"
    );
}
