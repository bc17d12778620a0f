//! Contacts that an agent does not write to for a time, because a program answers there. Read with the contact's state
//! (`contact_state.rs`).

use butt_dial_domain::{AgentId, OrgId, clock::Timestamp};

use crate::{
    Change, StoreError,
    engine::{in_tx, with_timeout},
};

impl Change {
    /// Pauses an agent's messages to a contact (a `contact_key`). Returns false, and changes nothing, when it is paused already. Pauses
    /// of the agent that are over are deleted.
    pub async fn pause_contact(
        &self,
        (org, agent): (&OrgId, &AgentId),
        contact: &str,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        const OVER: &str = "DELETE FROM contact_pauses WHERE agent_id = $1 AND until_at <= $2";
        const PAUSE: &str = "INSERT INTO contact_pauses (agent_id, contact, org_id, until_at) VALUES ($1, $2, $3, $4)
            ON CONFLICT DO NOTHING";
        with_timeout(async {
            let mut tx = self.begin().await?;
            in_tx!(&mut tx, |db| sqlx::query(OVER)
                .bind(agent.as_str())
                .bind(now)
                .execute(db)
                .await
                .map(drop)?);
            let paused = in_tx!(&mut tx, |db| sqlx::query(PAUSE)
                .bind(agent.as_str())
                .bind(contact)
                .bind(org.as_str())
                .bind(until)
                .execute(db)
                .await?
                .rows_affected());
            if paused == 0 {
                return Ok(false);
            }
            self.commit(tx).await?;
            Ok(true)
        })
        .await
    }
}
