//! Persists call states in the key-value store, encrypted for their organization. Only the replica with the call's lease
//! writes: a state must never be overwritten by a relay that lost the call.

use std::{sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use butt_dial_domain::{
    CallId, Failure, OrgId, keys,
    ports::kv::{Kv, KvError, Lease},
};
use butt_dial_vault::Vault;
use serde::{Deserialize, Serialize};

use super::state::CallState;

/// Longer than any call. Twilio ends calls after four hours by default.
pub(crate) const TTL: Duration = Duration::from_secs(6 * 3_600);

/// The stored form. The organization is in clear text: it selects the key.
#[derive(Serialize, Deserialize)]
struct Sealed {
    org: OrgId,
    state: String,
}

#[derive(Clone)]
pub(crate) struct StateStore {
    kv: Arc<dyn Kv>,
    vault: Vault,
}

impl StateStore {
    pub fn new(kv: Arc<dyn Kv>, vault: Vault) -> Self {
        Self { kv, vault }
    }

    /// Finds the state of a call. `None`: no such call, or it ended some time ago.
    pub async fn find(&self, call: &CallId) -> Result<Option<CallState>, KvError> {
        let text = self.kv.get(&keys::call_state(call)).await?;
        Ok(text.and_then(|text| self.open(call, &text)))
    }

    /// Persists the state of a new call, which no relay owns yet.
    pub async fn create(&self, state: &CallState) -> Result<(), KvError> {
        let key = keys::call_state(&state.info.call);
        self.kv.set(&key, &self.seal(state), TTL).await
    }

    pub async fn delete(&self, call: &CallId) -> Result<(), KvError> {
        self.kv.delete(&keys::call_state(call)).await
    }

    pub fn seal(&self, state: &CallState) -> String {
        let info = &state.info;
        // Strings, numbers and lists of them always serialize.
        let plain = serde_json::to_vec(state).unwrap_or_default();
        let sealed = Sealed {
            state: STANDARD.encode(self.vault.encrypt(&info.org, info.call.as_str(), &plain)),
            org: info.org.clone(),
        };
        serde_json::to_string(&sealed).unwrap_or_default()
    }

    fn open(&self, call: &CallId, text: &str) -> Option<CallState> {
        let sealed: Sealed = serde_json::from_str(text).ok()?;
        let plain = STANDARD.decode(sealed.state).ok()?;
        let plain = self.vault.decrypt(&sealed.org, call.as_str(), &plain);
        let plain = plain.inspect_err(|error| tracing::error!(%error, %call, "call state decryption failed"));
        serde_json::from_slice(&plain.ok()?).ok()
    }

    /// Persists a sealed state. Returns false, and writes nothing, when another relay owns the call. Restores the lease if
    /// the store lost it.
    pub async fn save(&self, lease: &Lease, call: &CallId, sealed: &str) -> Result<bool, KvError> {
        let key = keys::call_state(call);
        if self.kv.set_if_leased(lease, &key, sealed, TTL).await? {
            return Ok(true);
        }
        if !self.kv.restore(lease, TTL).await? {
            return Ok(false);
        }
        tracing::warn!(%call, "call lease restored: the store had lost it");
        self.kv.set_if_leased(lease, &key, sealed, TTL).await
    }
}

pub(crate) fn unavailable(error: &KvError) -> Failure {
    tracing::warn!(%error, "call state lookup failed");
    Failure::unavailable("calls can't be looked up right now")
}
