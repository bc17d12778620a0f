//! The only assembler: from settings to connected backends, carriers and the product. Every service starts from one.

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
    Config, Lifecycle,
    config::{CarrierSetup, ConfigError},
    engines,
    http::Proxies,
    telemetry::Telemetry,
};

/// How often the uses of tokens are written down.
const LAST_USED_EVERY: Duration = Duration::from_secs(30);
const CLOSING: Duration = Duration::from_secs(5);
const KEY_FILE: &str = "encryption.key";

/// Why a program does not start. The text says what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("the database: {0}. Check DATABASE_URL, and that the server runs")]
    Database(#[from] StoreError),
    #[error("the bus: {0}. Check NATS_URL, and that the server runs with JetStream (nats-server -js)")]
    Bus(String),
    #[error("the key-value store: {0}. Check REDIS_URL, and that the server runs")]
    Kv(String),
    #[error(
        "CREDENTIALS_ENCRYPTION_KEY is not the key that this database's contents are encrypted with. Set the one it was first \
         started with (where it was never set, that is in the file encryption.key of DATA_DIR); nothing was changed"
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

/// A handle on everything that a service works with. Cheap to clone.
#[derive(Clone)]
pub struct Platform {
    pub config: Arc<Config>,
    pub lifecycle: Lifecycle,
    pub telemetry: Telemetry,
    pub comms: Comms,
    pub guard: Arc<Guard>,
    pub proxies: Proxies,
    /// The carriers' stand-ins, where no credentials are set.
    pub simulator: Option<Arc<Simulator>>,
}

impl Platform {
    /// Boxed, so that it is compiled here once and not in every program that needs one.
    /// `port` is the one that the process listens on.
    pub fn assemble(
        config: Config,
        lifecycle: Lifecycle,
        port: u16,
    ) -> LocalBoxFuture<'static, Result<Self, StartError>> {
        Self::connect(config, lifecycle, port).boxed_local()
    }

    async fn connect(config: Config, lifecycle: Lifecycle, port: u16) -> Result<Self, StartError> {
        let telemetry = Telemetry::new().map_err(|error| StartError::Other(error.to_string()))?;
        // The store's writers live until its last handle is gone, which this platform holds: to wait for them at the end
        // would be to wait for ourselves. Whoever waits for a write is work, and that is waited for.
        let writers = TaskTracker::new();
        let store = Store::connect(&config.database_url, config.database_max_connections, &writers).await?;
        store.migrate().await?;
        let vault = vault(&config)?;
        check_key(&store, &vault).await?;
        let (simulator, carriers, carrier_http) = carriers(&config).await?;
        if let (Some(simulator), Some(url)) = (&simulator, public_url(&config, port)) {
            simulator.world().call_back_to(&url);
        }
        let engines = engines::connect(&config.engines, simulator.as_ref(), &carrier_http)?;
        let replica = ReplicaId::generate();
        let parts = Parts {
            bus: bus(&config, &store, &replica).await?,
            kv: kv(&config).await?,
            vault,
            clock: Clock::System,
            settings: settings(&config, port),
            metrics: Metrics::register(&telemetry.registry).map_err(|error| StartError::Other(error.to_string()))?,
            tasks: lifecycle.work().clone(),
            egress: Egress::new(config.allow_private_callbacks),
            blobs: config
                .blobs
                .as_ref()
                .map(Blobs::open)
                .transpose()
                .map_err(StartError::Other)?,
            store,
            carriers,
            model: engines.model,
            speech: engines.speech,
            carrier_http,
            replica,
        };
        for stream in [&inbound::STREAM, &inbound::ASIDE] {
            let created = parts.bus.create_stream(stream).await;
            created.map_err(|error| StartError::Bus(error.to_string()))?;
        }
        let comms = Comms::new(parts);
        let guard = Arc::new(Guard::new(comms.clone()));
        let noting = guard.clone();
        lifecycle.repeat(LAST_USED_EVERY, move || {
            let guard = noting.clone();
            async move { guard.flush_last_used().await }
        });
        Ok(Self {
            proxies: Proxies::new(config.trusted_proxies.clone()),
            simulator: simulator.map(Arc::new),
            config: Arc::new(config),
            lifecycle,
            telemetry,
            comms,
            guard,
        })
    }

    /// Stops in good order. False when something had to be cut off.
    pub async fn stop(self) -> bool {
        let in_time = self
            .lifecycle
            .stop(self.config.shutdown_delay, self.config.shutdown_timeout)
            .await;
        let closing = async {
            self.guard.flush_last_used().await;
            self.comms.store.close().await;
        };
        // A database that says nothing must not keep a process from ending.
        in_time && tokio::time::timeout(CLOSING, closing).await.is_ok()
    }
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
        // The settings' own check refuses this first.
        (None, None) => Err(StartError::Bus("NATS_URL is not set".into())),
    }
}

async fn kv(config: &Config) -> Result<Arc<dyn Kv>, StartError> {
    match &config.redis_url {
        Some(url) => Ok(Arc::new(
            RedisKv::connect(url)
                .await
                .map_err(|error| StartError::Kv(error.to_string()))?,
        )),
        None => Ok(Arc::new(MemoryKv::new(Clock::System))),
    }
}

fn vault(config: &Config) -> Result<Vault, StartError> {
    let secret = match &config.encryption_key {
        Some(secret) => secret.clone(),
        None => key_file(&config.data_dir)?,
    };
    Ok(Vault::new(secret.as_bytes()))
}

/// With another key nothing that is kept could be read, and that would show itself only later, piece by piece.
async fn check_key(store: &Store, vault: &Vault) -> Result<(), StartError> {
    let own = vault.fingerprint();
    let known = store.note_key_fingerprint(&own, Clock::System.now()).await?;
    if known == own {
        Ok(())
    } else {
        Err(StartError::WrongKey)
    }
}

/// Reads the generated key, or generates it: readable by its owner only.
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

/// Simulated carriers are on this machine, and so is whoever they call.
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
                .filter(|vendor| !vendor.manifest.channels.is_empty())
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

/// On its usual port if that is free, else on any: several programs may run on one machine.
async fn start_simulator(port: u16) -> Result<Simulator, StartError> {
    let wanted = SocketAddr::from(([127, 0, 0, 1], port));
    match Simulator::start(wanted).await {
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
