//! Contacts that agents trust for a time.

use butt_dial_domain::{AgentId, OrgId, clock::Timestamp};

use crate::{
    Store, StoreError,
    engine::{on_reader, on_writer},
};

/// A trust session to store.
#[derive(Clone, Debug)]
pub struct NewTrust<'a> {
    pub org: &'a OrgId,
    pub agent: &'a AgentId,
    /// The key of the person (`contact_key`).
    pub contact: &'a str,
    /// A channel, or `manual`.
    pub method: &'a str,
    /// The id of the token.
    pub granted_by: &'a str,
    pub expires_at: Timestamp,
}

/// The last trust session of an agent with a contact. It may be over.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct TrustSession {
    pub method: String,
    pub granted_at: Timestamp,
    pub expires_at: Timestamp,
    pub revoked_at: Option<Timestamp>,
}

impl TrustSession {
    pub fn is_open(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.expires_at > now
    }
}

impl Store {
    /// Stores a trust session, in place of the former one.
    pub async fn grant_trust(&self, new: &NewTrust<'_>, now: Timestamp) -> Result<(), StoreError> {
        const SQL: &str = "INSERT INTO trust_sessions
                (agent_id, contact, org_id, method, granted_by, granted_at, expires_at, revoked_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7, NULL)
            ON CONFLICT (agent_id, contact) DO UPDATE SET method = excluded.method, granted_by = excluded.granted_by,
                granted_at = excluded.granted_at, expires_at = excluded.expires_at, revoked_at = NULL";
        on_writer!(self, |db| {
            sqlx::query(SQL)
                .bind(new.agent.as_str())
                .bind(new.contact)
                .bind(new.org.as_str())
                .bind(new.method)
                .bind(new.granted_by)
                .bind(now)
                .bind(new.expires_at)
                .execute(db)
                .await
                .map(drop)
        })?;
        Ok(())
    }

    /// Finds the agent's last trust session with a contact.
    pub async fn find_trust(&self, agent: &AgentId, contact: &str) -> Result<Option<TrustSession>, StoreError> {
        const SQL: &str = "SELECT method, granted_at, expires_at, revoked_at FROM trust_sessions
            WHERE agent_id = $1 AND contact = $2";
        Ok(on_reader!(self, |db| {
            sqlx::query_as(SQL)
                .bind(agent.as_str())
                .bind(contact)
                .fetch_optional(db)
                .await
        })?)
    }

    /// Ends an open trust session. Returns false when there is none.
    pub async fn revoke_trust(&self, agent: &AgentId, contact: &str, now: Timestamp) -> Result<bool, StoreError> {
        const SQL: &str = "UPDATE trust_sessions SET revoked_at = $3
            WHERE agent_id = $1 AND contact = $2 AND revoked_at IS NULL AND expires_at > $3";
        Ok(on_writer!(self, |db| {
            let result = sqlx::query(SQL)
                .bind(agent.as_str())
                .bind(contact)
                .bind(now)
                .execute(db)
                .await;
            result.map(|done| done.rows_affected())
        })? > 0)
    }
}
