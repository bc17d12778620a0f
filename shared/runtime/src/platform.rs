//! Assembles a process from its settings: connected backends, carriers and the product. Every service is built from a
//! platform; no other place connects to a backend.

use std::{io, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use butt_dial_bus::{EmbeddedBus, NatsBus};
use butt_dial_comms::{
    Carrier, Carriers, Comms, Parts, Settings,
    egress::Egress,
    identity::{Guard, token},
    inbound,
    media::Blobs,
    metrics::Metrics,
    vault::Vault,
};
use butt_dial_domain::{
    Clock, Failure, ReplicaId,
    ports::{bus::Bus, kv::Kv},
};
use butt_dial_kv::{MemoryKv, RedisKv};
use butt_dial_providers::{Simulator, VENDORS, http};
use butt_dial_store::{Store, StoreError};
use futures::{FutureExt, future::LocalBoxFuture};
use tokio_util::task::TaskTracker;

use crate::{
    Config, Lifecycle, ai_vendors,
    config::{CarrierSetup, ConfigError},
    http::TrustedProxies,
    telemetry::{Telemetry, trace},
};

/// Interval between writes of the tokens' last use.
const LAST_USED_FLUSH_INTERVAL: Duration = Duration::from_secs(30);
/// Time limit of the writes and the close of the database at shutdown.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
const KEY_FILE: &str = "encryption.key";

/// The reason why a process does not start. The text contains a remedy.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("the database is not available: {0}. Check DATABASE_URL, and that the server runs")]
    Database(#[from] StoreError),
    #[error("the bus is not available: {0}. Check NATS_URL, and that the server runs with JetStream (nats-server -js)")]
    Bus(String),
    #[error("the key-value store is not available: {0}. Check REDIS_URL, and that the server runs")]
    Kv(String),
    #[error(
        "CREDENTIALS_ENCRYPTION_KEY is not the key that encrypts this database. Set the key of the first start (if it was never \
         set, the key is in the file encryption.key of DATA_DIR). Nothing was changed"
    )]
    WrongKey,
    #[error("{what}: {error}")]
    Io { what: String, error: io::Error },
    #[error("{0}")]
    Other(String),
}

impl From<Failure> for StartError {
    fn from(failure: Failure) -> Self {
        Self::Other(failure.to_string())
    }
}

/// The dependencies of a service. Cheap to clone.
#[derive(Clone)]
pub struct Platform {
    pub config: Arc<Config>,
    pub lifecycle: Lifecycle,
    pub telemetry: Telemetry,
    pub comms: Comms,
    pub guard: Arc<Guard>,
    /// The backends of MCP sessions, for `butt_dial_sessions`.
    pub session_ports: butt_dial_sessions::Ports,
    pub proxies: TrustedProxies,
    /// The simulated carriers, when no carrier's credentials are set.
    pub simulator: Option<Arc<Simulator>>,
    /// The Redis backend, for the metrics of its pool.
    pub redis: Option<Arc<RedisKv>>,
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
        let telemetry = Telemetry::new().map_err(|error| StartError::Other(error.to_string()))?;
        // Not the lifecycle's tracker: the writers end with the last handle of the store, which this platform holds, so
        // shutdown would wait forever. Callers that wait for a write are tracked as in-flight work.
        let writers = TaskTracker::new();
        let store = Store::connect(&config.database_url, config.database_max_connections, &writers).await?;
        store.migrate().await?;
        let vault = vault(&config)?;
        verify_encryption_key(&store, &vault).await?;
        let (simulator, carriers, carrier_http) = carriers(&config).await?;
        if let (Some(simulator), Some(url)) = (&simulator, public_url(&config, port)) {
            simulator.state().set_webhook_base_url(&url);
        }
        let ai = ai_vendors::connect(&config.ai_vendors, simulator.as_ref(), &carrier_http)?;
        let replica = ReplicaId::generate();
        let redis = redis(&config).await?;
        let kv: Arc<dyn Kv> = match &redis {
            Some(redis) => redis.clone(),
            None => Arc::new(MemoryKv::new(Clock::System)),
        };
        let parts = Parts {
            bus: bus(&config, &store, &replica).await?,
            kv,
            vault,
            clock: Clock::System,
            settings: settings(&config, port),
            metrics: Metrics::register(&telemetry.registry).map_err(|error| StartError::Other(error.to_string()))?,
            tasks: lifecycle.in_flight().clone(),
            egress: Egress::new(config.allow_private_callbacks),
            blobs: config
                .blobs
                .as_ref()
                .map(Blobs::open)
                .transpose()
                .map_err(StartError::Other)?,
            store,
            carriers,
            model: ai.model,
            speech: ai.speech,
            carrier_http,
            replica,
        };
        for stream in [&inbound::STREAM, &inbound::ASIDE] {
            let created = parts.bus.create_stream(stream).await;
            created.map_err(|error| StartError::Bus(error.to_string()))?;
        }
        let session_ports = session_ports(&parts, &lifecycle);
        let comms = Comms::new(parts);
        let guard = Arc::new(Guard::new(comms.clone()));
        let flushed = guard.clone();
        lifecycle.spawn_periodic(LAST_USED_FLUSH_INTERVAL, move || {
            let guard = flushed.clone();
            async move { guard.flush_last_used().await }
        });
        Ok(Self {
            proxies: TrustedProxies::new(config.trusted_proxies.clone()),
            simulator: simulator.map(Arc::new),
            redis,
            config: Arc::new(config),
            lifecycle,
            telemetry,
            comms,
            guard,
            session_ports,
        })
    }

    /// Shuts down gracefully. Returns false when the time-out aborted tasks.
    pub async fn stop(self) -> bool {
        let finished = self
            .lifecycle
            .stop(self.config.shutdown_delay, self.config.shutdown_timeout)
            .await;
        let closed = async {
            self.guard.flush_last_used().await;
            self.comms.store.close().await;
        };
        // An unresponsive database must not block the end of the process.
        finished && tokio::time::timeout(CLOSE_TIMEOUT, closed).await.is_ok()
    }
}

fn session_ports(parts: &Parts, lifecycle: &Lifecycle) -> butt_dial_sessions::Ports {
    let trace = butt_dial_sessions::TraceContext {
        inject: trace::headers,
        extract: |span, headers| trace::set_remote_parent(span, |name| headers.get(name).map(String::as_str)),
    };
    butt_dial_sessions::Ports::new(
        parts.kv.clone(),
        parts.bus.clone(),
        parts.clock.clone(),
        parts.replica.clone(),
        lifecycle.in_flight().clone(),
        lifecycle.draining().clone(),
        trace,
    )
}

async fn bus(config: &Config, store: &Store, replica: &ReplicaId) -> Result<Arc<dyn Bus>, StartError> {
    match (&config.nats_url, store.sqlite_writer()) {
        (Some(url), _) => {
            let bus = NatsBus::connect(url, &format!("butt-dial-{replica}")).await;
            Ok(Arc::new(bus.map_err(|error| StartError::Bus(error.to_string()))?))
        }
        (None, Some(pool)) => {
            let bus = EmbeddedBus::open(pool.clone(), Clock::System).await;
            Ok(Arc::new(bus.map_err(|error| StartError::Bus(error.to_string()))?))
        }
        // `Config` rejects this combination first.
        (None, None) => Err(StartError::Bus("NATS_URL is not set".into())),
    }
}

async fn redis(config: &Config) -> Result<Option<Arc<RedisKv>>, StartError> {
    let Some(url) = &config.redis_url else {
        return Ok(None);
    };
    let redis = RedisKv::connect(url, config.redis_pool_size).await;
    Ok(Some(Arc::new(
        redis.map_err(|error| StartError::Kv(error.to_string()))?,
    )))
}

fn vault(config: &Config) -> Result<Vault, StartError> {
    let secret = match &config.encryption_key {
        Some(secret) => secret.clone(),
        None => key_file(&config.data_dir)?,
    };
    Ok(Vault::new(secret.as_bytes()))
}

/// Fails when the database was first started with another key: its contents could not be decrypted.
async fn verify_encryption_key(store: &Store, vault: &Vault) -> Result<(), StartError> {
    let fingerprint = vault.fingerprint();
    let registered = store
        .register_key_fingerprint(&fingerprint, Clock::System.now())
        .await?;
    if registered == fingerprint {
        Ok(())
    } else {
        Err(StartError::WrongKey)
    }
}

/// Reads the generated key, or generates it into a file that only its owner can read.
fn key_file(data_dir: &Path) -> Result<String, StartError> {
    use std::{io::Write, os::unix::fs::OpenOptionsExt};
    let path = data_dir.join(KEY_FILE);
    let failed = |error| StartError::Io {
        what: format!("the encryption key {}", path.display()),
        error,
    };
    std::fs::create_dir_all(data_dir).map_err(failed)?;
    match std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)
    {
        Ok(mut file) => {
            let key = hex::encode(rand::random::<[u8; 32]>());
            file.write_all(key.as_bytes())
                .and_then(|()| file.sync_all())
                .map_err(failed)?;
            Ok(key)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => std::fs::read_to_string(&path).map_err(failed),
        Err(error) => Err(failed(error)),
    }
}

/// Returns the base URL for webhooks. Simulated carriers run on this machine and use the local address.
fn public_url(config: &Config, port: u16) -> Option<String> {
    let simulated = matches!(config.carriers, CarrierSetup::Simulated);
    (simulated || config.webhook_base_url.is_some()).then(|| config.base_url(port))
}

fn settings(config: &Config, port: u16) -> Settings {
    Settings {
        default_limits: config.default_limits,
        simulated_world: matches!(config.carriers, CarrierSetup::Simulated),
        reconcile_after: config.reconcile_after.clone(),
        orchestrator_token_hash: config
            .orchestrator_token
            .as_deref()
            .map(|secret| hex::encode(token::hash(secret))),
        public_url: public_url(config, port),
        callback_retry_after: config.callback_retry_after.clone(),
        event_retention: config.event_retention,
        calls: config.calls.clone(),
    }
}

async fn carriers(config: &Config) -> Result<(Option<Simulator>, Carriers, reqwest::Client), StartError> {
    let (simulator, http, connected) = match &config.carriers {
        CarrierSetup::Real(real) => (None, http::client(), real.clone()),
        CarrierSetup::Simulated => {
            let simulator = start_simulator(config.simulator_port).await?;
            let base = simulator.base_url();
            let vendors = VENDORS.iter();
            let all = vendors
                .filter(|vendor| vendor.manifest.is_carrier())
                .map(|vendor| (*vendor, vendor.simulated_credentials(&base)))
                .collect();
            (Some(simulator), http::loopback_client(), all)
        }
    };
    let http = http.map_err(StartError::Other)?;
    let mut carriers = Carriers::default();
    for (vendor, credentials) in connected {
        let connected = (vendor.connect)(&credentials, &http, config.carrier_timeout)
            .map_err(|text| ConfigError(format!("{}: {text}", vendor.manifest.title)))?;
        if let Some(messaging) = connected.messaging {
            let id = vendor.manifest.id;
            carriers.add(vendor.manifest.channels, &Carrier { id, messaging });
        }
        if let Some(voice) = connected.voice {
            carriers.add_voice(vendor.manifest.id, voice);
        }
        if let Some(webhooks) = connected.webhooks {
            carriers.add_webhooks(vendor.manifest.id, webhooks);
        }
    }
    Ok((simulator, carriers, http))
}

/// Starts the simulator on the configured port, or on a free one: several programs may run on one machine.
async fn start_simulator(port: u16) -> Result<Simulator, StartError> {
    let preferred = SocketAddr::from(([127, 0, 0, 1], port));
    match Simulator::start(preferred).await {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            Simulator::start(SocketAddr::from(([127, 0, 0, 1], 0))).await
        }
        started => started,
    }
    .map_err(|error| StartError::Io {
        what: "the carriers' simulator".into(),
        error,
    })
}
