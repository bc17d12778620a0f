//! The handler of MCP requests. Tools are the operations that the caller's scope and grants allow.

use std::{borrow::Cow, sync::Arc};

use butt_dial_domain::{AgentId, Code, Failure};
use butt_dial_identity::Caller;
use butt_dial_operations::{Product, Progress, granted};
use butt_dial_sessions::{ClientChange, INBOX_URI, Sessions};
use futures::StreamExt;
use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CallToolRequest, CallToolRequestParams, CallToolResponse, CustomRequest, CustomResult, DiscoverResult,
        ErrorCode, Extensions, Implementation, InitializeRequestParams, InitializeResult, JsonObject,
        ListResourceTemplatesResult, ListResourcesResult, ListToolsResult, PaginatedRequestParams, ProtocolVersion,
        ReadResourceRequestParams, ReadResourceResponse, ResourcesCapability, ServerCapabilities, ServerConfig,
        ServerResult, SubscribeRequestParams, SubscriptionFilter, Tool, UnsubscribeRequestParams,
    },
    service::{RequestContext, SubscriptionContext},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::Instrument;

use super::{
    attend_loop,
    client_ref::{ClientRef, ClientStates},
    event_stream::{self, EXTENSION, error_of},
    events,
    listing::Listing,
    protocol::is_stateless,
    resources,
    tools::{ToolCall, caller, client, shortened, span},
};

/// The version of the contract that clients check. The Python client's probe requires 1.x.
const CONTRACT_VERSION: &str = "1.0.0";
const INSTRUCTIONS: &str = "Butt-Dial gives you a phone number for calls and texts, a WhatsApp sender and an e-mail address. Call comms_get_me \
    first: it returns your identity and your channels. Send with comms_send_message and give every message an \
    idempotencyKey. A status of pending means that the outcome is not known yet: poll comms_get_message_status. Receive \
    replies and status changes with comms_wait_events, and pass the cursor of the last result. Events that arrived while you \
    were away are in comms_get_waiting_messages. You can't message a person who has sent STOP. Telephone calls: call with \
    comms_make_call. To be reachable, run comms_attend_call or comms_wait_events in a loop, or be a client that supports \
    sampling. A caller's speech arrives as a turn: answer it at once with comms_call_reply (short sentences, no markup), \
    which returns the next turn. While you are away, a voicemail takes messages, which you receive like any other. The list of \
    tools is brief; GET /openapi.json describes every argument and result.";

/// Cheap to clone: every request has one.
#[derive(Clone)]
pub struct Handler {
    product: Arc<Product>,
    sessions: Sessions,
    clients: ClientStates,
    versions: &'static [ProtocolVersion],
    listing: Arc<Listing>,
}

impl Handler {
    pub fn new(
        product: Arc<Product>,
        sessions: Sessions,
        clients: ClientStates,
        versions: &'static [ProtocolVersion],
        listing: Arc<Listing>,
    ) -> Self {
        Self {
            product,
            sessions,
            clients,
            versions,
            listing,
        }
    }

    /// Tasks that the process awaits when it stops.
    pub fn tasks(&self) -> &TaskTracker {
        self.sessions.streams.tasks()
    }

    /// Calls a tool for a request without metadata, which needs no service loop of rmcp.
    pub async fn call_plain_tool(
        &self,
        mut request: CallToolRequest,
        gone: CancellationToken,
    ) -> Result<ServerResult, ErrorData> {
        let extensions = std::mem::take(&mut request.extensions);
        let (name, arguments) = (&request.params.name, request.params.arguments);
        let call = self.prepare(name, &extensions, gone, None).await?;
        let mut result = ServerResult::CallToolResult(call.run(&self.clients, arguments).await);
        result.strip_result_type_for_legacy_peer();
        Ok(result)
    }

    async fn prepare(
        &self,
        name: &str,
        extensions: &Extensions,
        gone: CancellationToken,
        progress: Option<Progress>,
    ) -> Result<ToolCall, ErrorData> {
        let mut call = ToolCall::prepare(
            &self.product,
            &self.sessions,
            &self.clients,
            name,
            extensions,
            gone,
            progress,
        )
        .await?;
        call.is_structured = self.listing.has_output_schemas(extensions);
        Ok(call)
    }

    /// Subscribes the client to the inbox, or ends its subscription.
    async fn watch(&self, uri: &str, context: &RequestContext<RoleServer>, yes: bool) -> Result<(), ErrorData> {
        if uri != INBOX_URI {
            return Err(resources::not_found(uri));
        }
        granted::require_events(&*caller(&context.extensions)?).map_err(event_stream::forbidden)?;
        let client = client(&context.extensions);
        self.clients.update(&client, ClientChange::WatchesInbox(yes)).await;
        Ok(())
    }
}

fn agent(caller: &Caller) -> Result<AgentId, ErrorData> {
    let profile = caller.agent();
    profile
        .map(|profile| profile.agent.id.clone())
        .map_err(|failure| ErrorData::invalid_request(failure.message.clone(), Some(failure.envelope())))
}

impl ServerHandler for Handler {
    fn get_info(&self) -> ServerConfig {
        let mut capabilities = ServerCapabilities::builder().enable_tools().build();
        // Events are pushed as log messages: clients accept no other notification without a subscription.
        capabilities.logging = Some(JsonObject::default());
        let mut resources = ResourcesCapability::default();
        resources.subscribe = Some(true);
        capabilities.resources = Some(resources);
        ServerConfig::new(capabilities)
            .with_server_info(Implementation::new("butt-dial-mcp", CONTRACT_VERSION))
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

    /// The stateless revision has no log messages and no `logging/setLevel`.
    async fn discover(&self, _: RequestContext<RoleServer>) -> Result<DiscoverResult, ErrorData> {
        let mut info = self.get_info();
        info.capabilities.logging = None;
        if self.versions.contains(&ProtocolVersion::V_2026_07_28) {
            let events = (EXTENSION.to_owned(), JsonObject::default());
            info.capabilities.extensions = Some([events].into());
        }
        Ok(DiscoverResult::from_server_info(self.versions.to_vec(), info))
    }

    /// Subscribes a client that requests log messages at the level of pushed events.
    #[expect(deprecated, reason = "clients up to 2025-11-25 use it")]
    async fn set_level(
        &self,
        request: rmcp::model::SetLevelRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        use rmcp::model::LoggingLevel::{Debug, Info};
        let client = client(&context.extensions);
        if matches!(client, ClientRef::None) {
            return Err(ErrorData::method_not_found::<rmcp::model::SetLevelRequestMethod>());
        }
        if matches!(request.level, Debug | Info) {
            self.clients.update(&client, ClientChange::Subscribed(true)).await;
        }
        Ok(())
    }

    /// Returns all tools in one page: the Python client reads only the first.
    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let caller = caller(&context.extensions)?;
        let client = client(&context.extensions);
        self.clients.update(&client, ClientChange::UsesTools).await;
        let tools = self.listing.of(&caller, &context.extensions);
        Ok(ListToolsResult::with_all_items(tools))
    }

    async fn list_resources(
        &self,
        _: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        Ok(resources::list(&*caller(&context.extensions)?))
    }

    async fn list_resource_templates(
        &self,
        _: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        Ok(resources::list_templates(&*caller(&context.extensions)?))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let caller = caller(&context.extensions)?;
        let read = resources::read(&self.product, &caller, &request.uri);
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
        granted::require_events(&caller).map_err(event_stream::forbidden)?;
        let changes = self.product.delivery.subscribe_events(&agent).await;
        let mut changes = changes.map_err(|failure| error_of(&failure))?;
        let watches = subscription.accepted().resource_subscriptions.is_some();
        let revoked = self.sessions.revocations.wait_for(&agent);
        let draining = self.sessions.streams.draining();
        tokio::pin!(revoked);
        loop {
            tokio::select! {
                () = subscription.cancelled() => return Ok(()),
                () = draining.cancelled() => return Ok(()),
                () = &mut revoked => return Ok(()),
                change = changes.next(), if watches => {
                    if change.is_none() || subscription.sink().notify_resource_updated(INBOX_URI).await.is_err() {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Answers requests of the Events extension, which only the stateless revision has.
    async fn on_custom_request(
        &self,
        request: CustomRequest,
        context: RequestContext<RoleServer>,
    ) -> Result<CustomResult, ErrorData> {
        let unknown = || {
            let failure = Failure::new(Code::NotFound, shortened(&request.method));
            ErrorData::new(
                ErrorCode::METHOD_NOT_FOUND,
                failure.message.clone(),
                Some(failure.envelope()),
            )
        };
        if !is_stateless(&context) {
            return Err(unknown());
        }
        let caller = caller(&context.extensions)?;
        let draining = self.sessions.streams.draining();
        let revoked = self.sessions.revocations.wait_for(&agent(&caller)?);
        let result = events::answer(&self.product, &caller, &request, &context, draining, revoked);
        result
            .instrument(span(&context.extensions))
            .await
            .unwrap_or_else(|| Err(unknown()))
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        self.listing.find(name)
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
        let call = self.prepare(name, extensions, gone, progress).await?;
        if attend_loop::applies(call.definition, &context) {
            let span = call.span();
            return Ok(attend_loop::run(&call, request).instrument(span).await);
        }
        Ok(call.run(&self.clients, request.arguments).await.into())
    }
}
