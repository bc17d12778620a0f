//! Connects the backends: database, bus, key-value store and the encryption key.

use std::{io, sync::Arc};

use butt_dial_domain::{
    Clock, ReplicaId,
    ports::{bus::Bus, kv::Kv},
};
use butt_dial_kv::{ConnectError, MemoryKv, RedisKv};
use butt_dial_messaging::inbound::{self, Partitions};
use butt_dial_store::{DatabaseSettings, Store};
use butt_dial_vault::Vault;
use tokio_util::task::TaskTracker;

use super::{StartError, bus, partitions};
use crate::{
    Config,
    config::{ConfigError, MigrateMode},
};

/// The connected backends. Cheap to clone. For health checks, commands and tests: services use the handles of the product.
#[derive(Clone)]
pub struct Backends {
    pub store: Store,
    pub bus: Arc<dyn Bus>,
    pub partitions: Partitions,
    pub kv: Arc<dyn Kv>,
    pub vault: Vault,
    /// The Redis backend, for the metrics of its pool.
    pub redis: Option<Arc<RedisKv>>,
}

impl Backends {
    /// Connects every backend, migrates the database, and creates the durable streams.
    pub(super) async fn connect(config: &Config, replica: &ReplicaId) -> Result<Self, StartError> {
        // Not the lifecycle's tracker: the writers end with the last handle of the store, which the platform holds, so
        // shutdown would wait forever. Callers that wait for a write are tracked as in-flight work.
        let writers = TaskTracker::new();
        let settings = DatabaseSettings {
            read: config.database_read.clone(),
            ..config.database(config.database_max_connections)
        };
        let store = Store::connect_with(&settings, &writers).await?;
        migrate(config, &store).await?;
        let vault = vault(config)?;
        adopt_database_key(&store, &vault).await?;
        let redis = redis(config).await?;
        let kv: Arc<dyn Kv> = match &redis {
            Some(redis) => redis.clone(),
            None => Arc::new(MemoryKv::new(Clock::System)),
        };
        let bus = bus::connect(config, &store, replica).await?;
        let created = bus.create_stream(&inbound::STREAM).await;
        created.map_err(|error| StartError::Bus(error.to_string()))?;
        Ok(Self {
            partitions: partitions::check(config, &store).await?,
            store,
            bus,
            kv,
            vault,
            redis,
        })
    }
}

/// Applies the missing migrations, or checks that none is missing. Without missing ones, no right to change the schema is needed.
async fn migrate(config: &Config, store: &Store) -> Result<(), StartError> {
    if config.migrate == MigrateMode::Off || store.is_migrated().await? {
        return Ok(());
    }
    match config.migrate {
        MigrateMode::Verify => Err(StartError::NotMigrated),
        _ => store.migrate().await.map_err(StartError::Migration),
    }
}

async fn redis(config: &Config) -> Result<Option<Arc<RedisKv>>, StartError> {
    let Some(url) = &config.redis_url else {
        return Ok(None);
    };
    let redis = RedisKv::connect(url, config.redis_pool_size).await;
    let redis = redis.map_err(|error| match error {
        ConnectError::Setting(reason) => ConfigError(format!("REDIS_URL: {reason}")).into(),
        ConnectError::Unavailable(error) => StartError::Kv(error.to_string()),
    })?;
    Ok(Some(Arc::new(redis)))
}

fn vault(config: &Config) -> Result<Vault, StartError> {
    let keys: Vec<&[u8]> = config.encryption_keys.iter().map(|key| key.as_bytes()).collect();
    Ok(match keys.split_first() {
        Some((newest, former)) => Vault::with_former(newest, former),
        None => Vault::new(key_file(config)?.as_bytes()),
    })
}

/// Fails when the key of the database is none of the operator's: its contents could not be decrypted.
async fn adopt_database_key(store: &Store, vault: &Vault) -> Result<(), StartError> {
    // A new database gets the newest key.
    let newest = vault.fingerprint();
    let registered = store.register_key(&newest, Clock::System.now()).await?;
    let root = registered.root.as_deref();
    vault
        .adopt(&registered.fingerprint, root, registered.has_content_keys)
        .map_err(|_| StartError::WrongKey)?;
    let hashing = vault.clone();
    store.hash_contacts_with(move |org, key| hashing.contact_digest(org, key));
    Ok(())
}

/// Reads the generated key, or generates it into a file that only its owner can read.
fn key_file(config: &Config) -> Result<String, StartError> {
    use std::{io::Write, os::unix::fs::OpenOptionsExt};
    let path = config.key_file();
    let failed = |error| StartError::Io {
        resource: format!("the encryption key {}", path.display()),
        error,
    };
    std::fs::create_dir_all(&config.data_dir).map_err(failed)?;
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
