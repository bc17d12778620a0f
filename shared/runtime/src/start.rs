//! Starting a process: platform, roles, one socket for all of them; and its end.

use std::net::SocketAddr;

use axum::{Router, middleware::from_fn_with_state};
use futures::{FutureExt, future::LocalBoxFuture};

use crate::{Config, Lifecycle, Platform, Role, health, http, platform::StartError};

/// A program that serves.
pub struct Running {
    pub platform: Platform,
    pub address: SocketAddr,
}

/// A program that is assembled and holds its socket, but takes no request yet.
pub struct Prepared {
    pub platform: Platform,
    listening: http::Listening,
}

// These are boxed, so that they are compiled here once and not in every program that starts one.

pub fn prepare(config: Config) -> LocalBoxFuture<'static, Result<Prepared, StartError>> {
    let prepare = async move {
        let wanted = SocketAddr::new(config.host, config.port);
        let what = || format!("the port {wanted} (PORT, HOST)");
        let listening = http::listen(wanted)
            .await
            .map_err(|error| StartError::Io { what: what(), error })?;
        let platform = Platform::assemble(config, Lifecycle::new(), listening.address.port()).await?;
        Ok(Prepared { platform, listening })
    };
    prepare.boxed_local()
}

pub fn start(config: Config, roles: &[Role]) -> LocalBoxFuture<'_, Result<Running, StartError>> {
    async move { prepare(config).await?.serve(roles).await }.boxed_local()
}

impl Prepared {
    pub async fn serve(self, roles: &[Role]) -> Result<Running, StartError> {
        let Self { platform, listening } = self;
        let address = listening.address;
        let mut router = Router::new().merge(health::router(platform.clone()));
        for role in roles {
            router = router.merge((role.build)(platform.clone()).await?);
            tracing::info!(role = role.name, "role started");
        }
        let router = router.layer(from_fn_with_state(platform.telemetry.clone(), http::observe));
        listening.serve(router, &platform.lifecycle);
        tracing::info!(%address, replica = %platform.comms.replica, "serving");
        Ok(Running { platform, address })
    }
}

impl Running {
    /// The address by which agents reach it.
    pub fn base_url(&self) -> String {
        self.platform.config.base_url(self.address.port())
    }

    /// Serves until SIGTERM or Ctrl-C, then stops in good order. A second signal ends it at once.
    pub async fn until_signalled(self) -> bool {
        Lifecycle::signalled().await;
        tokio::select! {
            in_time = self.platform.stop() => in_time,
            () = Lifecycle::signalled() => {
                tracing::warn!("stopped at once, at the second signal");
                false
            }
        }
    }
}
