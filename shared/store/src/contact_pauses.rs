//! Contacts that an agent does not write to for a time, because a program answers there. Read with the contact's state
//! (`contact_state.rs`). Rows with `taken_by` are those of `takeovers.rs`.

use butt_dial_domain::{AgentId, OrgId, clock::Timestamp};

use crate::{
    Change, NewEvent, Store, StoreError,
    engine::{Sql, in_tx, on_reader, with_timeout},
    events::{self, Appended},
};

/// The ids of pauses begin with it.
pub const PAUSE_PREFIX: &str = "pau_";

/// A pause to write.
#[derive(Clone, Copy, Debug)]
pub struct NewPause<'a> {
    /// Begins with `PAUSE_PREFIX`.
    pub id: &'a str,
    pub org: &'a OrgId,
    pub agent: &'a AgentId,
    /// A `contact_key`.
    pub contact: &'a str,
    pub until: Timestamp,
    /// The detector and the subject of its anomaly.
    pub cause: (&'a str, &'a str),
    /// Reports the pause to the agent.
    pub event: &'a NewEvent<'a>,
}

/// A pause that is not over.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct ContactPause {
    pub id: String,
    pub agent_id: String,
    /// A `contact_key`.
    pub contact: String,
    /// The subject of its anomaly. `None`: an older release has written it.
    pub subject: Option<String>,
    pub until_at: Timestamp,
}

impl Store {
    /// Lists the pauses of an organization that are not over, after an id.
    pub async fn list_contact_pauses(
        &self,
        org: &OrgId,
        after: &str,
        limit: u32,
        now: Timestamp,
    ) -> Result<Vec<ContactPause>, StoreError> {
        const SQL: &str = "SELECT id, agent_id, contact, subject, until_at FROM contact_pauses
            WHERE org_id = $1 AND until_at > $2 AND id > $3 AND taken_by IS NULL ORDER BY id LIMIT $4";
        Ok(on_reader!(self, |db| sqlx::query_as(SQL)
            .bind(org.as_str())
            .bind(now)
            .bind(after)
            .bind(i64::from(limit))
            .fetch_all(db)
            .await)?)
    }
}

impl Change {
    /// Pauses an agent's messages to a contact, and appends the event that reports it in the same transaction. Returns false without a
    /// change when the contact is paused already, a person has dismissed the open anomaly, or the event exists. Pauses of the agent that
    /// are over are deleted.
    pub async fn pause_contact(&self, new: &NewPause<'_>, now: Timestamp) -> Result<bool, StoreError> {
        // The lock: a dismissal at the same time ends the pause, or is seen here.
        const DISMISSED: Sql = Sql {
            postgres: "SELECT dismissed_at FROM anomalies
                WHERE coalesce(org_id, 'installation') = $1 AND detector = $2 AND subject = $3 AND ended_at IS NULL FOR SHARE",
            sqlite: "SELECT dismissed_at FROM anomalies
                WHERE coalesce(org_id, 'installation') = $1 AND detector = $2 AND subject = $3 AND ended_at IS NULL",
        };
        const OVER: &str = "DELETE FROM contact_pauses WHERE agent_id = $1 AND until_at <= $2";
        const PAUSE: &str = "INSERT INTO contact_pauses (agent_id, contact, org_id, until_at, id, subject)
            VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING";
        let (detector, subject) = new.cause;
        let dismissed_sql = self.store.sql(DISMISSED);
        with_timeout(async {
            let mut tx = self.begin().await?;
            let dismissed: Option<Option<Timestamp>> = in_tx!(&mut tx, |db| sqlx::query_scalar(dismissed_sql)
                .bind(new.org.as_str())
                .bind(detector)
                .bind(subject)
                .fetch_optional(db)
                .await?);
            if dismissed.flatten().is_some() {
                return Ok(false);
            }
            in_tx!(&mut tx, |db| sqlx::query(OVER)
                .bind(new.agent.as_str())
                .bind(now)
                .execute(db)
                .await
                .map(drop)?);
            let paused = in_tx!(&mut tx, |db| sqlx::query(PAUSE)
                .bind(new.agent.as_str())
                .bind(new.contact)
                .bind(new.org.as_str())
                .bind(new.until)
                .bind(new.id)
                .bind(subject)
                .execute(db)
                .await?
                .rows_affected());
            // Last: it holds the lock of the agent's log until the end.
            if paused == 0 || events::append_in(&mut tx, new.event, now).await? != Appended::New {
                return Ok(false);
            }
            self.commit(tx).await?;
            Ok(true)
        })
        .await
    }

    /// Ends a pause of the organization, and dismisses its open anomaly of this detector: the contact is not paused again for it.
    /// Returns the pause, or `None` when there is none.
    pub async fn end_contact_pause(
        &self,
        (org, id): (&OrgId, &str),
        detector: &str,
        by: &str,
        now: Timestamp,
    ) -> Result<Option<ContactPause>, StoreError> {
        // In the order of `dismiss_anomaly` and `pause_contact`.
        const DISMISS: &str = "UPDATE anomalies SET dismissed_at = $4, dismissed_by = $5
            WHERE coalesce(org_id, 'installation') = $1 AND detector = $3 AND ended_at IS NULL AND dismissed_at IS NULL
                AND subject = (SELECT p.subject FROM contact_pauses p WHERE p.org_id = $1 AND p.id = $2) RETURNING id";
        const LIFT: &str = "DELETE FROM agent_restraints WHERE anomaly_id = $1";
        const END: &str = "DELETE FROM contact_pauses WHERE org_id = $1 AND id = $2 AND taken_by IS NULL
            RETURNING id, agent_id, contact, subject, until_at";
        with_timeout(async {
            let mut tx = self.begin().await?;
            let dismissed: Vec<String> = in_tx!(&mut tx, |db| sqlx::query_scalar(DISMISS)
                .bind(org.as_str())
                .bind(id)
                .bind(detector)
                .bind(now)
                .bind(by)
                .fetch_all(db)
                .await?);
            for anomaly in &dismissed {
                in_tx!(&mut tx, |db| sqlx::query(LIFT)
                    .bind(anomaly)
                    .execute(db)
                    .await
                    .map(drop)?);
            }
            let ended: Option<ContactPause> = in_tx!(&mut tx, |db| sqlx::query_as(END)
                .bind(org.as_str())
                .bind(id)
                .fetch_optional(db)
                .await?);
            if ended.is_some() {
                self.commit(tx).await?;
            }
            Ok(ended)
        })
        .await
    }
}
