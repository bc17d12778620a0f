//! Assembles a process from its settings: connected backends, carriers and the product. Every service is built from a
//! platform; no other place connects to a backend.

mod accounts;
mod backends;
mod bus;
mod carriers;
mod governance;
pub mod partitions;
mod product;
mod product_metrics;
mod start_error;
mod warm;

use std::{sync::Arc, time::Duration};

use butt_dial_domain::{Clock, ReplicaId};
use butt_dial_messaging::PublicUrls;
use butt_dial_providers::Simulator;
use futures::{FutureExt, future::LocalBoxFuture};

use crate::{
    Config, Lifecycle, ai_vendors,
    config::CarrierSetup,
    http::TrustedProxies,
    installation_proof::InstallationProof,
    telemetry::{Telemetry, trace},
};

pub use backends::Backends;
pub use product::Product;
pub use start_error::StartError;

/// Interval between writes of the tokens' last use.
const LAST_USED_FLUSH_INTERVAL: Duration = Duration::from_secs(30);
/// Time limit of the writes and the close of the database at shutdown.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// The dependencies of a service. Cheap to clone.
#[derive(Clone)]
pub struct Platform {
    pub config: Arc<Config>,
    pub lifecycle: Lifecycle,
    pub telemetry: Telemetry,
    pub proxies: TrustedProxies,
    pub proof: InstallationProof,
    pub clock: Clock,
    pub replica: ReplicaId,
    pub product: Product,
    /// The backends of MCP sessions, for `butt_dial_sessions`.
    pub session_ports: butt_dial_sessions::Ports,
    /// The simulated carriers, when no carrier's credentials are set.
    pub simulator: Option<Arc<Simulator>>,
    backends: Backends,
}

impl Platform {
    /// Connects and checks all backends. `port` is the bound port of this process.
    /// The future is boxed, so that it is compiled once here and not in every program.
    pub fn assemble(
        config: Config,
        lifecycle: Lifecycle,
        port: u16,
    ) -> LocalBoxFuture<'static, Result<Self, StartError>> {
        Self::connect(config, lifecycle, port).boxed_local()
    }

    async fn connect(config: Config, lifecycle: Lifecycle, port: u16) -> Result<Self, StartError> {
        let metrics_error = |error: prometheus::Error| StartError::Other(error.to_string());
        let telemetry = Telemetry::new().map_err(metrics_error)?;
        if config.database_read.is_some() {
            telemetry.expect_replica().map_err(metrics_error)?;
        }
        let (clock, replica) = (Clock::System, ReplicaId::generate());
        let warming = warm::start();
        let backends = Backends::connect(&config, &replica).await?;
        let connected = carriers::connect(&config).await?;
        let public_urls = PublicUrls::new(public_url(&config, port));
        if let (Some(simulator), Some(url)) = (&connected.simulator, public_urls.base()) {
            simulator.state().set_webhook_base_url(url);
        }
        let ai = ai_vendors::connect(&config.ai_vendors, connected.simulator.as_ref(), &connected.http)?;
        let parts = product::Parts {
            config: &config,
            registry: &telemetry.registry,
            backends: &backends,
            carriers: connected.carriers,
            own_vendors: connected.own,
            carrier_http: connected.http,
            public_urls,
            ai,
            clock: clock.clone(),
            replica: replica.clone(),
            tasks: lifecycle.in_flight().clone(),
        };
        let product = parts.assemble()?;
        // Ready is what sends at its usual speed.
        warming.await.map_err(|error| StartError::Other(error.to_string()))?;
        warm::start_words();
        telemetry.process.set_simulated(config.carriers.are_simulated());
        let guard = product.guard.clone();
        lifecycle.spawn_periodic(LAST_USED_FLUSH_INTERVAL, move || {
            let guard = guard.clone();
            async move { guard.flush_last_used().await }
        });
        Ok(Self {
            proxies: TrustedProxies::new(config.trusted_proxies.clone()),
            proof: InstallationProof::new(&backends.vault),
            session_ports: session_ports(&backends, &clock, &replica, &lifecycle),
            simulator: connected.simulator.map(Arc::new),
            config: Arc::new(config),
            lifecycle,
            telemetry,
            clock,
            replica,
            product,
            backends,
        })
    }

    /// The backends, for health checks, commands and tests. Services use the handles of the product.
    pub fn backends(&self) -> &Backends {
        &self.backends
    }

    /// Shuts down gracefully. Returns false when the time-out aborted tasks.
    pub async fn stop(self) -> bool {
        let finished = self
            .lifecycle
            .stop(self.config.shutdown_delay, self.config.shutdown_timeout)
            .await;
        let closed = async {
            self.product.guard.flush_last_used().await;
            self.backends.store.close().await;
        };
        // An unresponsive database must not block the end of the process.
        finished && tokio::time::timeout(CLOSE_TIMEOUT, closed).await.is_ok()
    }
}

fn session_ports(
    backends: &Backends,
    clock: &Clock,
    replica: &ReplicaId,
    lifecycle: &Lifecycle,
) -> butt_dial_sessions::Ports {
    let trace = butt_dial_sessions::TraceContext {
        inject: trace::headers,
        extract: |span, headers| trace::set_remote_parent(span, |name| headers.get(name).map(String::as_str)),
    };
    butt_dial_sessions::Ports::new(
        backends.kv.clone(),
        backends.bus.clone(),
        clock.clone(),
        replica.clone(),
        lifecycle.in_flight().clone(),
        lifecycle.draining().clone(),
        trace,
    )
}

/// Returns the base URL for webhooks. Simulated carriers run on this machine and use the local address.
fn public_url(config: &Config, port: u16) -> Option<String> {
    let simulated = matches!(config.carriers, CarrierSetup::Simulated);
    (simulated || config.webhook_base_url.is_some()).then(|| config.base_url(port))
}
