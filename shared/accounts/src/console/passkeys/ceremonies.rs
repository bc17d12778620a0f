//! Ceremonies that were begun: each has a random challenge, which admits one answer within five minutes. They are in the key-value
//! store, so any replica takes the answer. When the store loses one, its answer is refused.

use std::time::Duration;

use butt_dial_domain::{Failure, keys, ports::kv::KvError};
use serde::{Deserialize, Serialize};

use super::super::{Client, Console, generate_secret, hash, too_many};
use crate::handle::client_id;

pub const LIFETIME: Duration = Duration::from_secs(5 * 60);
/// Ceremonies that one address begins within `LIFETIME`.
const MAX_OF_ADDRESS: u64 = 300;

/// The purpose of a ceremony. An answer counts for it only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    Claim,
    /// The hash of the link's secret.
    Invitation(String),
    /// The session that adds a passkey.
    Add(String),
    SignIn,
    /// The session that needs a proof.
    Confirm(String),
}

/// A ceremony, as it was begun.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Begun {
    purpose: Purpose,
    /// The name of the person towards authenticators, at a registration.
    pub user_handle: String,
}

impl Console {
    /// Begins a ceremony. Returns its challenge, in base64url.
    pub(super) async fn begin(&self, purpose: Purpose, user_handle: &str, client: &Client) -> Result<String, Failure> {
        let counter = keys::console_ceremonies_of(&client_id(client.address));
        let (count, left) = self.kv.increment(&counter, LIFETIME).await.map_err(unavailable)?;
        if count > MAX_OF_ADDRESS {
            return Err(too_many(left));
        }
        let challenge = generate_secret();
        let begun = Begun {
            purpose,
            user_handle: user_handle.to_owned(),
        };
        let value = serde_json::to_string(&begun).map_err(|_| Failure::internal())?;
        let key = keys::console_ceremony(&hash(&challenge));
        self.kv.set(&key, &value, LIFETIME).await.map_err(unavailable)?;
        Ok(challenge)
    }

    /// Ends the ceremony of a challenge. `None`: there is none for this purpose any more, or another answer was first.
    pub(super) async fn end(&self, challenge: &str, purpose: &Purpose) -> Result<Option<Begun>, Failure> {
        let hash = hash(challenge);
        let key = keys::console_ceremony(&hash);
        let Some(value) = self.kv.get(&key).await.map_err(unavailable)? else {
            return Ok(None);
        };
        let used = keys::console_ceremony_used(&hash);
        // It outlives the ceremony, so no answer comes between.
        if !self.kv.once(&used, LIFETIME * 2).await.map_err(unavailable)? {
            return Ok(None);
        }
        self.kv.delete(&key).await.map_err(unavailable)?;
        let begun: Option<Begun> = serde_json::from_str(&value).ok();
        Ok(begun.filter(|begun| begun.purpose == *purpose))
    }
}

fn unavailable(error: KvError) -> Failure {
    tracing::warn!(%error, "passkey check failed");
    Failure::unavailable("passkeys can not be checked right now")
}
