//! One-time codes that were sent to people. The code itself must never reach this module, only its keyed hash.

use butt_dial_domain::{AgentId, ChallengeId, Channel, OrgId, clock::Timestamp};

use crate::{
    Store, StoreError,
    column::text_column,
    engine::{Sql, on_reader, on_writer},
};

/// The owner of a challenge, which alone confirms it: an agent, or the organization itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChallengeOwner {
    pub org: OrgId,
    pub agent: Option<AgentId>,
}

/// The state of a challenge. Expiry and used-up tries are no states: they follow from time and count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::Display, strum::EnumString, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum ChallengeState {
    Pending,
    /// The code was confirmed; it is used up.
    Confirmed,
    /// A later code to the same person has taken its place.
    Replaced,
}

text_column!(ChallengeState, "challenges", "state");

/// A challenge to store.
#[derive(Clone, Debug)]
pub struct NewChallenge<'a> {
    pub id: &'a ChallengeId,
    pub owner: &'a ChallengeOwner,
    pub purpose: &'a str,
    pub channel: Channel,
    pub address: &'a str,
    /// The key of the person (`contact_key`).
    pub contact: &'a str,
    pub code_hash: &'a str,
    pub expires_at: Timestamp,
}

/// A stored challenge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    pub id: ChallengeId,
    pub purpose: String,
    pub channel: Channel,
    pub address: String,
    pub contact: String,
    pub code_hash: String,
    pub tries: i64,
    pub state: ChallengeState,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
}

#[derive(sqlx::FromRow)]
struct ChallengeRow {
    id: String,
    purpose: String,
    channel: String,
    address: String,
    contact: String,
    code_hash: String,
    tries: i64,
    state: ChallengeState,
    created_at: Timestamp,
    expires_at: Timestamp,
}

impl TryFrom<ChallengeRow> for Challenge {
    type Error = StoreError;

    fn try_from(row: ChallengeRow) -> Result<Self, StoreError> {
        let channel = Channel::parse(&row.channel).ok_or_else(|| StoreError::Corrupt {
            table: "challenges",
            column: "channel",
            row: row.id.clone(),
            value: row.channel.clone(),
        })?;
        Ok(Self {
            id: row.id.into(),
            purpose: row.purpose,
            channel,
            address: row.address,
            contact: row.contact,
            code_hash: row.code_hash,
            tries: row.tries,
            state: row.state,
            created_at: row.created_at,
            expires_at: row.expires_at,
        })
    }
}

// `IS` and `IS NOT DISTINCT FROM` compare absent agents, too.
const TAKE_TRY: Sql = Sql {
    postgres: "UPDATE challenges SET tries = tries + 1
        WHERE id = $1 AND org_id = $2 AND agent_id IS NOT DISTINCT FROM $3 AND purpose = $4
            AND state = 'pending' AND tries < $5 AND expires_at > $6
        RETURNING id, purpose, channel, address, contact, code_hash, tries, state, created_at, expires_at",
    sqlite: "UPDATE challenges SET tries = tries + 1
        WHERE id = $1 AND org_id = $2 AND agent_id IS $3 AND purpose = $4
            AND state = 'pending' AND tries < $5 AND expires_at > $6
        RETURNING id, purpose, channel, address, contact, code_hash, tries, state, created_at, expires_at",
};

const FIND: Sql = Sql {
    postgres: "SELECT id, purpose, channel, address, contact, code_hash, tries, state, created_at, expires_at
        FROM challenges WHERE id = $1 AND org_id = $2 AND agent_id IS NOT DISTINCT FROM $3 AND purpose = $4",
    sqlite: "SELECT id, purpose, channel, address, contact, code_hash, tries, state, created_at, expires_at
        FROM challenges WHERE id = $1 AND org_id = $2 AND agent_id IS $3 AND purpose = $4",
};

const FIND_LATEST: Sql = Sql {
    postgres: "SELECT id, purpose, channel, address, contact, code_hash, tries, state, created_at, expires_at
        FROM challenges WHERE org_id = $1 AND agent_id IS NOT DISTINCT FROM $2 AND state = 'pending'
            AND (CAST($3 AS TEXT) IS NULL OR contact = $3) AND (CAST($4 AS TEXT) IS NULL OR channel = $4)
        ORDER BY id DESC LIMIT 1",
    sqlite: "SELECT id, purpose, channel, address, contact, code_hash, tries, state, created_at, expires_at
        FROM challenges WHERE org_id = $1 AND agent_id IS $2 AND state = 'pending'
            AND ($3 IS NULL OR contact = $3) AND ($4 IS NULL OR channel = $4)
        ORDER BY id DESC LIMIT 1",
};

const REPLACE_OLDER: Sql = Sql {
    postgres: "UPDATE challenges SET state = 'replaced'
        WHERE org_id = $1 AND agent_id IS NOT DISTINCT FROM $2 AND state = 'pending' AND id < $3
            AND purpose = $4 AND contact = $5",
    sqlite: "UPDATE challenges SET state = 'replaced'
        WHERE org_id = $1 AND agent_id IS $2 AND state = 'pending' AND id < $3 AND purpose = $4 AND contact = $5",
};

impl Store {
    /// Stores a challenge. Earlier ones stay valid until `replace_older_challenges`.
    pub async fn create_challenge(&self, new: &NewChallenge<'_>, now: Timestamp) -> Result<(), StoreError> {
        const SQL: &str =
            "INSERT INTO challenges (id, org_id, agent_id, purpose, channel, address, contact, code_hash, tries,
                state, created_at, expires_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 0, 'pending', $9, $10)";
        on_writer!(self, |db| {
            sqlx::query(SQL)
                .bind(new.id.as_str())
                .bind(new.owner.org.as_str())
                .bind(new.owner.agent.as_ref().map(AgentId::as_str))
                .bind(new.purpose)
                .bind(new.channel.as_str())
                .bind(new.address)
                .bind(new.contact)
                .bind(new.code_hash)
                .bind(now)
                .bind(new.expires_at)
                .execute(db)
                .await
                .map(drop)
        })?;
        Ok(())
    }

    /// Counts one try and returns the challenge, in one statement. `None`: it is not the owner's, not pending, expired, or
    /// has no tries left.
    pub async fn take_challenge_try(
        &self,
        owner: &ChallengeOwner,
        id: &ChallengeId,
        purpose: &str,
        max_tries: i64,
        now: Timestamp,
    ) -> Result<Option<Challenge>, StoreError> {
        let sql = self.sql(TAKE_TRY);
        let row: Option<ChallengeRow> = on_writer!(self, |db| {
            sqlx::query_as(sql)
                .bind(id.as_str())
                .bind(owner.org.as_str())
                .bind(owner.agent.as_ref().map(AgentId::as_str))
                .bind(purpose)
                .bind(max_tries)
                .bind(now)
                .fetch_optional(db)
                .await
        })?;
        row.map(Challenge::try_from).transpose()
    }

    /// Finds the owner's challenge in whatever state.
    pub async fn find_challenge(
        &self,
        owner: &ChallengeOwner,
        id: &ChallengeId,
        purpose: &str,
    ) -> Result<Option<Challenge>, StoreError> {
        let sql = self.sql(FIND);
        let row: Option<ChallengeRow> = on_reader!(self, |db| {
            sqlx::query_as(sql)
                .bind(id.as_str())
                .bind(owner.org.as_str())
                .bind(owner.agent.as_ref().map(AgentId::as_str))
                .bind(purpose)
                .fetch_optional(db)
                .await
        })?;
        row.map(Challenge::try_from).transpose()
    }

    /// Finds the owner's latest pending challenge, also an expired one: to a person, on a channel, or the latest of all.
    pub async fn find_latest_challenge(
        &self,
        owner: &ChallengeOwner,
        contact: Option<&str>,
        channel: Option<Channel>,
    ) -> Result<Option<Challenge>, StoreError> {
        let sql = self.sql(FIND_LATEST);
        let row: Option<ChallengeRow> = on_reader!(self, |db| {
            sqlx::query_as(sql)
                .bind(owner.org.as_str())
                .bind(owner.agent.as_ref().map(AgentId::as_str))
                .bind(contact)
                .bind(channel.map(Channel::as_str))
                .fetch_optional(db)
                .await
        })?;
        row.map(Challenge::try_from).transpose()
    }

    /// Marks a pending challenge as confirmed. Returns false when another request has been first.
    pub async fn confirm_challenge(&self, id: &ChallengeId) -> Result<bool, StoreError> {
        const SQL: &str = "UPDATE challenges SET state = 'confirmed' WHERE id = $1 AND state = 'pending'";
        Ok(on_writer!(self, |db| {
            let result = sqlx::query(SQL).bind(id.as_str()).execute(db).await;
            result.map(|done| done.rows_affected())
        })? > 0)
    }

    /// Ends the owner's earlier codes to the same person for the same purpose.
    pub async fn replace_older_challenges(
        &self,
        owner: &ChallengeOwner,
        id: &ChallengeId,
        purpose: &str,
        contact: &str,
    ) -> Result<(), StoreError> {
        let sql = self.sql(REPLACE_OLDER);
        on_writer!(self, |db| {
            sqlx::query(sql)
                .bind(owner.org.as_str())
                .bind(owner.agent.as_ref().map(AgentId::as_str))
                .bind(id.as_str())
                .bind(purpose)
                .bind(contact)
                .execute(db)
                .await
                .map(drop)
        })?;
        Ok(())
    }

    /// Records the channel on which the code has left.
    pub async fn set_challenge_channel(&self, id: &ChallengeId, channel: Channel) -> Result<(), StoreError> {
        const SQL: &str = "UPDATE challenges SET channel = $2 WHERE id = $1";
        on_writer!(self, |db| {
            sqlx::query(SQL)
                .bind(id.as_str())
                .bind(channel.as_str())
                .execute(db)
                .await
                .map(drop)
        })?;
        Ok(())
    }

    /// Deletes a challenge with a code that did not leave.
    pub async fn delete_challenge(&self, id: &ChallengeId) -> Result<(), StoreError> {
        const SQL: &str = "DELETE FROM challenges WHERE id = $1";
        on_writer!(self, |db| {
            sqlx::query(SQL).bind(id.as_str()).execute(db).await.map(drop)
        })?;
        Ok(())
    }
}
