//! The tools: the operations as MCP shows them, and how one is called.

use std::sync::Arc;

use butt_dial_comms::{Comms, identity::Caller};
use butt_dial_domain::{Failure, Scope};
use futures::FutureExt;
use http::request::Parts;
use rmcp::{
    ErrorData,
    model::{CallToolResult, ContentBlock, Extensions, JsonObject, Tool, ToolAnnotations},
};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::{
    audience::{Audience, Audiences},
    connection::Change,
};
use crate::operations::{self, After, Call, Context, Definition, Progress};

/// Every operation that is a tool, with the scope that it needs.
pub fn all() -> Vec<(Scope, Tool)> {
    let tools = operations::all().iter();
    tools
        .filter_map(|definition| Some((definition.scope, tool(definition)?)))
        .collect()
}

fn tool(definition: &Definition) -> Option<Tool> {
    let hints = definition.hints?;
    let mut tool = Tool::new(
        definition.name,
        definition.description,
        Arc::new(definition.input_schema.clone()),
    );
    tool.title = Some(definition.title.to_owned());
    tool.annotations = Some(
        ToolAnnotations::new()
            .read_only(hints.read_only)
            .idempotent(hints.idempotent)
            .open_world(hints.open_world)
            .destructive(false),
    );
    // No outputSchema: with one, clients throw unless every result carries structuredContent.
    Some(tool)
}

/// A call of a tool that is there, by a caller who is known.
pub struct ToolCall {
    pub definition: &'static Definition,
    pub operation: Context,
    audience: Audience,
    span: tracing::Span,
}

impl ToolCall {
    /// `extensions` are the request's; `gone` is cancelled when nobody waits for the answer any more.
    pub async fn begin(
        comms: &Comms,
        audiences: &Audiences,
        name: &str,
        extensions: &Extensions,
        gone: CancellationToken,
        progress: Option<Progress>,
    ) -> Result<Self, ErrorData> {
        let caller = caller(extensions)?;
        let audience = audience(extensions);
        audiences.note(&audience, Change::UsesTools).await;
        let definition = operations::find_tool(name)
            .ok_or_else(|| ErrorData::invalid_params(format!("there is no tool {}", shortened(name)), None))?;
        let (streams, agent) = (audiences.streams.clone(), caller.principal.agent.clone());
        let revoked = move || match &agent {
            Some(agent) => streams.revoked(agent).boxed(),
            None => std::future::pending().boxed(),
        };
        let after = extensions
            .get::<Parts>()
            .and_then(|parts| parts.extensions.get::<After>());
        let call = Call {
            gone,
            revoked: Arc::new(revoked),
            draining: audiences.streams.draining().clone(),
            progress,
            after: after.cloned().unwrap_or_default(),
        };
        Ok(Self {
            definition,
            span: tracing::debug_span!(parent: &span(extensions), "tool", tool = definition.name),
            operation: Context {
                comms: comms.clone(),
                caller,
                call,
            },
            audience,
        })
    }

    pub fn span(&self) -> tracing::Span {
        self.span.clone()
    }

    /// A known tool never answers with a JSON-RPC error: the Python client would repeat the call.
    pub async fn run(self, audiences: &Audiences, arguments: Option<JsonObject>) -> CallToolResult {
        let after = self.operation.call.after.clone();
        let result = self
            .definition
            .run(self.operation, arguments.unwrap_or_default())
            .instrument(self.span)
            .await;
        if let Some(yes) = after.take_subscribed() {
            audiences.note(&self.audience, Change::Subscribed(yes)).await;
        }
        answer(result)
    }
}

pub fn answer(result: Result<String, Failure>) -> CallToolResult {
    match result {
        Ok(text) => CallToolResult::success(vec![ContentBlock::text(text)]),
        Err(failure) => CallToolResult::error(vec![ContentBlock::text(failure.envelope().to_string())]),
    }
}

/// The guard put the caller into the HTTP request, rmcp hands that on.
pub fn caller(extensions: &Extensions) -> Result<Arc<Caller>, ErrorData> {
    let caller = extensions
        .get::<Parts>()
        .and_then(|parts| parts.extensions.get::<Arc<Caller>>());
    caller.cloned().ok_or_else(|| {
        tracing::error!("a request came past the auth guard");
        ErrorData::internal_error("no caller", None)
    })
}

/// Where the request came from.
pub fn audience(extensions: &Extensions) -> Audience {
    extensions.get::<Parts>().map_or(Audience::Nobody, Audience::of)
}

pub fn span(extensions: &Extensions) -> tracing::Span {
    let span = extensions
        .get::<Parts>()
        .and_then(|parts| parts.extensions.get::<tracing::Span>());
    span.cloned().unwrap_or_else(tracing::Span::none)
}

pub fn shortened(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(64).collect()
}
