//! Starts a process: platform, roles, one socket for all roles. Stops it on a signal.

use std::net::SocketAddr;

use axum::{Router, middleware::from_fn_with_state};
use futures::{FutureExt, future::LocalBoxFuture};

use crate::{Config, Lifecycle, Platform, Role, health, http, platform::StartError};

/// A process that serves requests.
pub struct Running {
    pub platform: Platform,
    pub address: SocketAddr,
}

/// An assembled process with a bound socket that serves no requests yet.
pub struct Prepared {
    pub platform: Platform,
    listener: http::HttpListener,
}

// The futures are boxed, so that they are compiled once here and not in every program that starts a process.

/// Binds the socket and assembles the platform.
pub fn prepare(config: Config) -> LocalBoxFuture<'static, Result<Prepared, StartError>> {
    let prepare = async move {
        let requested = SocketAddr::new(config.host, config.port);
        let resource = || format!("the port {requested} (PORT, HOST)");
        let listener = http::bind(requested).await.map_err(|error| StartError::Io {
            resource: resource(),
            error,
        })?;
        let platform = Platform::assemble(config, Lifecycle::new(), listener.address.port()).await?;
        Ok(Prepared { platform, listener })
    };
    prepare.boxed_local()
}

/// Prepares a process and serves the roles.
pub fn start(config: Config, roles: &[Role]) -> LocalBoxFuture<'_, Result<Running, StartError>> {
    async move { prepare(config).await?.serve(roles).await }.boxed_local()
}

impl Prepared {
    /// Builds the roles and serves them.
    pub async fn serve(self, roles: &[Role]) -> Result<Running, StartError> {
        let Self { platform, listener } = self;
        let address = listener.address;
        let mut router = Router::new().merge(health::router(platform.clone()));
        for role in roles {
            router = router.merge((role.build)(platform.clone()).await?);
            tracing::info!(role = role.name, "role started");
        }
        let router = router.layer(from_fn_with_state(platform.telemetry.clone(), http::observe));
        listener.serve(router, &platform.lifecycle);
        tracing::info!(%address, replica = %platform.replica, "serving");
        Ok(Running { platform, address })
    }
}

impl Running {
    /// Returns the base URL for agents.
    pub fn base_url(&self) -> String {
        self.platform.config.base_url(self.address.port())
    }

    /// Serves until SIGTERM or Ctrl-C, then shuts down gracefully. A second signal aborts the shutdown. Returns whether all
    /// tasks finished in time.
    pub async fn run_until_signal(self) -> bool {
        Lifecycle::termination_signal().await;
        tokio::select! {
            finished = self.platform.stop() => finished,
            () = Lifecycle::termination_signal() => {
                tracing::warn!("shutdown aborted by second signal");
                false
            }
        }
    }
}
