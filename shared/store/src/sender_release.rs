//! The release of senders: out of use at once, with a hold in which they can be taken back, and then deleted.

use butt_dial_domain::{AgentId, ChannelId, OrgId, clock::Timestamp};

use crate::{
    Change, Sender, Store, StoreError,
    change::on_change,
    engine::{in_tx, on_reader, on_writer, with_timeout},
    senders::SenderRow,
};

impl Store {
    /// Takes all senders of an organization out of use since `since`, and lists them, in pages.
    pub async fn release_organization(
        &self,
        org: &OrgId,
        since: Timestamp,
        limit: u32,
    ) -> Result<Vec<Sender>, StoreError> {
        const RELEASE: &str = "UPDATE channels SET released_at = $2, is_primary = FALSE
            WHERE org_id = $1 AND (released_at IS NULL OR released_at > $2)";
        const LIST: &str = "SELECT id, org_id, agent_id, channel, address, status, label, is_primary, account_id,
            number_id, country, registration_id, registration, us_registration, created_at, released_at
            FROM channels WHERE org_id = $1 ORDER BY id LIMIT $2";
        on_writer!(self, |db| sqlx::query(RELEASE)
            .bind(org.as_str())
            .bind(since)
            .execute(db)
            .await
            .map(drop))?;
        let rows: Vec<SenderRow> = on_reader!(self, |db| sqlx::query_as(LIST)
            .bind(org.as_str())
            .bind(i64::from(limit))
            .fetch_all(db)
            .await)?;
        rows.into_iter().map(Sender::try_from).collect()
    }

    /// Ends the hold of released senders: it counts from `since`. Returns whether one was released.
    pub async fn end_hold(&self, org: &OrgId, ids: &[ChannelId], since: Timestamp) -> Result<bool, StoreError> {
        const SQL: &str =
            "UPDATE channels SET released_at = $3 WHERE org_id = $1 AND id = $2 AND released_at IS NOT NULL";
        let mut ended = 0;
        for id in ids {
            ended += on_writer!(self, |db| sqlx::query(SQL)
                .bind(org.as_str())
                .bind(id.as_str())
                .bind(since)
                .execute(db)
                .await
                .map(|done| done.rows_affected()))?;
        }
        Ok(ended > 0)
    }

    /// Lists senders of all organizations that were released before `before`, oldest first.
    pub async fn list_released_senders(&self, before: Timestamp, limit: u32) -> Result<Vec<Sender>, StoreError> {
        const SQL: &str =
            "SELECT id, org_id, agent_id, channel, address, status, label, is_primary, account_id, number_id, country,
                registration_id, registration, us_registration, created_at, released_at
                FROM channels WHERE released_at IS NOT NULL AND released_at <= $1 ORDER BY released_at, id LIMIT $2";
        let rows: Vec<SenderRow> = on_reader!(self, |db| sqlx::query_as(SQL)
            .bind(before)
            .bind(i64::from(limit))
            .fetch_all(db)
            .await)?;
        rows.into_iter().map(Sender::try_from).collect()
    }

    /// Deletes a released sender with its windows and bindings. Returns whether it was released.
    pub async fn delete_released_sender(&self, id: &ChannelId) -> Result<bool, StoreError> {
        const WINDOWS: &str = "DELETE FROM inbound_windows WHERE channel_id = $1";
        const BINDINGS: &str = "DELETE FROM sender_bindings WHERE channel_id = $1";
        const SENDER: &str = "DELETE FROM channels WHERE id = $1 AND released_at IS NOT NULL";
        with_timeout(async {
            let mut tx = self.begin().await?;
            for sql in [WINDOWS, BINDINGS] {
                in_tx!(&mut tx, |db| sqlx::query(sql)
                    .bind(id.as_str())
                    .execute(db)
                    .await
                    .map(drop))?;
            }
            let deleted = in_tx!(&mut tx, |db| sqlx::query(SENDER)
                .bind(id.as_str())
                .execute(db)
                .await?
                .rows_affected());
            if deleted == 1 {
                tx.commit().await?;
            }
            Ok(deleted == 1)
        })
        .await
    }
}

impl Change {
    /// Takes senders out of use: no route and no agent has them any more. Their addresses stay reserved for the organization
    /// until they are deleted. Returns how many were in use.
    pub async fn release_senders(&self, org: &OrgId, ids: &[ChannelId], now: Timestamp) -> Result<u64, StoreError> {
        const RELEASE: &str = "UPDATE channels SET released_at = $3, is_primary = FALSE
            WHERE org_id = $1 AND id = $2 AND released_at IS NULL";
        with_timeout(async {
            let mut tx = self.begin().await?;
            let mut released = 0;
            for id in ids {
                released += in_tx!(&mut tx, |db| sqlx::query(RELEASE)
                    .bind(org.as_str())
                    .bind(id.as_str())
                    .bind(now)
                    .execute(db)
                    .await?
                    .rows_affected());
            }
            if released > 0 {
                self.commit(tx).await?;
            }
            Ok(released)
        })
        .await
    }

    /// Gives a sender that was released after `held_since` to an agent of the organization, or to the pool. Returns false if it
    /// is in use, its hold has ended, or it is gone.
    pub async fn take_back_sender(
        &self,
        org: &OrgId,
        id: &ChannelId,
        agent: Option<&AgentId>,
        held_since: Timestamp,
    ) -> Result<bool, StoreError> {
        const SQL: &str = "UPDATE channels SET released_at = NULL, status = 'active', agent_id = $3,
                is_primary = NOT EXISTS (SELECT 1 FROM channels c WHERE c.agent_id = $3 AND c.channel = channels.channel
                    AND c.is_primary)
            WHERE org_id = $1 AND id = $2 AND released_at > $4";
        let done = on_change!(self, |db| sqlx::query(SQL)
            .bind(org.as_str())
            .bind(id.as_str())
            .bind(agent.map(AgentId::as_str))
            .bind(held_since)
            .execute(db)
            .await
            .map(|done| done.rows_affected()))?;
        Ok(done == 1)
    }
}
