//! Conversations that a person has taken over from an agent: pauses of contacts with the principal that answers. One row holds the
//! pause or the takeover of a contact, so a send reads both at once (`contact_state.rs`), and the statement that accepts it leaves it
//! out (`sends/`).

use butt_dial_domain::{AgentId, OrgId, clock::Timestamp};

use crate::{
    Change, NewEvent, Store, StoreError,
    engine::{in_tx, on_reader, with_timeout},
    events::{self, Appended},
};

/// The ids of takeovers begin with it.
pub const TAKEOVER_PREFIX: &str = "tko_";

/// A takeover to write.
#[derive(Clone, Copy, Debug)]
pub struct NewTakeover<'a> {
    /// Begins with `TAKEOVER_PREFIX`.
    pub id: &'a str,
    pub org: &'a OrgId,
    pub agent: &'a AgentId,
    /// A `contact_key`.
    pub contact: &'a str,
    /// The principal that answers: a member or a token.
    pub taken_by: &'a str,
    pub until: Timestamp,
    /// Reports it to the agent.
    pub event: &'a NewEvent<'a>,
}

/// A conversation that is taken over.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Takeover {
    pub id: String,
    pub agent_id: String,
    /// A `contact_key`.
    pub contact: String,
    pub taken_by: String,
    /// The address of the member. `None`: a token has taken it over.
    pub taker: Option<String>,
    pub taken_at: Timestamp,
    pub until_at: Timestamp,
}

/// The result of a takeover.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TakeoverResult {
    Taken,
    /// Another principal was first.
    TakenBy(Takeover),
}

impl Takeover {
    pub fn agent(&self) -> AgentId {
        AgentId::from(self.agent_id.as_str())
    }
}

impl Store {
    /// Lists the conversations of an organization that are taken over, after an id.
    pub async fn list_takeovers(
        &self,
        org: &OrgId,
        after: &str,
        limit: u32,
        now: Timestamp,
    ) -> Result<Vec<Takeover>, StoreError> {
        const SQL: &str = "SELECT id, agent_id, contact, taken_by, taken_at, until_at,
                (SELECT email FROM users u WHERE u.id = taken_by) AS taker FROM contact_pauses
            WHERE org_id = $1 AND until_at > $2 AND id > $3 AND taken_by IS NOT NULL ORDER BY id LIMIT $4";
        Ok(on_reader!(self, |db| sqlx::query_as(SQL)
            .bind(org.as_str())
            .bind(now)
            .bind(after)
            .bind(i64::from(limit))
            .fetch_all(db)
            .await)?)
    }

    /// Finds the takeover of the organization with this id, also one that is over.
    pub async fn find_takeover(&self, org: &OrgId, id: &str) -> Result<Option<Takeover>, StoreError> {
        const SQL: &str = "SELECT id, agent_id, contact, taken_by, taken_at, until_at,
                (SELECT email FROM users u WHERE u.id = taken_by) AS taker FROM contact_pauses
            WHERE org_id = $1 AND id = $2 AND taken_by IS NOT NULL";
        Ok(on_reader!(self, |db| sqlx::query_as(SQL)
            .bind(org.as_str())
            .bind(id)
            .fetch_optional(db)
            .await)?)
    }

    /// Finds who answers a contact in place of the agent now.
    pub async fn find_takeover_of(
        &self,
        agent: &AgentId,
        contact: &str,
        now: Timestamp,
    ) -> Result<Option<Takeover>, StoreError> {
        const SQL: &str = "SELECT id, agent_id, contact, taken_by, taken_at, until_at,
                (SELECT email FROM users u WHERE u.id = taken_by) AS taker FROM contact_pauses
            WHERE agent_id = $1 AND contact = $2 AND taken_by IS NOT NULL AND until_at > $3";
        Ok(on_reader!(self, |db| sqlx::query_as(SQL)
            .bind(agent.as_str())
            .bind(contact)
            .bind(now)
            .fetch_optional(db)
            .await)?)
    }
}

impl Change {
    /// Takes a conversation over, or extends the own takeover, and appends the event that reports it in the same transaction. It
    /// replaces a pause. Takeovers of the agent that are over are deleted.
    pub async fn take_over(&self, new: &NewTakeover<'_>, now: Timestamp) -> Result<TakeoverResult, StoreError> {
        const OVER: &str = "DELETE FROM contact_pauses WHERE agent_id = $1 AND until_at <= $2";
        const TAKE: &str = "INSERT INTO contact_pauses (agent_id, contact, org_id, until_at, id, taken_by, taken_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7)
            ON CONFLICT (agent_id, contact) DO UPDATE SET id = excluded.id, until_at = excluded.until_at, subject = NULL,
                taken_by = excluded.taken_by, taken_at = excluded.taken_at
            WHERE contact_pauses.taken_by IS NULL OR contact_pauses.taken_by = excluded.taken_by
                OR contact_pauses.until_at <= excluded.taken_at";
        const HOLDER: &str = "SELECT id, agent_id, contact, taken_by, taken_at, until_at,
                (SELECT email FROM users u WHERE u.id = taken_by) AS taker FROM contact_pauses
            WHERE agent_id = $1 AND contact = $2 AND taken_by IS NOT NULL";
        with_timeout(async {
            let mut tx = self.begin().await?;
            in_tx!(&mut tx, |db| sqlx::query(OVER)
                .bind(new.agent.as_str())
                .bind(now)
                .execute(db)
                .await
                .map(drop)?);
            let taken = in_tx!(&mut tx, |db| sqlx::query(TAKE)
                .bind(new.agent.as_str())
                .bind(new.contact)
                .bind(new.org.as_str())
                .bind(new.until)
                .bind(new.id)
                .bind(new.taken_by)
                .bind(now)
                .execute(db)
                .await?
                .rows_affected());
            if taken == 0 {
                let holder: Option<Takeover> = in_tx!(&mut tx, |db| sqlx::query_as(HOLDER)
                    .bind(new.agent.as_str())
                    .bind(new.contact)
                    .fetch_optional(db)
                    .await?);
                // None: it was given back at this moment.
                return holder.map(TakeoverResult::TakenBy).ok_or(StoreError::Conflict);
            }
            // Last: it holds the lock of the agent's log until the end.
            if events::append_in(&mut tx, new.event, now).await? != Appended::New {
                return Err(StoreError::Conflict);
            }
            self.commit(tx).await?;
            Ok(TakeoverResult::Taken)
        })
        .await
    }

    /// Gives a conversation back to its agent, and appends the event that reports it in the same transaction. Returns false without a
    /// change when it is not taken over any more.
    pub async fn return_conversation(
        &self,
        (org, id): (&OrgId, &str),
        event: &NewEvent<'_>,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        const END: &str =
            "DELETE FROM contact_pauses WHERE org_id = $1 AND id = $2 AND taken_by IS NOT NULL AND until_at > $3";
        with_timeout(async {
            let mut tx = self.begin().await?;
            let ended = in_tx!(&mut tx, |db| sqlx::query(END)
                .bind(org.as_str())
                .bind(id)
                .bind(now)
                .execute(db)
                .await?
                .rows_affected());
            if ended == 0 || events::append_in(&mut tx, event, now).await? != Appended::New {
                return Ok(false);
            }
            self.commit(tx).await?;
            Ok(true)
        })
        .await
    }
}
