//! An agent: rmcp's own client over one of the MCP transports, or a REST client.

use butt_dial_operations as operations;
use reqwest::Method;
use rmcp::{
    RoleClient, ServiceExt as _,
    model::{CallToolRequestParams, ClientConfig},
    service::RunningService,
    transport::{StreamableHttpClientTransport, streamable_http_client::StreamableHttpClientTransportConfig},
};
use serde_json::{Map, Value};
use url::form_urlencoded;

use super::{Gateways, RequestExt, legacy_sse::LegacySse, round_robin::RoundRobin, within_timeout};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    Sse,
    StreamableHttp,
    Rest,
}

impl Transport {
    pub const ALL: [Self; 3] = [Self::Sse, Self::StreamableHttp, Self::Rest];
}

pub struct Agent(Connection);

enum Connection {
    Mcp(Box<RunningService<RoleClient, ClientConfig>>),
    Rest { gateways: Gateways, token: String },
}

impl Agent {
    pub async fn connect(gateways: &Gateways, token: &str, transport: Transport) -> Self {
        let client = ClientConfig::default();
        let connected = async {
            match transport {
                Transport::Sse => {
                    let sse = LegacySse::connect(gateways.clone(), token).await;
                    Connection::Mcp(Box::new(client.serve(sse).await.expect("a session over SSE")))
                }
                Transport::StreamableHttp => {
                    let config = StreamableHttpClientTransportConfig::with_uri("/mcp").auth_header(token);
                    let http = StreamableHttpClientTransport::with_client(RoundRobin(gateways.clone()), config);
                    Connection::Mcp(Box::new(client.serve(http).await.expect("a session over HTTP")))
                }
                Transport::Rest => Self::connect_rest(gateways, token).0,
            }
        };
        Self(within_timeout("connecting", connected).await)
    }

    /// Creates a REST client, which needs no connection.
    pub fn connect_rest(gateways: &Gateways, token: &str) -> Self {
        Self(Connection::Rest {
            gateways: gateways.clone(),
            token: token.to_owned(),
        })
    }

    /// Sends over REST to a gateway that may die meanwhile. Returns `None` when there is no answer.
    pub async fn try_send(&self, message: Value) -> Option<Value> {
        let Connection::Rest { gateways, token } = &self.0 else {
            panic!("supported over REST only");
        };
        let request = gateways.post("/api/v1/send-message", &message).bearer_auth(token);
        request.try_reply().await.map(|reply| reply.body)
    }

    /// Lists the names of the tools that this agent sees. REST has no such list.
    pub async fn tools(&self) -> Vec<String> {
        let Connection::Mcp(client) = &self.0 else {
            panic!("REST lists no tools");
        };
        let tools = within_timeout("tools/list", client.list_all_tools())
            .await
            .expect("tools");
        tools.into_iter().map(|tool| tool.name.into_owned()).collect()
    }

    /// Calls a tool. Returns the error envelope when the call is rejected; fails when there is no answer or an
    /// unreadable one.
    pub async fn call(&self, tool: &'static str, arguments: Value) -> Result<Value, Value> {
        let arguments = arguments.as_object().expect("arguments").clone();
        within_timeout(tool, async {
            match &self.0 {
                Connection::Mcp(client) => call_tool(client, tool, arguments).await,
                Connection::Rest { gateways, token } => call_route(gateways, token, tool, arguments).await,
            }
        })
        .await
    }

    pub async fn send(&self, message: Value) -> Result<Value, Value> {
        self.call("comms_send_message", message).await
    }

    pub async fn status_of(&self, id: &str) -> Result<Value, Value> {
        self.call("comms_get_message_status", serde_json::json!({ "externalId": id }))
            .await
    }

    /// Fetches and acknowledges all waiting messages of this agent.
    pub async fn poll_messages(&self) -> Vec<Value> {
        let page = self.call("comms_get_waiting_messages", serde_json::json!({})).await;
        page.expect("messages")["messages"].as_array().expect("a list").clone()
    }
}

async fn call_tool(
    client: &RunningService<RoleClient, ClientConfig>,
    tool: &'static str,
    arguments: Map<String, Value>,
) -> Result<Value, Value> {
    let request = CallToolRequestParams::new(tool).with_arguments(arguments);
    let result = client.call_tool(request).await.expect("a result and no JSON-RPC error");
    let text = result
        .content
        .first()
        .and_then(|content| content.as_text())
        .expect("a text first");
    let value: Value = serde_json::from_str(&text.text).expect("JSON in the text");
    if result.is_error == Some(true) {
        Err(value)
    } else {
        Ok(value)
    }
}

/// Calls the REST route of the tool, with the arguments where the route expects them.
async fn call_route(
    gateways: &Gateways,
    token: &str,
    tool: &str,
    mut arguments: Map<String, Value>,
) -> Result<Value, Value> {
    let route = operations::find_tool(tool)
        .and_then(|tool| tool.route)
        .expect("a route");
    let mut path = route.path.to_owned();
    for (name, value) in arguments.clone() {
        let placeholder = format!("{{{name}}}");
        if path.contains(&placeholder) {
            path = path.replace(&placeholder, value.as_str().expect("a text in the path"));
            arguments.remove(&name);
        }
    }
    let method: Method = route.method.parse().expect("a method");
    let request = if method == Method::GET {
        let mut query = form_urlencoded::Serializer::new(String::new());
        for (name, value) in &arguments {
            query.append_pair(name, value.as_str().unwrap_or(&value.to_string()));
        }
        gateways.request(method, &format!("{path}?{}", query.finish()))
    } else {
        gateways.request(method, &path).json(&arguments)
    };
    let request = request.bearer_auth(token);
    let reply = request.reply().await;
    if reply.status == route.status {
        Ok(reply.body)
    } else {
        Err(reply.body)
    }
}

/// Returns the code of an error. A REST rate limit has no `code`, because of the Python client, and reports it as
/// `reason`.
pub fn error_code(error: &Value) -> &str {
    error["code"].as_str().or(error["reason"].as_str()).expect("a code")
}
