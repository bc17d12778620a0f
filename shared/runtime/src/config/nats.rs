//! Settings of NATS.

use std::path::PathBuf;

use butt_dial_bus::{NatsAccess, NatsIdentity, Replicas, StreamSettings};

use chrono::TimeDelta;

use super::{ConfigError, source::Source};

/// The age limit of the stream.
const WEEK_HOURS: i64 = 168;

/// Reads the identity of the client and the certificates.
pub fn access(source: &Source) -> Result<NatsAccess, ConfigError> {
    let path = |key| source.optional(key).map(|path| path.map(PathBuf::from));
    let credentials = source.optional("nats_credentials")?;
    let seed = source.optional("nats_nkey_seed")?;
    let certificate = path("nats_client_certificate_path")?;
    let key = path("nats_client_key_path")?;
    let access = NatsAccess {
        identity: match (credentials, seed) {
            (Some(_), Some(_)) => {
                return Err(ConfigError(
                    "NATS_CREDENTIALS and NATS_NKEY_SEED are both set: remove one of the two".into(),
                ));
            }
            (Some(credentials), None) => NatsIdentity::Credentials(credentials),
            (None, Some(seed)) => NatsIdentity::NkeySeed(seed),
            (None, None) => NatsIdentity::Url,
        },
        root_certificates: path("nats_ca_path")?,
        client_certificate: match (certificate, key) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            _ => {
                return Err(ConfigError(
                    "NATS_CLIENT_CERTIFICATE_PATH and NATS_CLIENT_KEY_PATH belong together: set both, or none".into(),
                ));
            }
        },
    };
    let files = access.root_certificates.iter();
    for file in files.chain(
        access
            .client_certificate
            .iter()
            .flat_map(|(certificate, key)| [certificate, key]),
    ) {
        std::fs::File::open(file)
            .map_err(|error| ConfigError(format!("the file {} of NATS can't be read: {error}", file.display())))?;
    }
    Ok(access)
}

/// Reads the settings of the durable streams.
pub fn streams(source: &Source) -> Result<StreamSettings, ConfigError> {
    let replicas = match source.one_of("nats_replicas", &["auto", "1", "3", "5"])?.parse() {
        Ok(count) => Replicas::Exactly(count),
        Err(_) => Replicas::Auto,
    };
    let max_bytes = match source.optional("nats_stream_max_bytes")? {
        Some(_) => Some(source.number("nats_stream_max_bytes", 1_048_576, i64::MAX)?),
        None => None,
    };
    Ok(StreamSettings { replicas, max_bytes })
}

/// Reads how long applied entries of the inbound stream stay. `None`: until the age limit of the stream.
pub fn keep_read_entries(source: &Source) -> Result<Option<TimeDelta>, ConfigError> {
    let hours: i64 = source.number("nats_keep_read_hours", 1, WEEK_HOURS)?;
    Ok((hours < WEEK_HOURS).then(|| TimeDelta::hours(hours)))
}
