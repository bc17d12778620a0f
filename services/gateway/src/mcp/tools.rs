//! Calls of operations as MCP tools.

use std::sync::Arc;

use butt_dial_domain::{Code, Failure};
use butt_dial_identity::{Caller, Origin};
use butt_dial_operations::{
    self as operations, Context, Definition, Interface, OnResponseSent, Product, Progress, RequestContext,
};
use butt_dial_sessions::{ClientChange, Sessions};
use http::request::Parts;
use rmcp::{
    ErrorData,
    model::{CallToolResult, ContentBlock, Extensions, JsonObject},
};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::{
    client_ref::{ClientRef, ClientStates},
    event_stream::error_of,
};

/// A call of an existing tool by an authenticated caller.
pub struct ToolCall {
    pub definition: &'static Definition,
    pub operation: Context,
    client: ClientRef,
    /// The result is also returned as structured content.
    pub is_structured: bool,
    span: tracing::Span,
}

impl ToolCall {
    /// Prepares a call. `gone` is cancelled when the client no longer waits for the response. Fails when there is no such
    /// tool.
    pub async fn prepare(
        product: &Arc<Product>,
        sessions: &Sessions,
        clients: &ClientStates,
        name: &str,
        extensions: &Extensions,
        gone: CancellationToken,
        progress: Option<Progress>,
    ) -> Result<Self, ErrorData> {
        let caller = caller(extensions)?;
        let client = client(extensions);
        clients.update(&client, ClientChange::UsesTools).await;
        let definition = operations::find_tool(name).ok_or_else(|| unknown_tool(name))?;
        let on_sent = extensions
            .get::<Parts>()
            .and_then(|parts| parts.extensions.get::<OnResponseSent>());
        let origin = extensions
            .get::<Parts>()
            .and_then(|parts| parts.extensions.get::<Origin>());
        let draining = sessions.streams.draining().clone();
        let request = RequestContext {
            gone,
            progress,
            on_sent: on_sent.cloned().unwrap_or_default(),
            origin: origin.cloned().unwrap_or_default(),
            ..RequestContext::new(
                Interface::Mcp,
                &caller,
                &sessions.revocations,
                &product.wait_slots,
                draining,
            )
        };
        Ok(Self {
            definition,
            span: tracing::debug_span!(
                parent: &span(extensions),
                "tool",
                otel.name = %format_args!("tools/call {}", definition.name),
                tool = definition.name
            ),
            operation: Context {
                product: product.clone(),
                caller,
                request,
            },
            client,
            is_structured: false,
        })
    }

    pub fn span(&self) -> tracing::Span {
        self.span.clone()
    }

    /// Runs the tool. A failure is a tool result and not a JSON-RPC error, which the Python client would retry.
    pub async fn run(self, clients: &ClientStates, arguments: Option<JsonObject>) -> CallToolResult {
        let on_sent = self.operation.request.on_sent.clone();
        let result = self
            .definition
            .run(self.operation, arguments.unwrap_or_default())
            .instrument(self.span)
            .await;
        if let Some(yes) = on_sent.take_subscribed() {
            clients.update(&self.client, ClientChange::Subscribed(yes)).await;
        }
        tool_result(result, self.is_structured)
    }
}

/// Returns the result of a tool. The text always comes first: clients of all revisions read it.
pub fn tool_result(result: Result<String, Failure>, is_structured: bool) -> CallToolResult {
    match result {
        Ok(text) => {
            let content = match is_structured {
                true => serde_json::from_str(&text).ok(),
                false => None,
            };
            let mut result = CallToolResult::success(vec![ContentBlock::text(text)]);
            result.structured_content = content;
            result
        }
        Err(failure) => CallToolResult::error(vec![ContentBlock::text(failure.envelope().to_string())]),
    }
}

fn unknown_tool(name: &str) -> ErrorData {
    let message = format!("there is no tool {}", shortened(name));
    let failure = Failure::new(Code::NotFound, message.clone()).hint("tools/list returns all tools");
    ErrorData::invalid_params(message, Some(failure.envelope()))
}

/// Returns the caller that the auth layer added to the HTTP request.
pub fn caller(extensions: &Extensions) -> Result<Arc<Caller>, ErrorData> {
    let caller = extensions
        .get::<Parts>()
        .and_then(|parts| parts.extensions.get::<Arc<Caller>>());
    caller.cloned().ok_or_else(|| {
        tracing::error!("request without authenticated caller");
        error_of(&Failure::internal())
    })
}

/// Returns the client that sent the request.
pub fn client(extensions: &Extensions) -> ClientRef {
    extensions.get::<Parts>().map_or(ClientRef::None, ClientRef::of)
}

pub fn span(extensions: &Extensions) -> tracing::Span {
    let span = extensions
        .get::<Parts>()
        .and_then(|parts| parts.extensions.get::<tracing::Span>());
    span.cloned().unwrap_or_else(tracing::Span::none)
}

/// Returns a name that a client sent, safe for texts: without control characters, at most 64 characters.
pub fn shortened(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(64).collect()
}
