//! Checks of the webhooks of numbers: which numbers are due. The vendor's settings can be changed outside of this program.

use butt_dial_domain::{ChannelId, clock::Timestamp};

use crate::{
    Sender, Store, StoreError,
    engine::{Sql, on_writer},
    senders::SenderRow,
};

impl Store {
    /// Claims numbers of all organizations that were checked before `before`, the longest ago first. They are due again a day after
    /// `now`. A number is first due a day after it was added.
    pub async fn claim_number_checks(
        &self,
        limit: u32,
        before: Timestamp,
        now: Timestamp,
    ) -> Result<Vec<Sender>, StoreError> {
        const SQL: Sql = Sql {
            postgres: "UPDATE channels SET webhooks_checked_at = $2 WHERE id IN (SELECT id FROM channels
                    WHERE channel = 'sms' AND (number_id IS NOT NULL OR account_id IS NOT NULL) AND released_at IS NULL
                        AND coalesce(webhooks_checked_at, created_at) <= $1
                    ORDER BY coalesce(webhooks_checked_at, created_at) LIMIT $3 FOR UPDATE SKIP LOCKED)
                RETURNING id, org_id, agent_id, channel, address, status, label, is_primary, account_id, number_id, country,
                    registration_id, registration, us_registration, created_at, released_at",
            sqlite: "UPDATE channels SET webhooks_checked_at = $2 WHERE id IN (SELECT id FROM channels
                    WHERE channel = 'sms' AND (number_id IS NOT NULL OR account_id IS NOT NULL) AND released_at IS NULL
                        AND coalesce(webhooks_checked_at, created_at) <= $1
                    ORDER BY coalesce(webhooks_checked_at, created_at) LIMIT $3)
                RETURNING id, org_id, agent_id, channel, address, status, label, is_primary, account_id, number_id, country,
                    registration_id, registration, us_registration, created_at, released_at",
        };
        let sql = self.sql(SQL);
        let rows: Vec<SenderRow> = on_writer!(self, |db| sqlx::query_as(sql)
            .bind(before)
            .bind(now)
            .bind(i64::from(limit))
            .fetch_all(db)
            .await)?;
        rows.into_iter().map(Sender::try_from).collect()
    }

    /// Stores that the webhooks of a number were checked.
    pub async fn note_number_check(&self, id: &ChannelId, now: Timestamp) -> Result<(), StoreError> {
        const SQL: &str = "UPDATE channels SET webhooks_checked_at = $2 WHERE id = $1";
        on_writer!(self, |db| sqlx::query(SQL)
            .bind(id.as_str())
            .bind(now)
            .execute(db)
            .await
            .map(drop))?;
        Ok(())
    }
}
