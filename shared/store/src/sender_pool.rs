//! The pool of an organization: its senders without an agent, and the agent that each serves for a contact.

use butt_dial_domain::{AgentId, Channel, ChannelId, OrgId, ProviderAccountId, clock::Timestamp, senders::Candidate};

use crate::{
    Change, Store, StoreError,
    engine::{in_tx, on_reader, on_writer, with_timeout},
};

#[derive(sqlx::FromRow)]
struct CandidateRow {
    id: String,
    address: String,
    country: Option<String>,
    account_id: Option<String>,
    account_version: Option<i64>,
    us_registration: Option<String>,
    status: String,
    blocks_outbound: bool,
    bound_to: Option<String>,
}

impl Store {
    /// Lists the organization's pool on a channel, with the agent that each sender serves for the contact. Bindings that were
    /// last used before `expired` do not count.
    pub async fn list_pool(
        &self,
        org: &OrgId,
        channel: Channel,
        contact: &str,
        expired: Timestamp,
    ) -> Result<Vec<Candidate>, StoreError> {
        const SQL: &str = "SELECT c.id, c.address, c.country, c.account_id, c.us_registration, c.status, c.blocks_outbound,
                (SELECT p.version FROM provider_accounts p WHERE p.id = c.account_id) AS account_version,
                (SELECT b.agent_id FROM sender_bindings b WHERE b.channel_id = c.id AND b.contact = $3 AND b.used_at > $4)
                    AS bound_to
            FROM channels c WHERE c.org_id = $1 AND c.channel = $2 AND c.agent_id IS NULL AND c.released_at IS NULL
            ORDER BY c.id";
        let rows: Vec<CandidateRow> = on_reader!(self, |db| sqlx::query_as(SQL)
            .bind(org.as_str())
            .bind(channel.as_str())
            .bind(contact)
            .bind(expired)
            .fetch_all(db)
            .await)?;
        let candidate = |row: CandidateRow| Candidate {
            id: row.id.into(),
            address: row.address,
            country: row.country,
            account: row.account_id.map(ProviderAccountId::from).zip(row.account_version),
            is_pooled: true,
            is_primary: false,
            is_registered: row.us_registration.is_none_or(|state| state == "done"),
            is_paused: row.status == "paused" || row.blocks_outbound,
            bound_to: row.bound_to.map(AgentId::from),
        };
        Ok(rows.into_iter().map(candidate).collect())
    }

    /// Deletes up to `limit` bindings that were last used before `expired`. Returns how many.
    pub async fn delete_expired_bindings(&self, expired: Timestamp, limit: u32) -> Result<u64, StoreError> {
        const SQL: &str = "DELETE FROM sender_bindings WHERE (channel_id, contact) IN
            (SELECT channel_id, contact FROM sender_bindings WHERE used_at <= $1 ORDER BY used_at LIMIT $2)";
        Ok(on_writer!(self, |db| sqlx::query(SQL)
            .bind(expired)
            .bind(i64::from(limit))
            .execute(db)
            .await
            .map(|done| done.rows_affected()))?)
    }

    /// Binds a sender of the pool to an agent for a contact, or renews the binding. Returns false if it serves another agent;
    /// bindings that were last used before `expired` do not count.
    pub async fn bind_sender(
        &self,
        sender: &ChannelId,
        contact: &str,
        (org, agent): (&OrgId, &AgentId),
        now: Timestamp,
        expired: Timestamp,
    ) -> Result<bool, StoreError> {
        const SQL: &str = "INSERT INTO sender_bindings (channel_id, contact, org_id, agent_id, used_at)
            VALUES ($1, $2, $3, $4, $5)
            ON CONFLICT (channel_id, contact) DO UPDATE SET agent_id = excluded.agent_id, used_at = excluded.used_at
            WHERE sender_bindings.agent_id = excluded.agent_id OR sender_bindings.used_at <= $6";
        let done = on_writer!(self, |db| sqlx::query(SQL)
            .bind(sender.as_str())
            .bind(contact)
            .bind(org.as_str())
            .bind(agent.as_str())
            .bind(now)
            .bind(expired)
            .execute(db)
            .await
            .map(|done| done.rows_affected()))?;
        Ok(done == 1)
    }
}

impl Change {
    /// Gives a sender of the pool to an agent, with the bindings that it has. Returns false if it is not in the pool.
    pub async fn assign_pooled_sender(&self, org: &OrgId, id: &ChannelId, agent: &AgentId) -> Result<bool, StoreError> {
        const ASSIGN: &str = "UPDATE channels SET agent_id = $3,
                is_primary = NOT EXISTS (SELECT 1 FROM channels c WHERE c.agent_id = $3 AND c.channel = channels.channel
                    AND c.is_primary)
            WHERE org_id = $1 AND id = $2 AND agent_id IS NULL AND released_at IS NULL";
        const UNBIND: &str = "DELETE FROM sender_bindings WHERE channel_id = $1";
        with_timeout(async {
            let mut tx = self.begin().await?;
            let assigned = in_tx!(&mut tx, |db| sqlx::query(ASSIGN)
                .bind(org.as_str())
                .bind(id.as_str())
                .bind(agent.as_str())
                .execute(db)
                .await?
                .rows_affected());
            in_tx!(&mut tx, |db| sqlx::query(UNBIND)
                .bind(id.as_str())
                .execute(db)
                .await
                .map(drop))?;
            if assigned == 1 {
                self.commit(tx).await?;
            }
            Ok(assigned == 1)
        })
        .await
    }
}
