//! MCP's requests, answered: tools are the operations, seen and run by the caller's scope.

use std::{borrow::Cow, sync::Arc};

use butt_dial_comms::{Comms, delivery::log, identity::Caller};
use butt_dial_domain::{AgentId, Scope};
use futures::StreamExt;
use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CallToolRequest, CallToolRequestParams, CallToolResponse, CompleteRequestMethod, CompleteRequestParams,
        CompleteResult, CustomRequest, CustomResult, DiscoverResult, ErrorCode, Implementation,
        InitializeRequestParams, InitializeResult, JsonObject, ListPromptsRequestMethod, ListPromptsResult,
        ListResourceTemplatesResult, ListResourcesResult, ListToolsResult, PaginatedRequestParams, ProtocolVersion,
        ReadResourceRequestParams, ReadResourceResponse, ResourcesCapability, ServerCapabilities, ServerConfig,
        ServerResult, SubscribeRequestParams, SubscriptionFilter, Tool, UnsubscribeRequestParams,
    },
    service::{RequestContext, SubscriptionContext},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::Instrument;

use super::{
    attend,
    audience::{Audience, Audiences},
    connection::Change,
    events,
    resources::{self, INBOX},
    tools::{self, ToolCall, audience, caller, shortened, span},
};
use crate::operations::Progress;

/// The contract that clients check; the Python client's probe wants 1.x.
const CONTRACT: &str = "1.0.0";
const INSTRUCTIONS: &str = "Butt-Dial gives you a phone number for calls and texts, WhatsApp and an e-mail address of your own. Call comms_get_me \
    first: it says who you are and which channels you have. Send with comms_send_message and give every message an \
    idempotencyKey; a status of pending means that the outcome is being found out: ask comms_get_message_status. People \
    answer: wait for what they write, and for what becomes of your messages, with comms_wait_events, passing the cursor of \
    the last result; what came while you were away is in comms_get_waiting_messages. When somebody has written STOP you can't \
    write to them any more. Telephone calls: call with comms_make_call; to be reachable, keep comms_attend_call or \
    comms_wait_events waiting in a loop, or be a client that samples. What a caller says comes as a turn: answer it at once \
    with comms_call_reply (short sentences, no markup), which returns the next turn. When you are away, an answering machine \
    takes a message, which comes to you like any other.";

/// Cheap to clone: there is one a request.
#[derive(Clone)]
pub struct Handler {
    comms: Comms,
    audiences: Audiences,
    versions: &'static [ProtocolVersion],
    tools: Arc<Vec<(Scope, Tool)>>,
}

impl Handler {
    pub fn new(comms: Comms, audiences: Audiences, versions: &'static [ProtocolVersion]) -> Self {
        Self {
            comms,
            audiences,
            versions,
            tools: Arc::new(tools::all()),
        }
    }

    /// Of the program: they are waited for when it stops.
    pub fn tasks(&self) -> &TaskTracker {
        &self.comms.tasks
    }

    /// Calls a tool for a client whose request brings nothing that only rmcp knows what to do with.
    pub async fn call_plainly(
        &self,
        mut request: CallToolRequest,
        gone: CancellationToken,
    ) -> Result<ServerResult, ErrorData> {
        let extensions = std::mem::take(&mut request.extensions);
        let name = &request.params.name;
        let call = ToolCall::begin(&self.comms, &self.audiences, name, &extensions, gone, None).await?;
        let mut result = ServerResult::CallToolResult(call.run(&self.audiences, request.params.arguments).await);
        result.strip_result_type_for_legacy_peer();
        Ok(result)
    }

    async fn watch(&self, uri: &str, context: &RequestContext<RoleServer>, yes: bool) -> Result<(), ErrorData> {
        if uri != INBOX {
            return Err(resources::unknown(uri));
        }
        self.audiences
            .note(&audience(&context.extensions), Change::WatchesInbox(yes))
            .await;
        Ok(())
    }
}

fn agent(caller: &Caller) -> Result<AgentId, ErrorData> {
    let profile = caller.agent();
    profile
        .map(|profile| profile.agent.id.clone())
        .map_err(|failure| ErrorData::invalid_request(failure.message, None))
}

/// The revision of 2026-07-28, or a later one.
pub fn is_stateless(context: &RequestContext<RoleServer>) -> bool {
    let version = context.protocol_version();
    version.is_some_and(|version| version.as_str() >= ProtocolVersion::V_2026_07_28.as_str())
}

impl ServerHandler for Handler {
    fn get_info(&self) -> ServerConfig {
        let mut capabilities = ServerCapabilities::builder().enable_tools().build();
        // Events are pushed as log messages: clients take no other kind of notification without being asked.
        capabilities.logging = Some(JsonObject::default());
        let mut resources = ResourcesCapability::default();
        resources.subscribe = Some(true);
        capabilities.resources = Some(resources);
        ServerConfig::new(capabilities)
            .with_server_info(Implementation::new("butt-dial-mcp", CONTRACT))
            .with_instructions(INSTRUCTIONS)
    }

    fn supported_protocol_versions(&self) -> Cow<'static, [ProtocolVersion]> {
        Cow::Borrowed(self.versions)
    }

    async fn initialize(
        &self,
        request: InitializeRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<InitializeResult, ErrorData> {
        let result = self.negotiate_initialize(&request)?;
        let mut peer = request;
        peer.protocol_version = result.protocol_version.clone();
        context.peer.set_peer_info(peer);
        Ok(result)
    }

    /// The stateless revision has no log, and no setLevel.
    async fn discover(&self, _: RequestContext<RoleServer>) -> Result<DiscoverResult, ErrorData> {
        let mut info = self.get_info();
        info.capabilities.logging = None;
        if self.versions.contains(&ProtocolVersion::V_2026_07_28) {
            let events = (events::EXTENSION.to_owned(), JsonObject::default());
            info.capabilities.extensions = Some([events].into());
        }
        Ok(DiscoverResult::from_server_info(self.versions.to_vec(), info))
    }

    /// Whoever asks for the log at the level of our pushes wants what comes in.
    #[expect(deprecated, reason = "clients up to 2025-11-25 ask for it")]
    async fn set_level(
        &self,
        request: rmcp::model::SetLevelRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        use rmcp::model::LoggingLevel::{Debug, Info};
        let audience = audience(&context.extensions);
        if matches!(audience, Audience::Nobody) {
            return Err(ErrorData::method_not_found::<rmcp::model::SetLevelRequestMethod>());
        }
        if matches!(request.level, Debug | Info) {
            self.audiences.note(&audience, Change::Subscribed(true)).await;
        }
        Ok(())
    }

    /// All in one page: the Python client reads no second one.
    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let scope = caller(&context.extensions)?.principal.scope;
        self.audiences
            .note(&audience(&context.extensions), Change::UsesTools)
            .await;
        let tools = self
            .tools
            .iter()
            .filter(|(needed, _)| scope.allows(*needed))
            .map(|(_, tool)| tool.clone());
        Ok(ListToolsResult::with_all_items(tools.collect()))
    }

    /// What is not declared does not exist; rmcp would answer with empty lists.
    async fn list_prompts(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        Err(ErrorData::method_not_found::<ListPromptsRequestMethod>())
    }

    async fn list_resources(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        Ok(resources::list())
    }

    async fn list_resource_templates(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        Ok(resources::list_templates())
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let caller = caller(&context.extensions)?;
        let read = resources::read(&self.comms, &caller, &request.uri);
        read.instrument(span(&context.extensions))
            .await
            .map(ReadResourceResponse::from)
    }

    async fn subscribe(
        &self,
        request: SubscribeRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.watch(&request.uri, &context, true).await
    }

    async fn unsubscribe(
        &self,
        request: UnsubscribeRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.watch(&request.uri, &context, false).await
    }

    fn accepted_subscription_filter(&self, requested: &SubscriptionFilter) -> Option<SubscriptionFilter> {
        Some(resources::accepted(requested))
    }

    async fn listen(&self, subscription: SubscriptionContext) -> Result<(), ErrorData> {
        let context = subscription.request_context();
        let caller = caller(&context.extensions)?;
        let agent = agent(&caller)?;
        let streams = &self.audiences.streams;
        let news = log::subscribe(&self.comms, &agent).await;
        let mut news = news.map_err(|failure| ErrorData::internal_error(failure.message, None))?;
        let watches = subscription.accepted().resource_subscriptions.is_some();
        let revoked = streams.revoked(&agent);
        tokio::pin!(revoked);
        loop {
            tokio::select! {
                () = subscription.cancelled() => return Ok(()),
                () = streams.draining().cancelled() => return Ok(()),
                () = &mut revoked => return Ok(()),
                heard = news.next(), if watches => {
                    if heard.is_none() || subscription.sink().notify_resource_updated(INBOX).await.is_err() {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// The Events extension is the stateless revision's.
    async fn on_custom_request(
        &self,
        request: CustomRequest,
        context: RequestContext<RoleServer>,
    ) -> Result<CustomResult, ErrorData> {
        let unknown = || ErrorData::new(ErrorCode::METHOD_NOT_FOUND, shortened(&request.method), None);
        if !is_stateless(&context) {
            return Err(unknown());
        }
        let caller = caller(&context.extensions)?;
        let streams = &self.audiences.streams;
        let revoked = streams.revoked(&agent(&caller)?);
        let answer = events::answer(&self.comms, &caller, &request, &context, streams.draining(), revoked);
        answer
            .instrument(span(&context.extensions))
            .await
            .unwrap_or_else(|| Err(unknown()))
    }

    async fn complete(
        &self,
        _: CompleteRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<CompleteResult, ErrorData> {
        Err(ErrorData::method_not_found::<CompleteRequestMethod>())
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        self.tools
            .iter()
            .find(|(_, tool)| tool.name == name)
            .map(|(_, tool)| tool.clone())
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let progress = context.meta.get_progress_token().map(|token| Progress {
            peer: context.peer.clone(),
            token,
        });
        let (name, extensions, gone) = (&request.name, &context.extensions, context.ct.clone());
        let call = ToolCall::begin(&self.comms, &self.audiences, name, extensions, gone, progress).await?;
        if attend::is_wanted(call.definition, &context) {
            let span = call.span();
            return Ok(attend::attend(&call.operation, request).instrument(span).await);
        }
        Ok(call.run(&self.audiences, request.arguments).await.into())
    }
}
