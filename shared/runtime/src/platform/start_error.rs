//! Why a process does not start.

use std::io;

use butt_dial_domain::Failure;
use butt_dial_store::StoreError;

use crate::config::ConfigError;

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
        "CREDENTIALS_ENCRYPTION_KEY is not the key that encrypts this database, and CREDENTIALS_ENCRYPTION_KEYS does not list \
         it. Set the key of the first start, or of the last `butt-dial rewrap-keys` (if it was never set, the key is in the file \
         encryption.key of DATA_DIR). The database is unchanged"
    )]
    WrongKey,
    #[error(
        "the database lacks migrations of this release, and MIGRATE is verify: run `butt-dial migrate` as the owner of the schema"
    )]
    NotMigrated,
    #[error(
        "the database lacks migrations of this release, and they can't be applied: {0}. Run `butt-dial migrate` as the owner of \
         the schema"
    )]
    Migration(StoreError),
    #[error(
        "the inbound stream has {registered} partitions, and INBOUND_PARTITIONS is {wanted}: set INBOUND_PARTITIONS={registered} on \
         every process. To raise the number, stop the services that receive messages, let the dispatchers read what is left, stop \
         them too, and run `butt-dial raise-partitions` with the new value"
    )]
    OtherPartitions { registered: u16, wanted: u16 },
    #[error("{resource}: {error}")]
    Io { resource: String, error: io::Error },
    #[error("{0}")]
    Other(String),
}

impl StartError {
    /// Returns whether the start may succeed later without a change of settings: a backend is not there yet, or another process
    /// has not migrated the database yet.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Database(error) | Self::Migration(error) => error.may_pass(),
            Self::Bus(_) | Self::Kv(_) | Self::NotMigrated => true,
            Self::Config(_) | Self::WrongKey | Self::OtherPartitions { .. } | Self::Io { .. } | Self::Other(_) => false,
        }
    }
}

impl From<Failure> for StartError {
    fn from(failure: Failure) -> Self {
        Self::Other(failure.to_string())
    }
}
