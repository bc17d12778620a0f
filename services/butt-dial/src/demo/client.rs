//! An agent: the client of rmcp, over Streamable HTTP or SSE.

use std::time::Duration;

use rmcp::{
    RoleClient, ServiceExt,
    model::{CallToolRequestParams, ClientConfig},
    service::RunningService,
    transport::{StreamableHttpClientTransport, streamable_http_client::StreamableHttpClientTransportConfig},
};
use serde_json::{Map, Value, json};
use tokio::time::timeout;

use super::sse::SseTransport;

pub struct Agent {
    client: RunningService<RoleClient, ClientConfig>,
    transport: &'static str,
}

impl Agent {
    pub async fn connect_http(base: &str, token: &str) -> Result<Self, String> {
        let config = StreamableHttpClientTransportConfig::with_uri(format!("{base}/mcp")).auth_header(token);
        let client = ClientConfig::default()
            .serve(StreamableHttpClientTransport::from_config(config))
            .await;
        Ok(Self {
            client: client.map_err(|error| format!("Streamable HTTP: {error}"))?,
            transport: "Streamable HTTP",
        })
    }

    pub async fn connect_sse(base: &str, token: &str) -> Result<Self, String> {
        let client = ClientConfig::default()
            .serve(SseTransport::connect(base, token).await?)
            .await;
        Ok(Self {
            client: client.map_err(|error| format!("SSE: {error}"))?,
            transport: "SSE",
        })
    }

    pub fn transport(&self) -> &'static str {
        self.transport
    }

    pub async fn tools(&self) -> Result<usize, String> {
        Ok(self
            .client
            .list_all_tools()
            .await
            .map_err(|error| error.to_string())?
            .len())
    }

    /// Calls a tool and parses its JSON result. Fails if the tool returns an error.
    pub async fn call(&self, tool: &'static str, arguments: Map<String, Value>) -> Result<Value, String> {
        let request = CallToolRequestParams::new(tool).with_arguments(arguments);
        let result = self
            .client
            .call_tool(request)
            .await
            .map_err(|error| format!("{tool}: {error}"))?;
        let text = result
            .content
            .first()
            .and_then(|content| content.as_text())
            .map(|text| text.text.clone());
        let text = text.ok_or_else(|| format!("{tool}: the result is not text"))?;
        if result.is_error == Some(true) {
            return Err(format!("{tool}: {text}"));
        }
        serde_json::from_str(&text).map_err(|error| format!("{tool}: {error}"))
    }

    /// Polls the waiting messages until one matches. A message is readable shortly after it is durable.
    pub async fn wait_for_message(&self, matches: impl Fn(&Value) -> bool, limit: Duration) -> Result<Value, String> {
        let polling = async {
            loop {
                // Returns as soon as there is an event.
                let arguments = Map::from_iter([("timeoutMs".to_owned(), json!(2_000))]);
                self.call("comms_wait_events", arguments).await?;
                let waiting = self.call("comms_get_waiting_messages", Map::new()).await?;
                let messages = waiting["messages"].as_array().cloned().unwrap_or_default();
                if let Some(found) = messages.into_iter().find(&matches) {
                    return Ok(found);
                }
            }
        };
        let found = timeout(limit, polling).await;
        found.map_err(|_| "the expected message did not arrive in time".to_owned())?
    }

    pub async fn disconnect(self) {
        if let Err(error) = self.client.cancel().await {
            tracing::debug!(%error, "mcp client disconnect failed");
        }
    }
}
