//! Authentication as a layer: every request behind it has a verified caller. It must never let a request pass without one.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use axum::{
    extract::{ConnectInfo, Request, State},
    middleware::Next,
    response::Response,
};
use butt_dial_domain::{Failure, Principal};
use butt_dial_identity::{Caller, Guard, Origin, wrong_scope};
use butt_dial_runtime::{
    Platform,
    http::{RequestId, TrustedProxies, bearer, failure},
};

/// Verifies bearer tokens. Cheap to clone.
#[derive(Clone)]
pub struct AuthLayer {
    guard: Arc<Guard>,
    proxies: TrustedProxies,
    accepts_query_token: bool,
}

/// The token of a request that has it in its query string.
#[derive(Clone)]
pub struct QueryToken(pub String);

impl AuthLayer {
    pub fn new(platform: &Platform) -> Self {
        Self {
            guard: platform.product.guard.clone(),
            proxies: platform.proxies.clone(),
            accepts_query_token: false,
        }
    }

    /// Accepts the token as query parameter `token` as well, where a client can't send headers. URLs are often logged by
    /// others.
    pub fn with_query_token(self, accepts_query_token: bool) -> Self {
        Self {
            accepts_query_token,
            ..self
        }
    }

    /// Returns the token of the query string, if there is no header with one, and if it is accepted there.
    pub fn query_token(&self, request: &Request) -> Option<QueryToken> {
        let query = request.uri().query().filter(|_| self.accepts_query_token)?;
        if bearer(request.headers()).is_some() {
            return None;
        }
        let (_, token) = url::form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "token")?;
        Some(QueryToken(token.into_owned()))
    }

    /// Returns where the request comes from, for the audit entries of what it changes.
    pub fn origin(&self, request: &Request) -> Origin {
        let extensions = request.extensions();
        let peer = extensions
            .get::<ConnectInfo<SocketAddr>>()
            .map(|connected| connected.0.ip());
        let client = peer.and_then(|peer| self.proxies.client_address(peer, request.headers()).ok());
        let id = extensions.get::<RequestId>().map(|id| id.0.clone());
        self.guard.origin(client, id)
    }

    /// Authenticates the caller. Reads the request before it waits, because a body can't be shared between threads.
    fn authenticate(&self, request: &Request) -> impl Future<Output = Result<Arc<Caller>, Failure>> + Send + use<> {
        let peer = request
            .extensions()
            .get::<ConnectInfo<SocketAddr>>()
            .map(|connected| connected.0.ip());
        let peer = peer.map(|peer| self.proxies.client_address(peer, request.headers()));
        let token = bearer(request.headers()).or_else(|| self.query_token(request).map(|token| token.0));
        let guard = self.guard.clone();
        async move {
            let peer = peer.ok_or_else(Failure::internal)??;
            let caller = guard.authenticate(token.as_deref(), peer).await?;
            name_caller(&caller);
            Ok(caller)
        }
    }

    /// Recognizes the caller of an open route. A bearer that is no token is no failure: the route may read another secret.
    fn recognize(
        &self,
        request: &Request,
    ) -> impl Future<Output = Result<(Arc<Caller>, IpAddr), Failure>> + Send + use<> {
        let peer = request
            .extensions()
            .get::<ConnectInfo<SocketAddr>>()
            .map(|connected| connected.0.ip());
        let peer = peer.map(|peer| self.proxies.client_address(peer, request.headers()));
        let (token, guard) = (bearer(request.headers()), self.guard.clone());
        async move {
            let peer = peer.ok_or_else(Failure::internal)??;
            let caller = guard.recognize(token.as_deref(), peer).await?;
            if let Some(caller) = &caller {
                name_caller(caller);
            }
            Ok((caller.unwrap_or_else(|| Arc::new(Caller::anonymous())), peer))
        }
    }

    /// Authenticates an agent. Refuses any other caller: the MCP transports serve only agents.
    pub fn agent(&self, request: &Request) -> impl Future<Output = Result<Arc<Caller>, Failure>> + Send + use<> {
        let authenticating = self.authenticate(request);
        async move {
            let caller = authenticating.await?;
            match caller.agent() {
                Ok(_) => Ok(caller),
                Err(_) => Err(wrong_scope(
                    "MCP requires an agent's token; this token belongs to no agent",
                )),
            }
        }
    }
}

/// Names the caller in the log lines and the trace of the request. Both fields are recorded at once: the logger formats all fields
/// of the span again each time.
fn name_caller(caller: &Caller) {
    let Principal { agent, org, .. } = &caller.principal;
    tracing::record_all!(
        tracing::Span::current(),
        agent = agent.as_ref().map(display),
        org = org.as_ref().map(display)
    );
}

/// The address of a client, for the limits of open routes.
#[derive(Clone, Copy)]
pub struct ClientAddress(pub IpAddr);

/// Admits every caller, without a token as well.
pub async fn anyone(State(auth): State<AuthLayer>, mut request: Request, next: Next) -> Response {
    match auth.recognize(&request).await {
        Ok((caller, client)) => {
            let origin = auth.origin(&request);
            request.extensions_mut().insert(origin);
            request.extensions_mut().insert(caller);
            request.extensions_mut().insert(ClientAddress(client));
            next.run(request).await
        }
        Err(reason) => failure(&reason),
    }
}

/// Admits every verified caller.
pub async fn any_caller(State(auth): State<AuthLayer>, mut request: Request, next: Next) -> Response {
    match auth.authenticate(&request).await {
        Ok(caller) => {
            let origin = auth.origin(&request);
            request.extensions_mut().insert(origin);
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(reason) => failure(&reason),
    }
}
