//! People who have been told that an AI assistant writes to them. Read with the contact's state (`contact_state.rs`).

use butt_dial_domain::{Channel, OrgId, clock::Timestamp};

use crate::{Store, StoreError, engine::on_writer};

impl Store {
    /// Records that a person has been told on a channel. `contact` is the key of the person.
    pub async fn record_disclosure(
        &self,
        org: &OrgId,
        channel: Channel,
        contact: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        const SQL: &str = "INSERT INTO ai_disclosures (org_id, channel, contact, at) VALUES ($1, $2, $3, $4)
            ON CONFLICT DO NOTHING";
        on_writer!(self, |db| {
            sqlx::query(SQL)
                .bind(org.as_str())
                .bind(channel.as_str())
                .bind(contact)
                .bind(now)
                .execute(db)
                .await
                .map(drop)
        })
        .map_err(StoreError::from)
    }
}
