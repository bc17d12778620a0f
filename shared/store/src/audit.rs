//! The audit log: administrative changes with their actor. Append-only.

use std::time::Instant;

use butt_dial_domain::{OrgId, clock::Timestamp};
use serde_json::Value;
use sqlx::types::Json;

use crate::{
    Store, StoreError,
    engine::{on_reader, on_writer},
};

/// An administrative change.
#[derive(Clone, Debug, PartialEq, sqlx::FromRow)]
pub struct AuditEntry {
    pub org_id: Option<String>,
    /// A token's id, or `system`.
    pub actor: String,
    /// Noun and verb, such as `token.revoke`.
    pub action: String,
    pub target: String,
    #[sqlx(json)]
    pub detail: Value,
    pub at: Timestamp,
}

impl Store {
    /// Appends an entry.
    pub async fn append_audit(&self, entry: &AuditEntry) -> Result<(), StoreError> {
        const SQL: &str = "INSERT INTO audit (id, org_id, actor, action, target, detail, at)
            VALUES ($1, $2, $3, $4, $5, $6, $7)";
        let id = format!("aud_{}", butt_dial_domain::ids::unique());
        on_writer!(self, |db| {
            sqlx::query(SQL)
                .bind(&id)
                .bind(&entry.org_id)
                .bind(&entry.actor)
                .bind(&entry.action)
                .bind(&entry.target)
                .bind(Json(&entry.detail))
                .bind(entry.at)
                .execute(db)
                .await
                .map(drop)
        })?;
        // The change itself was written before.
        if let Some(org) = &entry.org_id {
            self.changes.note(org);
        }
        Ok(())
    }

    /// Returns whether this process has changed the organization since `read_at`: what was cached then may be outdated.
    pub fn has_changed_since(&self, org: &OrgId, read_at: Instant) -> bool {
        self.changes.has_changed_since(org, read_at)
    }

    /// Lists the organization's newest entries, newest first.
    pub async fn list_audit(&self, org: &OrgId, limit: u32) -> Result<Vec<AuditEntry>, StoreError> {
        const SQL: &str = "SELECT org_id, actor, action, target, detail, at FROM audit WHERE org_id = $1
            ORDER BY at DESC, id DESC LIMIT $2";
        Ok(on_reader!(self, |db| {
            sqlx::query_as(SQL)
                .bind(org.as_str())
                .bind(i64::from(limit))
                .fetch_all(db)
                .await
        })?)
    }
}
