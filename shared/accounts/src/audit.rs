//! The audit log of administration: every change of an agent, a token or an organization.

use butt_dial_domain::{Clock, Failure, OrgId};
use butt_dial_store::{AuditEntry, Store};
use serde_json::Value;

/// The actor of changes that no person has asked for: they follow from another change, or a sweep makes them.
pub(crate) const SYSTEM: &str = "system";

/// Appends entries. Cheap to clone.
#[derive(Clone)]
pub(crate) struct AuditLog {
    store: Store,
    clock: Clock,
}

impl AuditLog {
    pub fn new(store: Store, clock: Clock) -> Self {
        Self { store, clock }
    }

    /// Appends an entry. `actor` is the id of a token, `SYSTEM` or `operator`.
    pub async fn append(
        &self,
        org: &OrgId,
        actor: &str,
        action: &str,
        target: &str,
        detail: Value,
    ) -> Result<(), Failure> {
        let entry = AuditEntry {
            org_id: Some(org.to_string()),
            actor: actor.into(),
            action: action.into(),
            target: target.into(),
            detail,
            at: self.clock.now(),
        };
        Ok(self.store.append_audit(&entry).await?)
    }
}
