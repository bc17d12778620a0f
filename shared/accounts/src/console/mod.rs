//! People of the console: the claim of the installation, passwords with one-time passwords,
//! passkeys, sessions, and invitations. It never
//! stores or logs a password, a code or the secret of a link or of a session.

mod claim;
mod filters;
mod invitations;
mod one_time_passwords;
mod passkeys;
mod passwords;
mod people;
mod sessions;
mod sign_in;
#[cfg(test)]
mod tests;

use std::{net::IpAddr, sync::Arc, time::Duration};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use butt_dial_domain::{Clock, Code, Failure, keys, ports::kv::Kv};
use butt_dial_identity::token;
use butt_dial_store::Store;
use butt_dial_vault::Vault;

use crate::{audit::AuditLog, handle::client_id};
use passwords::Passwords;

pub use invitations::{InvitationView, InvitedAs};
pub use one_time_passwords::OtpSetup;
pub(crate) use passkeys::public_id as passkey_id;
pub use passkeys::{PasskeyView, RelyingParty};
pub use people::ConsoleMember;
pub(crate) use sessions::{IDLE, public_id as session_id};
pub use sessions::{Session, SessionView, browser_name};
pub use sign_in::{Credentials, Proof, WayIn};

/// The period of the limits of guesses.
const LIMIT_PERIOD: Duration = Duration::from_secs(15 * 60);
/// Wrong tries of one address for one account.
const MAX_OF_PAIR: u64 = 8;
/// Wrong tries of all addresses together for one account.
const MAX_OF_ACCOUNT: u64 = 60;
/// Wrong tries of one address for all accounts together.
const MAX_OF_ADDRESS: u64 = 100;

/// The client of a request.
#[derive(Clone, Debug)]
pub struct Client {
    pub address: Option<IpAddr>,
    /// The header `User-Agent`.
    pub browser: String,
}

/// Serves the people of the console. Cheap to clone.
#[derive(Clone)]
pub struct Console {
    store: Store,
    kv: Arc<dyn Kv>,
    vault: Vault,
    clock: Clock,
    audit: AuditLog,
    passwords: Passwords,
}

impl Console {
    pub fn new(store: Store, kv: Arc<dyn Kv>, vault: Vault, clock: Clock) -> Self {
        Self {
            audit: AuditLog::new(store.clone(), clock.clone()),
            passwords: Passwords::default(),
            store,
            kv,
            vault,
            clock,
        }
    }

    /// Counts a try before it is checked, so that parallel guesses are no way around. Fails with `RateLimited` after too many.
    /// `account` is what is guessed. Returns the count to forget after a right answer.
    async fn count_try(&self, account: &str, client: &Client) -> Result<String, Failure> {
        let (account, address) = (hex::encode(&token::hash(account)[..12]), client_id(client.address));
        let pair = keys::console_tries(&format!("{account}:{address}"));
        let counted = [
            (pair.clone(), MAX_OF_PAIR),
            (keys::console_tries(&account), MAX_OF_ACCOUNT),
            (keys::console_tries(&address), MAX_OF_ADDRESS),
        ];
        for (key, limit) in counted {
            let counted = self.kv.increment(&key, LIMIT_PERIOD).await;
            let (count, left) = counted.map_err(|error| {
                tracing::warn!(%error, "sign-in check failed");
                Failure::unavailable("the sign-in can not be checked right now")
            })?;
            if count > limit {
                return Err(too_many(left));
            }
        }
        Ok(pair)
    }

    /// Counts a failed sign-in for the anomaly detectors. The limits of guesses do not depend on it.
    async fn count_failed_sign_in(&self) {
        let key = keys::sign_in_failures_in(keys::five_minutes(self.clock.now()));
        if let Err(error) = self.kv.increment(&key, LIMIT_PERIOD).await {
            tracing::warn!(%error, "failed sign-in not counted for anomalies");
        }
    }

    /// Forgets the wrong tries before a right one.
    async fn forget_tries(&self, pair: &str) {
        if let Err(error) = self.kv.delete(pair).await {
            tracing::warn!(%error, "wrong tries not forgotten");
        }
    }
}

fn too_many(left: Duration) -> Failure {
    let text = "there were too many wrong tries; wait before the next one";
    Failure::new(Code::RateLimited, text).retry_after(left.as_secs().max(1))
}

/// Generates the secret of a session or a link: 256 bits.
fn generate_secret() -> String {
    BASE64_URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>())
}

fn hash(secret: &str) -> String {
    hex::encode(token::hash(secret))
}

fn invalid(field: &'static str, message: impl Into<String>) -> Failure {
    Failure::new(Code::InvalidArgument, message.into()).detail("fields", vec![field])
}
