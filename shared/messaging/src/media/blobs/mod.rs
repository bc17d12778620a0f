//! The storage of attachments: a directory, or any S3. Blobs are encrypted for their organization and purged by day.

mod memory;
mod reseal;
#[cfg(test)]
mod tests;

use std::{path::Path, sync::Arc, time::Duration};

use butt_dial_domain::{OrgId, clock::Timestamp};
use bytes::Bytes;
use chrono::NaiveDate;
use futures::{StreamExt, TryStreamExt};
use object_store::{
    ClientOptions, ObjectStore, ObjectStoreExt, RetryConfig, aws::AmazonS3Builder, local::LocalFileSystem,
    path::Path as Key,
};
use serde::{Deserialize, Serialize};

use butt_dial_vault::Vault;

use self::memory::Memory;
pub use self::{memory::OpenBlob, reseal::Resealed};

/// For connecting to S3.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// For one request to S3, with its body.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// No retry starts later than this after the first attempt. S3 answers 503 occasionally.
const RETRY_TIMEOUT: Duration = Duration::from_secs(3);
const MAX_RETRIES: usize = 3;

/// The operator's choice of storage.
#[derive(Clone)]
pub enum BlobsConfig {
    /// A directory, created if missing. Several processes need a shared one.
    Directory(std::path::PathBuf),
    S3 {
        bucket: String,
        prefix: String,
        /// `None`: Amazon.
        endpoint: Option<String>,
        region: String,
        access_key_id: String,
        secret_access_key: String,
    },
}

/// Cheap to clone.
#[derive(Clone)]
pub struct Blobs {
    store: Arc<dyn ObjectStore>,
    prefix: String,
    memory: Memory,
}

/// A stored file with the metadata that a browser needs.
pub struct Blob {
    pub meta: BlobMeta,
    pub bytes: Bytes,
}

#[derive(Clone, Serialize, Deserialize)]
pub struct BlobMeta {
    pub content_type: String,
    pub filename: Option<String>,
}

/// Builds the key `<day>/<organization>/<event>/<number>`.
pub fn key(at: Timestamp, org: &OrgId, event: &str, number: usize) -> String {
    format!("{}/{org}/{event}/{number}", at.date_naive())
}

impl Blobs {
    pub fn open(config: &BlobsConfig) -> Result<Self, String> {
        match config {
            BlobsConfig::Directory(path) => Self::directory(path),
            BlobsConfig::S3 {
                bucket,
                prefix,
                endpoint,
                region,
                access_key_id,
                secret_access_key,
            } => {
                let deadlines = ClientOptions::new()
                    .with_connect_timeout(CONNECT_TIMEOUT)
                    .with_timeout(REQUEST_TIMEOUT);
                let retries = RetryConfig {
                    max_retries: MAX_RETRIES,
                    retry_timeout: RETRY_TIMEOUT,
                    ..RetryConfig::default()
                };
                let mut builder = AmazonS3Builder::new()
                    .with_client_options(deadlines)
                    .with_retry(retries)
                    .with_bucket_name(bucket)
                    .with_region(region)
                    .with_access_key_id(access_key_id)
                    .with_secret_access_key(secret_access_key);
                if let Some(endpoint) = endpoint {
                    builder = builder
                        .with_endpoint(endpoint)
                        .with_allow_http(endpoint.starts_with("http://"));
                }
                let store = builder.build().map_err(|error| format!("BLOB_URL: {error}"))?;
                Ok(Self {
                    store: Arc::new(store),
                    prefix: prefix.trim_matches('/').to_owned(),
                    memory: Memory::new(),
                })
            }
        }
    }

    fn directory(path: &Path) -> Result<Self, String> {
        use std::os::unix::fs::DirBuilderExt;
        let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        // Readable by the owner only, although the contents are encrypted.
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
        made.map_err(|error| failed(&error))?;
        let store = LocalFileSystem::new_with_prefix(path).map_err(|error| failed(&error))?;
        Ok(Self {
            store: Arc::new(store.with_automatic_cleanup(true)),
            prefix: String::new(),
            memory: Memory::new(),
        })
    }

    pub async fn put(&self, vault: &Vault, org: &OrgId, key: &str, blob: &Blob) -> Result<(), String> {
        let meta = serde_json::to_vec(&blob.meta).map_err(|error| error.to_string())?;
        let length = u32::try_from(meta.len()).map_err(|error| error.to_string())?;
        let plain = [&length.to_be_bytes()[..], &meta, &blob.bytes].concat();
        let sealed = vault.encrypt(org, key, &plain);
        let put = self.store.put(&self.path(key), sealed.into()).await;
        put.map(drop).map_err(|error| error.to_string())
    }

    /// Finds a blob. `None`: it does not exist, or was purged. Fails when the memory for it is taken.
    pub async fn find(&self, vault: &Vault, org: &OrgId, key: &str) -> Result<Option<OpenBlob>, String> {
        let found = match self.store.get(&self.path(key)).await {
            Ok(found) => found,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error.to_string()),
        };
        let mut part = self.memory.take(found.meta.size).await?;
        let sealed = found.bytes().await.map_err(|error| error.to_string())?;
        let mut plain = Bytes::from(vault.decrypt(org, key, &sealed).map_err(|error| error.to_string())?);
        let broken = || "the stored attachment is damaged".to_owned();
        drop(sealed);
        part.shrink();
        let (length, _) = plain.split_first_chunk::<4>().ok_or_else(broken)?;
        let length = u32::from_be_bytes(*length) as usize;
        if plain.len() < 4 + length {
            return Err(broken());
        }
        let meta = serde_json::from_slice(&plain[4..4 + length]).map_err(|_| broken())?;
        let bytes = plain.split_off(4 + length);
        let blob = Blob { meta, bytes };
        Ok(Some(OpenBlob { blob, _part: part }))
    }

    /// Purges the blobs of an event that was created at this time. Returns how many.
    pub async fn purge_event(&self, at: Timestamp, org: &OrgId, event: &str) -> Result<usize, String> {
        self.purge_event_of(at.date_naive(), org, event).await
    }

    /// Purges the blobs of an event of a day. Returns how many.
    pub async fn purge_event_of(&self, day: NaiveDate, org: &OrgId, event: &str) -> Result<usize, String> {
        let prefix = self.path(&format!("{day}/{org}/{event}"));
        self.purge_below(&prefix, |_| true).await
    }

    /// Lists the events of an organization with blobs of a day before `day`, with the day.
    pub async fn list_events_before(&self, day: NaiveDate, org: &OrgId) -> Result<Vec<(NaiveDate, String)>, String> {
        let mut events = Vec::new();
        for (of, prefix) in self.list_days_before(day).await? {
            let listed = self.store.list_with_delimiter(Some(&prefix.join(org.as_str()))).await;
            let listed = listed.map_err(|error| error.to_string())?.common_prefixes;
            events.extend(listed.iter().filter_map(|key| Some((of, key.filename()?.to_owned()))));
        }
        Ok(events)
    }

    async fn list_days_before(&self, day: NaiveDate) -> Result<Vec<(NaiveDate, Key)>, String> {
        let root = (!self.prefix.is_empty()).then(|| Key::from(self.prefix.as_str()));
        let days = self.store.list_with_delimiter(root.as_ref()).await;
        let days = days.map_err(|error| error.to_string())?.common_prefixes;
        let day_of = |key: &Key| key.filename().and_then(|name| name.parse::<NaiveDate>().ok());
        let days = days.into_iter().filter_map(|key| Some((day_of(&key)?, key)));
        Ok(days.filter(|(of, _)| *of < day).collect())
    }

    /// Purges every day before `day`, except the blobs of held organizations. Returns how many blobs were purged.
    pub async fn purge_before(&self, day: NaiveDate, held: &[OrgId]) -> Result<usize, String> {
        let mut count = 0;
        for (_, prefix) in self.list_days_before(day).await? {
            let is_held = |key: &Key| {
                held.iter()
                    .any(|org| key.parts().any(|part| part.as_ref() == org.as_str()))
            };
            count += self.purge_below(&prefix, |key| !is_held(key)).await?;
        }
        Ok(count)
    }

    /// Purges the blobs below a path that match. Returns how many.
    async fn purge_below(&self, prefix: &Key, matches: impl Fn(&Key) -> bool) -> Result<usize, String> {
        let objects: Vec<_> = self
            .store
            .list(Some(prefix))
            .try_collect()
            .await
            .map_err(|error| error.to_string())?;
        let chosen: Vec<_> = objects
            .into_iter()
            .map(|object| object.location)
            .filter(|key| matches(key))
            .map(Ok)
            .collect();
        let mut deleted = self.store.delete_stream(futures::stream::iter(chosen).boxed());
        let mut count = 0;
        while deleted.try_next().await.map_err(|error| error.to_string())?.is_some() {
            count += 1;
        }
        Ok(count)
    }

    /// Purges all blobs of an organization. Returns how many.
    pub async fn purge_of(&self, org: &OrgId) -> Result<usize, String> {
        let root = (!self.prefix.is_empty()).then(|| Key::from(self.prefix.as_str()));
        let days = self.store.list_with_delimiter(root.as_ref()).await;
        let mut count = 0;
        for day in days.map_err(|error| error.to_string())?.common_prefixes {
            count += self.purge_below(&day.clone().join(org.as_str()), |_| true).await?;
        }
        Ok(count)
    }

    /// Checks that the storage answers and accepts the credentials. It lists objects, because a request for a missing object
    /// does not distinguish a missing bucket.
    pub async fn check(&self) -> Result<(), String> {
        let listed = self.store.list_with_delimiter(Some(&self.path("check"))).await;
        listed.map(drop).map_err(|error| error.to_string())
    }

    fn path(&self, key: &str) -> Key {
        if self.prefix.is_empty() {
            Key::from(key)
        } else {
            Key::from(format!("{}/{key}", self.prefix))
        }
    }
}
