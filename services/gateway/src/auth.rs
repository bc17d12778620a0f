//! The auth guard as a layer: behind it, every request has a verified caller.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    extract::{ConnectInfo, Request, State},
    middleware::Next,
    response::Response,
};
use butt_dial_comms::identity::{Caller, Guard, wrong_scope};
use butt_dial_domain::Failure;
use butt_dial_runtime::{
    Platform,
    http::{Proxies, bearer, failure},
};

/// What the layer needs of a platform.
#[derive(Clone)]
pub struct Door {
    guard: Arc<Guard>,
    proxies: Proxies,
}

impl Door {
    pub fn new(platform: &Platform) -> Self {
        Self {
            guard: platform.guard.clone(),
            proxies: platform.proxies.clone(),
        }
    }

    /// Reads what it needs before it waits: a body can't be shared with another thread meanwhile.
    fn enter(&self, request: &Request) -> impl Future<Output = Result<Arc<Caller>, Failure>> + Send + use<> {
        let peer = request
            .extensions()
            .get::<ConnectInfo<SocketAddr>>()
            .map(|connected| connected.0.ip());
        let peer = peer.map(|peer| self.proxies.client(peer, request.headers()));
        let token = bearer(request.headers()).map(str::to_owned);
        let guard = self.guard.clone();
        async move {
            guard
                .authenticate(token.as_deref(), peer.ok_or_else(Failure::internal)?)
                .await
        }
    }

    /// An agent: the MCP transports are for them alone.
    pub fn agent(&self, request: &Request) -> impl Future<Output = Result<Arc<Caller>, Failure>> + Send + use<> {
        let entering = self.enter(request);
        async move {
            let caller = entering.await?;
            match caller.agent() {
                Ok(_) => Ok(caller),
                Err(_) => Err(wrong_scope("MCP takes an agent's token; this one is not")),
            }
        }
    }
}

/// Lets verified callers of any kind in.
pub async fn any_caller(State(door): State<Door>, mut request: Request, next: Next) -> Response {
    match door.enter(&request).await {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(refusal) => failure(&refusal),
    }
}
