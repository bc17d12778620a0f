//! Settings of stored data: encryption keys.

use super::{ConfigError, MIN_SECRET_LENGTH, source::Source};

/// Returns the operator's keys, the newest first. The single key of older settings is the oldest one, if it is not listed.
pub(super) fn encryption_keys(source: &Source) -> Result<Vec<String>, ConfigError> {
    let mut keys = source.secrets("credentials_encryption_keys", MIN_SECRET_LENGTH)?;
    let single = source.secret("credentials_encryption_key", MIN_SECRET_LENGTH)?;
    if let Some(single) = single.filter(|single| !keys.contains(single)) {
        keys.push(single);
    }
    Ok(keys)
}
