//! The audit log of administration: every change of an agent, a token or an organization.

use butt_dial_domain::{Clock, Failure, OrgId};
use butt_dial_store::{AuditEntry, Change, Store};
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

    /// Builds the entry of a change. `actor` is the id of a token, `SYSTEM` or `operator`.
    pub fn entry(&self, org: &OrgId, actor: &str, action: &str, target: &str, detail: Value) -> AuditEntry {
        AuditEntry::new(Some(org), actor, action, target, self.clock.now()).with_detail(detail)
    }

    /// Begins a change of the store with its entry.
    pub fn change(&self, org: &OrgId, actor: &str, action: &str, target: &str, detail: Value) -> Change {
        self.store.change(self.entry(org, actor, action, target, detail))
    }

    /// Appends an entry about something that changes no row of the store.
    pub async fn append(
        &self,
        org: &OrgId,
        actor: &str,
        action: &str,
        target: &str,
        detail: Value,
    ) -> Result<(), Failure> {
        let entry = self.entry(org, actor, action, target, detail);
        Ok(self.store.append_audit(&entry).await?)
    }
}
