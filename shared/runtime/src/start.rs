//! Starts a process: platform, roles, one socket for all roles, and one for metrics. Stops it on a signal.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{Router, middleware::from_fn_with_state};
use futures::{FutureExt, future::LocalBoxFuture};

use crate::{
    Backend, Config, Lifecycle, Platform, Role, health,
    http::{self, ConnectionLimits, HttpListener, Routes, TrustedProxies},
    platform::StartError,
    telemetry::MetricExporter,
};

/// The pause between two attempts to reach the backends.
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// The pause between two log lines of a process that waits.
const LOG_INTERVAL: Duration = Duration::from_secs(10);
/// A start that takes longer answers health checks meanwhile. A usual start answers none before it is complete.
const QUIET_START: Duration = Duration::from_secs(5);

/// A process that serves requests.
pub struct Running {
    pub platform: Platform,
    pub address: SocketAddr,
    pub metrics_address: Option<SocketAddr>,
}

/// An assembled process with bound sockets that serves no role yet.
pub struct Prepared {
    pub platform: Platform,
    door: Door,
}

/// The bound sockets. The one of the API is opened when the process is complete, or when its start takes long.
struct Door {
    /// `None`: it is open.
    listener: Option<HttpListener>,
    address: SocketAddr,
    metrics: Option<HttpListener>,
    routes: Routes,
    limits: ConnectionLimits,
    lifecycle: Lifecycle,
}

// The futures are boxed, so that they are compiled once here and not in every program that starts a process.

/// Binds the sockets and assembles the platform. Waits for backends that are not there yet.
pub fn prepare(config: Config) -> LocalBoxFuture<'static, Result<Prepared, StartError>> {
    let prepare = async move {
        let lifecycle = Lifecycle::new();
        let mut door = Door::bind(&config, &lifecycle).await?;
        let port = door.address.port();
        let platform = door
            .patiently(|| Platform::assemble(config.clone(), lifecycle.clone(), port))
            .await?;
        Ok(Prepared { platform, door })
    };
    prepare.boxed_local()
}

/// Prepares a process and serves the roles.
pub fn start(config: Config, roles: &[Role]) -> LocalBoxFuture<'_, Result<Running, StartError>> {
    async move { prepare(config).await?.serve(roles).await }.boxed_local()
}

impl Door {
    async fn bind(config: &Config, lifecycle: &Lifecycle) -> Result<Self, StartError> {
        let connections = http::raise_file_limit();
        let proxies = TrustedProxies::new(config.trusted_proxies.clone());
        let listener = bind(config, config.port, "PORT, HOST").await?;
        let metrics = match config.metrics_port {
            Some(port) => Some(bind(config, port, "METRICS_PORT, HOST").await?),
            None => None,
        };
        Ok(Self {
            address: listener.address,
            listener: Some(listener),
            metrics,
            routes: Routes::new(health::starting_router()),
            limits: ConnectionLimits::new(connections, config.connections_per_address, proxies),
            lifecycle: lifecycle.clone(),
        })
    }

    /// Repeats a step of the start until a backend that was not there has come. Errors of settings end the start.
    async fn patiently<T>(
        &mut self,
        mut step: impl FnMut() -> LocalBoxFuture<'static, Result<T, StartError>>,
    ) -> Result<T, StartError> {
        let mut logged_at: Option<Instant> = None;
        loop {
            let mut attempt = step();
            let done = match tokio::time::timeout(QUIET_START, &mut attempt).await {
                Ok(done) => done,
                Err(_) => {
                    tracing::info!("start takes long");
                    self.open();
                    attempt.await
                }
            };
            match done {
                Err(error) if error.may_pass() => {
                    if logged_at.is_none_or(|at| at.elapsed() >= LOG_INTERVAL) {
                        logged_at = Some(Instant::now());
                        tracing::warn!(%error, "backend not there yet");
                    }
                }
                done => return done,
            }
            self.open();
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }

    /// Accepts connections.
    fn open(&mut self) {
        if let Some(listener) = self.listener.take() {
            listener.serve(self.routes.clone(), self.limits.clone(), &self.lifecycle);
        }
    }
}

async fn bind(config: &Config, port: u16, settings: &str) -> Result<HttpListener, StartError> {
    let requested = SocketAddr::new(config.host, port);
    http::bind(requested).await.map_err(|error| StartError::Io {
        resource: format!("the port {requested} ({settings})"),
        error,
    })
}

impl Prepared {
    /// Builds the roles and serves them.
    pub async fn serve(self, roles: &[Role]) -> Result<Running, StartError> {
        let Self { platform, mut door } = self;
        let needed = Backend::ALL.iter().copied();
        let needed: Vec<Backend> = needed
            .filter(|backend| roles.iter().any(|role| role.needs.contains(backend)))
            .collect();
        let mut router = Router::new().merge(health::router(platform.clone(), &needed));
        for role in roles {
            let built = door.patiently(|| (role.build)(platform.clone()).boxed_local());
            router = router.merge(built.await?);
            platform.telemetry.process.set_role(role.name);
            tracing::info!(service = role.name, "role started");
        }
        health::watch_backends(&platform);
        export_metrics(&platform, roles)?;
        // The layer clones its state twice a request, and every metric has a counter of its clones that all threads share.
        let observe = from_fn_with_state(Arc::new(platform.telemetry.clone()), http::observe);
        let metrics_address = door.metrics.as_ref().map(|listener| listener.address);
        if let Some(listener) = door.metrics.take() {
            let routes = Routes::new(health::metrics_router(platform.clone()).layer(observe.clone()));
            listener.serve(routes, door.limits.clone(), &platform.lifecycle);
        }
        door.routes.replace(router.layer(observe));
        door.open();
        let address = door.address;
        match metrics_address {
            Some(metrics) => tracing::info!(%address, %metrics, replica = %platform.replica, "serving"),
            None => tracing::info!(%address, replica = %platform.replica, "serving"),
        }
        Ok(Running {
            platform,
            address,
            metrics_address,
        })
    }
}

/// Starts the export of metrics over OTLP, if it is set.
fn export_metrics(platform: &Platform, roles: &[Role]) -> Result<(), StartError> {
    let Some(endpoint) = platform.config.otlp.metrics.clone() else {
        return Ok(());
    };
    let role = match roles {
        [role] => role.name,
        _ => "serve",
    };
    let exporter = MetricExporter::new(endpoint, role, platform.clock.clone())?;
    let (observed, draining) = (platform.clone(), platform.lifecycle.draining().clone());
    platform
        .lifecycle
        .spawn(exporter.run(draining, move || health::gather(&observed)));
    Ok(())
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
