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
        "CREDENTIALS_ENCRYPTION_KEY is not the key that encrypts this database. Set the key of the first start (if it was never \
         set, the key is in the file encryption.key of DATA_DIR). The database is unchanged"
    )]
    WrongKey,
    #[error("{resource}: {error}")]
    Io { resource: String, error: io::Error },
    #[error("{0}")]
    Other(String),
}

impl From<Failure> for StartError {
    fn from(failure: Failure) -> Self {
        Self::Other(failure.to_string())
    }
}
