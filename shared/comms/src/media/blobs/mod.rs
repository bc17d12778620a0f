//! Where attachments are kept: a directory, or any S3. Encrypted for their organization, and forgotten by the day.

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

use crate::vault::Vault;

/// For connecting to S3.
const CONNECT: Duration = Duration::from_secs(3);
/// For one request to S3, with all that it carries.
const REQUEST: Duration = Duration::from_secs(10);
/// No request begins again later than this after its first try. S3 answers 503 now and then, and means it.
const RETRIES: Duration = Duration::from_secs(3);
const MOST_RETRIES: usize = 3;

/// What an operator can set.
#[derive(Clone)]
pub enum BlobsConfig {
    /// A directory; made if missing. Several processes need one that they share.
    Directory(std::path::PathBuf),
    S3 {
        bucket: String,
        prefix: String,
        /// `None`: Amazon's own.
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
}

/// An attachment with what a browser has to know of it.
pub struct Blob {
    pub meta: Meta,
    pub bytes: Bytes,
}

#[derive(Clone, Serialize, Deserialize)]
pub struct Meta {
    pub content_type: String,
    pub filename: Option<String>,
}

/// `<day>/<organization>/<event>/<number>`.
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
                let deadlines = ClientOptions::new().with_connect_timeout(CONNECT).with_timeout(REQUEST);
                let retries = RetryConfig {
                    max_retries: MOST_RETRIES,
                    retry_timeout: RETRIES,
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
                })
            }
        }
    }

    fn directory(path: &Path) -> Result<Self, String> {
        use std::os::unix::fs::DirBuilderExt;
        let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        // For its owner only, although what is in it is encrypted.
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
        made.map_err(|error| failed(&error))?;
        let store = LocalFileSystem::new_with_prefix(path).map_err(|error| failed(&error))?;
        Ok(Self {
            store: Arc::new(store.with_automatic_cleanup(true)),
            prefix: String::new(),
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

    /// `None`: it is not, or no longer, there.
    pub async fn find(&self, vault: &Vault, org: &OrgId, key: &str) -> Result<Option<Blob>, String> {
        let sealed = match self.store.get(&self.path(key)).await {
            Ok(found) => found.bytes().await.map_err(|error| error.to_string())?,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error.to_string()),
        };
        let mut plain = Bytes::from(vault.decrypt(org, key, &sealed).map_err(|error| error.to_string())?);
        let broken = || "the stored attachment is damaged".to_owned();
        let (length, _) = plain.split_first_chunk::<4>().ok_or_else(broken)?;
        let length = u32::from_be_bytes(*length) as usize;
        if plain.len() < 4 + length {
            return Err(broken());
        }
        let meta = serde_json::from_slice(&plain[4..4 + length]).map_err(|_| broken())?;
        Ok(Some(Blob {
            meta,
            bytes: plain.split_off(4 + length),
        }))
    }

    /// Forgets every day before `day`. Returns how many attachments went.
    pub async fn forget_before(&self, day: NaiveDate) -> Result<usize, String> {
        let root = (!self.prefix.is_empty()).then(|| Key::from(self.prefix.as_str()));
        let days = self
            .store
            .list_with_delimiter(root.as_ref())
            .await
            .map_err(|error| error.to_string())?;
        let mut count = 0;
        for prefix in days.common_prefixes {
            let old = prefix
                .filename()
                .and_then(|name| name.parse::<NaiveDate>().ok())
                .is_some_and(|of| of < day);
            if !old {
                continue;
            }
            let objects: Vec<_> = self
                .store
                .list(Some(&prefix))
                .try_collect()
                .await
                .map_err(|error| error.to_string())?;
            let locations = futures::stream::iter(objects).map(|object| Ok(object.location));
            let mut gone = self.store.delete_stream(locations.boxed());
            while gone.try_next().await.map_err(|error| error.to_string())?.is_some() {
                count += 1;
            }
        }
        Ok(count)
    }

    /// Whether the storage answers and knows us. Asks for a list: a bucket that is not there has no objects either, so
    /// asking for one tells nothing.
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
