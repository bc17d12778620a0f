//! Administrative changes with their audit entries: both are written in one transaction, or neither. A function that changes an
//! administrative table is a method of [`Change`], which has the entry.

use butt_dial_domain::OrgId;

use crate::{AuditEntry, Store, StoreError, audit, engine::Tx};

/// The store for one change, with the entry that the change writes. An entry of a change that has no effect is not written.
#[derive(Clone)]
pub struct Change {
    pub(crate) store: Store,
    pub(crate) entry: AuditEntry,
}

/// Runs a statement in a transaction with the entry of the change, within the time limit of calls. The statement returns the
/// number of affected rows; with none, nothing is written. Evaluates to that number.
macro_rules! on_change {
    ($change:expr, |$db:ident| $body:expr) => {
        $crate::engine::with_timeout(async {
            let mut tx = $change.begin().await?;
            let affected: u64 = $crate::engine::in_tx!(&mut tx, |$db| $body)?;
            if affected > 0 {
                $change.commit(tx).await?;
            }
            Ok::<u64, $crate::StoreError>(affected)
        })
        .await
    };
}

pub(crate) use on_change;

impl Store {
    /// Begins a change. The entry says who makes it, and what it is.
    pub fn change(&self, entry: AuditEntry) -> Change {
        Change {
            store: self.clone(),
            entry,
        }
    }
}

impl Change {
    /// Names the target, where it has its id only now.
    #[must_use]
    pub fn of(mut self, target: &str) -> Self {
        self.entry.target = target.into();
        self
    }

    /// Names the organization that the change creates.
    pub(crate) fn about(&self, org: &OrgId) -> Self {
        let mut change = self.clone().of(org.as_str());
        change.entry.org_id = Some(org.to_string());
        change
    }

    pub(crate) async fn begin(&self) -> Result<Tx, sqlx::Error> {
        self.store.begin().await
    }

    /// Writes the entry, and commits.
    pub(crate) async fn commit(&self, tx: Tx) -> Result<(), StoreError> {
        self.commit_with(tx, |_| ()).await
    }

    /// Writes the entry with what became known during the change, and commits.
    pub(crate) async fn commit_with(
        &self,
        mut tx: Tx,
        complete: impl FnOnce(&mut AuditEntry),
    ) -> Result<(), StoreError> {
        let mut entry = self.entry.clone();
        complete(&mut entry);
        audit::append_in(&mut tx, &entry).await?;
        tx.commit().await?;
        if let Some(org) = &entry.org_id {
            self.store.changes.note(org);
        }
        Ok(())
    }
}
