//! Settings of stored data: encryption keys, retention and attachments.

use std::{path::Path, time::Duration};

use butt_dial_messaging::{KeepTimes, media::BlobsConfig};
use butt_dial_store::ReadSettings;

use super::{ConfigError, Deployment, MIN_SECRET_LENGTH, source::Source};

const DAY_SECONDS: f64 = 86_400.0;

/// Returns the operator's keys, the newest first. The single key of older settings is the oldest one, if it is not listed.
pub(super) fn encryption_keys(source: &Source) -> Result<Vec<String>, ConfigError> {
    let mut keys = source.secrets("credentials_encryption_keys", MIN_SECRET_LENGTH)?;
    let single = source.secret("credentials_encryption_key", MIN_SECRET_LENGTH)?;
    if let Some(single) = single.filter(|single| !keys.contains(single)) {
        keys.push(single);
    }
    Ok(keys)
}

/// Reads the replica for lists.
pub(super) fn database_read(source: &Source) -> Result<Option<ReadSettings>, ConfigError> {
    let max_lag = Duration::from_secs(source.number("database_read_max_lag_seconds", 1, 3_600)?);
    let Some(url) = source.optional("database_read_url")? else {
        return Ok(None);
    };
    if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
        return Err(ConfigError("DATABASE_READ_URL must begin with postgres://".into()));
    }
    Ok(Some(ReadSettings { url, max_lag }))
}

pub(super) fn keep_times(source: &Source) -> Result<KeepTimes, ConfigError> {
    let days = |key| {
        let days = source.number_or_none(key, 1.0)?;
        Ok(days.map(|days| Duration::from_secs_f64(days * DAY_SECONDS)))
    };
    Ok(KeepTimes {
        messages: days("keep_messages_days")?,
        attempts: days("keep_attempts_days")?,
        events: days("keep_events_days")?,
        calls: days("keep_calls_days")?,
        audit: days("keep_audit_days")?,
    })
}

/// Reads where attachments are stored. `None`: they are not.
pub(super) fn blobs(
    source: &Source,
    deployment: Deployment,
    database_url: &str,
    data_dir: &Path,
) -> Result<Option<BlobsConfig>, ConfigError> {
    let Some(url) = source.optional("blob_url")? else {
        let has_directory = match deployment {
            Deployment::SingleProcess => true,
            Deployment::Distributed => false,
            // A command beside services on Postgres stores nothing, and its directory may be read-only.
            Deployment::Command => database_url.starts_with("sqlite:"),
        };
        return Ok(has_directory.then(|| BlobsConfig::Directory(data_dir.join("blobs"))));
    };
    let Some(location) = url.strip_prefix("s3://") else {
        let path = url.strip_prefix("file://").unwrap_or(&url);
        if path.contains("://") {
            return Err(ConfigError("BLOB_URL must be a directory or s3://bucket/prefix".into()));
        }
        return Ok(Some(BlobsConfig::Directory(path.into())));
    };
    let required = |key: &str| {
        let value = source.optional(key)?;
        value.ok_or_else(|| {
            ConfigError(format!(
                "BLOB_URL is an s3:// address, so {} must be set",
                key.to_uppercase()
            ))
        })
    };
    let (bucket, prefix) = location.split_once('/').unwrap_or((location, ""));
    Ok(Some(BlobsConfig::S3 {
        bucket: bucket.to_owned(),
        prefix: prefix.to_owned(),
        endpoint: source.optional("s3_endpoint")?,
        region: source.text("s3_region")?,
        access_key_id: required("s3_access_key_id")?,
        secret_access_key: required("s3_secret_access_key")?,
    }))
}
