//! Stored calls. Carrier reports about calls arrive in inbound batches: see `inbound/calls.rs`.

use butt_dial_domain::{
    AgentId, CallId, OrgId,
    call::{CallStatus, Direction},
    clock::Timestamp,
};
use chrono::{SubsecRound as _, TimeZone as _, Utc};
use serde::{Deserialize, Serialize};
use sqlx::types::Json;

use crate::{
    Store, StoreError,
    call_row::{Call, CallRow},
    engine::{Sql, Tx, in_tx, on_list, on_reader, with_timeout},
};

/// A call to store.
#[derive(Clone)]
pub struct CallEntry {
    pub id: CallId,
    pub org: OrgId,
    pub agent: AgentId,
    pub direction: Direction,
    pub carrier: String,
    /// `None`: the carrier has not received the request yet.
    pub carrier_id: Option<String>,
    pub local_number: String,
    /// `anonymous` where the caller withholds the number.
    pub remote_number: String,
    /// The start of the call, as far as it is known.
    pub at: Timestamp,
}

impl CallEntry {
    /// Returns the first status: an inbound call is ringing when its first report arrives.
    fn status(&self) -> CallStatus {
        match self.direction {
            Direction::Inbound => CallStatus::Ringing,
            Direction::Outbound => CallStatus::Queued,
        }
    }
}

/// The position of a call in `list_stale_calls`.
#[derive(Clone, Serialize, Deserialize)]
pub struct CallCursor {
    pub agent: AgentId,
    pub created_at: Timestamp,
    pub id: CallId,
}

impl From<&Call> for CallCursor {
    fn from(call: &Call) -> Self {
        Self {
            agent: call.agent.clone(),
            created_at: call.created_at,
            id: call.id.clone(),
        }
    }
}

impl Store {
    /// Stores the call, or finds the stored one with the same id or the same carrier id. Safe to repeat.
    pub async fn open_call(&self, entry: &CallEntry) -> Result<Call, StoreError> {
        const FIND: &str = "SELECT id, org_id, agent_id, direction, carrier, carrier_id, local_number, remote_number, status, answered_by,
                handled_by, created_at, answered_at, ended_at, duration_seconds, turns, latency, cost, error_code, end_reason,
                recording_id, recording_url, recording_seconds, content, updated_at
            FROM calls WHERE id = $1 OR (carrier_id = $3 AND carrier = $2)
            ORDER BY CASE WHEN id = $1 THEN 0 ELSE 1 END LIMIT 1";
        let row: CallRow = with_timeout(async {
            let mut tx = self.begin().await?;
            insert(&mut tx, entry).await?;
            let row = in_tx!(&mut tx, |db| {
                sqlx::query_as(FIND)
                    .bind(entry.id.as_str())
                    .bind(storable(&entry.carrier))
                    .bind(entry.carrier_id.as_deref().map(storable))
                    .fetch_one(db)
                    .await?
            });
            tx.commit().await?;
            Ok::<_, StoreError>(row)
        })
        .await?;
        Call::try_from(row)
    }

    /// Finds one of the agent's calls by its id or by its carrier id.
    pub async fn find_call(&self, agent: &AgentId, id: &str) -> Result<Option<Call>, StoreError> {
        // `|| ''` keeps Postgres from using the index on the agent, who may have a million calls.
        const SQL: &str = "SELECT id, org_id, agent_id, direction, carrier, carrier_id, local_number, remote_number, status, answered_by,
                handled_by, created_at, answered_at, ended_at, duration_seconds, turns, latency, cost, error_code, end_reason,
                recording_id, recording_url, recording_seconds, content, updated_at
            FROM calls WHERE agent_id || '' = $1 AND (id = $2 OR carrier_id = $2) LIMIT 1";
        let row: Option<CallRow> = on_reader!(self, |db| {
            sqlx::query_as(SQL)
                .bind(agent.as_str())
                .bind(id)
                .fetch_optional(db)
                .await
        })?;
        row.map(Call::try_from).transpose()
    }

    /// Finds a call by its carrier id.
    pub async fn find_carrier_call(&self, carrier: &str, carrier_id: &str) -> Result<Option<Call>, StoreError> {
        const SQL: &str = "SELECT id, org_id, agent_id, direction, carrier, carrier_id, local_number, remote_number, status, answered_by,
                handled_by, created_at, answered_at, ended_at, duration_seconds, turns, latency, cost, error_code, end_reason,
                recording_id, recording_url, recording_seconds, content, updated_at
            FROM calls WHERE carrier_id = $2 AND carrier = $1";
        let row: Option<CallRow> = on_reader!(self, |db| {
            sqlx::query_as(SQL)
                .bind(carrier)
                .bind(carrier_id)
                .fetch_optional(db)
                .await
        })?;
        row.map(Call::try_from).transpose()
    }

    /// Lists calls that have not ended, have a carrier id and were not updated since `unchanged_since`. Pages start after the
    /// cursor `after`, in a stable order.
    pub async fn list_stale_calls(
        &self,
        unchanged_since: Timestamp,
        after: Option<&CallCursor>,
        limit: u32,
    ) -> Result<Vec<Call>, StoreError> {
        const SQL: &str = "SELECT id, org_id, agent_id, direction, carrier, carrier_id, local_number, remote_number, status, answered_by,
                handled_by, created_at, answered_at, ended_at, duration_seconds, turns, latency, cost, error_code, end_reason,
                recording_id, recording_url, recording_seconds, content, updated_at
            FROM calls WHERE ended_at IS NULL AND (agent_id, created_at, id) > ($1, $2, $3) AND updated_at < $4
                AND carrier_id IS NOT NULL
            ORDER BY agent_id, created_at, id LIMIT $5";
        let (agent, at, id) = after.map_or(("", Timestamp::UNIX_EPOCH, ""), |cursor| {
            (cursor.agent.as_str(), cursor.created_at, cursor.id.as_str())
        });
        let rows: Vec<CallRow> = on_reader!(self, |db| {
            sqlx::query_as(SQL)
                .bind(agent)
                .bind(at)
                .bind(id)
                .bind(unchanged_since)
                .bind(i64::from(limit))
                .fetch_all(db)
                .await
        })?;
        rows.into_iter().map(Call::try_from).collect()
    }

    /// Lists the agent's calls, newest first, starting after the call `before`. Returns no calls when `before` is not a call
    /// of this agent.
    pub async fn list_calls(
        &self,
        agent: &AgentId,
        only_live: bool,
        limit: u32,
        before: Option<&str>,
    ) -> Result<Vec<Call>, StoreError> {
        const BEFORE: &str = "SELECT created_at FROM calls WHERE agent_id = $1 AND id = $2";
        const ALL: &str = "SELECT id, org_id, agent_id, direction, carrier, carrier_id, local_number, remote_number, status, answered_by,
                handled_by, created_at, answered_at, ended_at, duration_seconds, turns, latency, cost, error_code, end_reason,
                recording_id, recording_url, recording_seconds, content, updated_at
            FROM calls WHERE agent_id = $1 AND (created_at, id) < ($2, $3) ORDER BY created_at DESC, id DESC LIMIT $4";
        const LIVE: &str = "SELECT id, org_id, agent_id, direction, carrier, carrier_id, local_number, remote_number, status, answered_by,
                handled_by, created_at, answered_at, ended_at, duration_seconds, turns, latency, cost, error_code, end_reason,
                recording_id, recording_url, recording_seconds, content, updated_at
            FROM calls WHERE agent_id = $1 AND (created_at, id) < ($2, $3) AND ended_at IS NULL
            ORDER BY created_at DESC, id DESC LIMIT $4";
        let (at, id) = match before {
            None => (end_of_time(), ""),
            Some(id) => {
                let at: Option<Timestamp> = on_reader!(self, |db| {
                    sqlx::query_scalar(BEFORE)
                        .bind(agent.as_str())
                        .bind(id)
                        .fetch_optional(db)
                        .await
                })?;
                let Some(at) = at else { return Ok(Vec::new()) };
                (at, id)
            }
        };
        let sql = if only_live { LIVE } else { ALL };
        let rows: Vec<CallRow> = on_reader!(self, |db| {
            sqlx::query_as(sql)
                .bind(agent.as_str())
                .bind(at)
                .bind(id)
                .bind(i64::from(limit))
                .fetch_all(db)
                .await
        })?;
        rows.into_iter().map(Call::try_from).collect()
    }

    /// Lists the calls of an organization, newest first, starting after the call `before`. `agent`: only of this one.
    /// Returns no calls when `before` is not a call of the organization.
    pub async fn list_calls_of_org(
        &self,
        org: &OrgId,
        agent: Option<&AgentId>,
        only_live: bool,
        limit: u32,
        before: Option<&str>,
    ) -> Result<Vec<Call>, StoreError> {
        const BEFORE: &str = "SELECT created_at FROM calls WHERE id = $2 AND org_id || '' = $1";
        const LIST: &str = "SELECT id, org_id, agent_id, direction, carrier, carrier_id, local_number, remote_number, status, answered_by,
                handled_by, created_at, answered_at, ended_at, duration_seconds, turns, latency, cost, error_code, end_reason,
                recording_id, recording_url, recording_seconds, content, updated_at
            FROM (SELECT id, org_id, agent_id, direction, carrier, carrier_id, local_number, remote_number, status, answered_by,
                    handled_by, created_at, answered_at, ended_at, duration_seconds, turns, latency, cost, error_code,
                    end_reason, recording_id, recording_url, recording_seconds, content, updated_at
                FROM calls WHERE org_id = $1 AND (created_at, id) < ($2, $3)
                ORDER BY created_at DESC, id DESC LIMIT 5000) AS looked_at
            WHERE ($4 IS NULL OR agent_id = $4) AND ($5 = 0 OR ended_at IS NULL)
            ORDER BY created_at DESC, id DESC LIMIT $6";
        let (at, id) = match before {
            None => (end_of_time(), ""),
            Some(id) => {
                let at: Option<Timestamp> = on_reader!(self, |db| {
                    sqlx::query_scalar(BEFORE)
                        .bind(org.as_str())
                        .bind(id)
                        .fetch_optional(db)
                        .await
                })?;
                let Some(at) = at else { return Ok(Vec::new()) };
                (at, id)
            }
        };
        let rows: Vec<CallRow> = on_list!(self, |db| {
            sqlx::query_as(LIST)
                .bind(org.as_str())
                .bind(at)
                .bind(id)
                .bind(agent.map(AgentId::as_str))
                .bind(i64::from(only_live))
                .bind(i64::from(limit))
                .fetch_all(db)
                .await
        })?;
        rows.into_iter().map(Call::try_from).collect()
    }

    /// Lists the calls of an organization with a person, by the spellings of the number, newest first, among its newest 2,000.
    pub async fn list_calls_with(
        &self,
        org: &OrgId,
        agent: Option<&AgentId>,
        numbers: &[String],
        limit: u32,
    ) -> Result<Vec<Call>, StoreError> {
        const SQL: Sql = Sql {
            postgres: "SELECT id, org_id, agent_id, direction, carrier, carrier_id, local_number, remote_number, status, answered_by,
                    handled_by, created_at, answered_at, ended_at, duration_seconds, turns, latency, cost, error_code, end_reason,
                    recording_id, recording_url, recording_seconds, content, updated_at
                FROM (SELECT id, org_id, agent_id, direction, carrier, carrier_id, local_number, remote_number, status, answered_by,
                        handled_by, created_at, answered_at, ended_at, duration_seconds, turns, latency, cost, error_code,
                        end_reason, recording_id, recording_url, recording_seconds, content, updated_at
                    FROM calls WHERE org_id = $1 ORDER BY created_at DESC, id DESC LIMIT 2000) AS looked_at
                WHERE ($2 IS NULL OR agent_id = $2) AND remote_number = ANY (ARRAY(SELECT jsonb_array_elements_text($3)))
                ORDER BY created_at DESC, id DESC LIMIT $4",
            sqlite: "SELECT id, org_id, agent_id, direction, carrier, carrier_id, local_number, remote_number, status, answered_by,
                    handled_by, created_at, answered_at, ended_at, duration_seconds, turns, latency, cost, error_code, end_reason,
                    recording_id, recording_url, recording_seconds, content, updated_at
                FROM (SELECT id, org_id, agent_id, direction, carrier, carrier_id, local_number, remote_number, status, answered_by,
                        handled_by, created_at, answered_at, ended_at, duration_seconds, turns, latency, cost, error_code,
                        end_reason, recording_id, recording_url, recording_seconds, content, updated_at
                    FROM calls WHERE org_id = $1 ORDER BY created_at DESC, id DESC LIMIT 2000) AS looked_at
                WHERE ($2 IS NULL OR agent_id = $2) AND remote_number IN (SELECT value FROM json_each($3))
                ORDER BY created_at DESC, id DESC LIMIT $4",
        };
        let sql = self.sql(SQL);
        let rows: Vec<CallRow> = on_reader!(self, |db| {
            sqlx::query_as(sql)
                .bind(org.as_str())
                .bind(agent.map(AgentId::as_str))
                .bind(Json(numbers))
                .bind(i64::from(limit))
                .fetch_all(db)
                .await
        })?;
        rows.into_iter().map(Call::try_from).collect()
    }

    /// Finds a call of an organization by its id or its carrier id.
    pub async fn find_call_of_org(&self, org: &OrgId, id: &str) -> Result<Option<Call>, StoreError> {
        const SQL: &str = "SELECT id, org_id, agent_id, direction, carrier, carrier_id, local_number, remote_number, status, answered_by,
                handled_by, created_at, answered_at, ended_at, duration_seconds, turns, latency, cost, error_code, end_reason,
                recording_id, recording_url, recording_seconds, content, updated_at
            FROM calls WHERE org_id || '' = $1 AND (id = $2 OR carrier_id = $2) LIMIT 1";
        let row: Option<CallRow> = on_reader!(self, |db| {
            sqlx::query_as(SQL).bind(org.as_str()).bind(id).fetch_optional(db).await
        })?;
        row.map(Call::try_from).transpose()
    }
}

/// Stores the call unless one with the same id or the same carrier id exists.
pub(crate) async fn insert(tx: &mut Tx, entry: &CallEntry) -> Result<(), StoreError> {
    const SQL: &str =
        "INSERT INTO calls (id, org_id, agent_id, direction, carrier, carrier_id, local_number, remote_number,
            status, rank, created_at, updated_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11) ON CONFLICT DO NOTHING";
    in_tx!(tx, |db| {
        sqlx::query(SQL)
            .bind(entry.id.as_str())
            .bind(entry.org.as_str())
            .bind(entry.agent.as_str())
            .bind(entry.direction.as_str())
            .bind(storable(&entry.carrier))
            .bind(entry.carrier_id.as_deref().map(storable))
            .bind(storable(&entry.local_number))
            .bind(storable(&entry.remote_number))
            .bind(entry.status().as_str())
            .bind(entry.status().rank())
            .bind(stored_time(entry.at))
            .execute(db)
            .await?
            .rows_affected()
    });
    Ok(())
}

/// Replaces the NUL character, which Postgres cannot store: one such text must not block the stream.
pub(crate) fn storable(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// Rounds down to microseconds, the precision of Postgres, so that a stored time equals the original.
pub(crate) fn stored_time(at: Timestamp) -> Timestamp {
    at.trunc_subsecs(6)
}

/// Returns a time after every call.
pub(crate) fn end_of_time() -> Timestamp {
    Utc.with_ymd_and_hms(9999, 12, 31, 0, 0, 0).single().unwrap_or_default()
}
