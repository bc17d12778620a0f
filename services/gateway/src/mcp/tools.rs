//! Operations as MCP tools: their definitions, and calls of them.

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
    model::{CallToolResult, ContentBlock, Extensions, JsonObject, Tool, ToolAnnotations},
};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::{
    client_ref::{ClientRef, ClientStates},
    event_stream::error_of,
};

/// Returns every operation that is a tool, with its definition.
pub fn all() -> Vec<(&'static Definition, Tool)> {
    let tools = operations::all().iter();
    tools
        .filter_map(|definition| Some((definition, tool(definition)?)))
        .collect()
}

fn tool(definition: &Definition) -> Option<Tool> {
    let hints = definition.hints?;
    let mut tool = Tool::new(
        definition.name,
        definition.description,
        Arc::new(definition.tool_schema.clone()),
    );
    tool.title = Some(definition.title.to_owned());
    // Every value that is the default costs the client's model tokens.
    let annotations = ToolAnnotations::new().read_only(hints.read_only);
    let annotations = match hints.read_only {
        true => annotations,
        false => annotations.destructive(false),
    };
    let annotations = match hints.idempotent && !hints.read_only {
        true => annotations.idempotent(true),
        false => annotations,
    };
    tool.annotations = Some(match hints.open_world {
        true => annotations,
        false => annotations.open_world(false),
    });
    // No outputSchema: with one, clients throw unless every result carries structuredContent.
    Some(tool)
}

/// A call of an existing tool by an authenticated caller.
pub struct ToolCall {
    pub definition: &'static Definition,
    pub operation: Context,
    client: ClientRef,
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
        tool_result(result)
    }
}

pub fn tool_result(result: Result<String, Failure>) -> CallToolResult {
    match result {
        Ok(text) => CallToolResult::success(vec![ContentBlock::text(text)]),
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
