//! Requests to the callbacks of agents: one row for each, so that people see why an event waits. They hold no address and no content.

use butt_dial_domain::{AgentId, OrgId, clock::Timestamp, ids};

use crate::{
    Store, StoreError,
    engine::{Sql, on_reader, on_writer},
};

/// The ids of attempts begin with it.
pub(crate) const CALLBACK_ATTEMPT_PREFIX: &str = "cba_";
/// Attempts of one event that are kept.
const MAX_OF_EVENT: i64 = 20;
/// Of an error.
const MAX_ERROR: usize = 200;

/// A request to store.
#[derive(Clone, Debug)]
pub struct NewCallbackAttempt<'a> {
    pub org: &'a OrgId,
    pub agent: &'a AgentId,
    pub event: &'a str,
    pub kind: &'a str,
    /// `delivered`, `gone` or `failed`.
    pub outcome: &'static str,
    pub status: Option<u16>,
    /// Why there was no response.
    pub error: Option<&'a str>,
    pub milliseconds: u64,
    pub retry_at: Option<Timestamp>,
    pub at: Timestamp,
    /// The event was tried before, so old attempts may exist.
    pub is_repeated: bool,
}

/// A stored request.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct CallbackAttempt {
    pub id: String,
    agent_id: String,
    pub event_id: String,
    pub event_type: String,
    pub outcome: String,
    pub http_status: Option<i64>,
    pub error: Option<String>,
    pub milliseconds: i64,
    pub retry_at: Option<Timestamp>,
    pub at: Timestamp,
}

/// The attempts that are listed.
#[derive(Clone, Copy, Debug, Default)]
pub struct CallbackAttemptFilter<'a> {
    pub agent: Option<&'a AgentId>,
    pub event: Option<&'a str>,
    /// Those without success.
    pub only_failed: bool,
    /// The id of the last attempt of the page before.
    pub before: Option<&'a str>,
}

impl CallbackAttempt {
    pub fn agent(&self) -> AgentId {
        AgentId::from(self.agent_id.as_str())
    }
}

impl Store {
    /// Stores a request to a callback, and deletes those of its event beyond the newest twenty.
    pub async fn add_callback_attempt(&self, attempt: &NewCallbackAttempt<'_>) -> Result<(), StoreError> {
        const TRIM: Sql = Sql {
            postgres: "DELETE FROM callback_attempts WHERE id = ANY (ARRAY(SELECT id FROM callback_attempts
                WHERE event_id = $1 ORDER BY event_id DESC, id DESC LIMIT 100 OFFSET $2))",
            sqlite: "DELETE FROM callback_attempts WHERE id IN (SELECT id FROM callback_attempts
                WHERE event_id = $1 ORDER BY event_id DESC, id DESC LIMIT 100 OFFSET $2)",
        };
        const SQL: &str = "INSERT INTO callback_attempts
                (id, org_id, agent_id, event_id, event_type, outcome, http_status, error, milliseconds, retry_at, at)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
        if attempt.is_repeated {
            let trim = self.sql(TRIM);
            on_writer!(self, |db| sqlx::query(trim)
                .bind(attempt.event)
                .bind(MAX_OF_EVENT - 1)
                .execute(db)
                .await
                .map(drop))?;
        }
        let error: Option<String> = attempt.error.map(|error| error.chars().take(MAX_ERROR).collect());
        on_writer!(self, |db| {
            sqlx::query(SQL)
                .bind(format!("{CALLBACK_ATTEMPT_PREFIX}{}", ids::unique()))
                .bind(attempt.org.as_str())
                .bind(attempt.agent.as_str())
                .bind(attempt.event)
                .bind(attempt.kind)
                .bind(attempt.outcome)
                .bind(attempt.status.map(i64::from))
                .bind(&error)
                .bind(i64::try_from(attempt.milliseconds).unwrap_or(i64::MAX))
                .bind(attempt.retry_at)
                .bind(attempt.at)
                .execute(db)
                .await
                .map(drop)
        })?;
        Ok(())
    }

    /// Lists requests to the callbacks of an organization's agents, newest first.
    pub async fn list_callback_attempts(
        &self,
        org: &OrgId,
        filter: &CallbackAttemptFilter<'_>,
        limit: u32,
    ) -> Result<Vec<CallbackAttempt>, StoreError> {
        // Sorted by the columns of the index: Postgres would read the primary key in its order otherwise.
        const OF_ORG: &str =
            "SELECT id, agent_id, event_id, event_type, outcome, http_status, error, milliseconds, retry_at, at
            FROM callback_attempts WHERE org_id = $1 AND ($2 IS NULL OR agent_id = $2) AND ($3 IS NULL OR id < $3)
                AND (NOT $4 OR outcome <> 'delivered')
            ORDER BY org_id DESC, id DESC LIMIT $5";
        const OF_EVENT: &str =
            "SELECT id, agent_id, event_id, event_type, outcome, http_status, error, milliseconds, retry_at, at
            FROM callback_attempts WHERE event_id = $6 AND org_id || '' = $1 AND ($2 IS NULL OR agent_id = $2)
                AND ($3 IS NULL OR id < $3) AND (NOT $4 OR outcome <> 'delivered')
            ORDER BY event_id DESC, id DESC LIMIT $5";
        let agent = filter.agent.map(AgentId::as_str);
        Ok(match filter.event {
            None => on_reader!(self, |db| sqlx::query_as(OF_ORG)
                .bind(org.as_str())
                .bind(agent)
                .bind(filter.before)
                .bind(filter.only_failed)
                .bind(i64::from(limit))
                .fetch_all(db)
                .await)?,
            Some(event) => on_reader!(self, |db| sqlx::query_as(OF_EVENT)
                .bind(org.as_str())
                .bind(agent)
                .bind(filter.before)
                .bind(filter.only_failed)
                .bind(i64::from(limit))
                .bind(event)
                .fetch_all(db)
                .await)?,
        })
    }
}
