//! A stored call, its row, and the conversion.

use std::fmt;

use butt_dial_domain::{
    AgentId, CallId, OrgId,
    call::{AnsweredBy, CallStatus, Direction},
    clock::Timestamp,
};
use serde_json::Value;

use crate::StoreError;

/// A stored call.
#[derive(Clone, PartialEq)]
pub struct Call {
    pub id: CallId,
    pub org: OrgId,
    pub agent: AgentId,
    pub direction: Direction,
    pub carrier: String,
    pub carrier_id: Option<String>,
    pub local_number: String,
    pub remote_number: String,
    pub status: CallStatus,
    pub answered_by: Option<AnsweredBy>,
    /// The responder of the call: `agent`, `machine`, ... `None` until the call is concluded.
    pub handled_by: Option<String>,
    pub created_at: Timestamp,
    pub answered_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
    pub duration_seconds: Option<i64>,
    pub turns: i64,
    pub latency: Option<Value>,
    /// Micro-units, as reported by the carrier.
    pub cost: Option<i64>,
    pub error_code: Option<String>,
    pub end_reason: Option<String>,
    pub recording_id: Option<String>,
    /// `None` until the recording can be fetched.
    pub recording_url: Option<String>,
    pub recording_seconds: Option<i64>,
    /// Encrypted; `None` when there is no content or it was deleted.
    pub content: Option<Vec<u8>>,
    pub updated_at: Timestamp,
}

/// Leaves out numbers and content: they are personal data.
impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("id", &self.id)
            .field("direction", &self.direction)
            .field("carrier_id", &self.carrier_id)
            .field("status", &self.status)
            .field("answered_by", &self.answered_by)
            .field("handled_by", &self.handled_by)
            .field("created_at", &self.created_at)
            .field("answered_at", &self.answered_at)
            .field("ended_at", &self.ended_at)
            .field("duration_seconds", &self.duration_seconds)
            .field("turns", &self.turns)
            .field("cost", &self.cost)
            .field("error_code", &self.error_code)
            .field("end_reason", &self.end_reason)
            .field("recording_id", &self.recording_id)
            .field("updated_at", &self.updated_at)
            .finish_non_exhaustive()
    }
}

/// A row of the table `calls`.
#[derive(sqlx::FromRow)]
pub(crate) struct CallRow {
    id: String,
    org_id: String,
    agent_id: String,
    direction: String,
    carrier: String,
    carrier_id: Option<String>,
    local_number: String,
    remote_number: String,
    status: String,
    answered_by: Option<String>,
    handled_by: Option<String>,
    created_at: Timestamp,
    answered_at: Option<Timestamp>,
    ended_at: Option<Timestamp>,
    duration_seconds: Option<i64>,
    turns: i64,
    #[sqlx(json(nullable))]
    latency: Option<Value>,
    cost: Option<i64>,
    error_code: Option<String>,
    end_reason: Option<String>,
    recording_id: Option<String>,
    recording_url: Option<String>,
    recording_seconds: Option<i64>,
    content: Option<Vec<u8>>,
    updated_at: Timestamp,
}

impl TryFrom<CallRow> for Call {
    type Error = StoreError;

    fn try_from(row: CallRow) -> Result<Self, StoreError> {
        let corrupt = |column, value: &str| StoreError::Corrupt {
            table: "calls",
            column,
            row: row.id.clone(),
            value: value.to_owned(),
        };
        let direction = Direction::parse(&row.direction).ok_or_else(|| corrupt("direction", &row.direction))?;
        let status = CallStatus::parse(&row.status).ok_or_else(|| corrupt("status", &row.status))?;
        let answered_by = match &row.answered_by {
            Some(text) => Some(AnsweredBy::parse(text).ok_or_else(|| corrupt("answered_by", text))?),
            None => None,
        };
        Ok(Self {
            id: row.id.into(),
            org: row.org_id.into(),
            agent: row.agent_id.into(),
            direction,
            carrier: row.carrier,
            carrier_id: row.carrier_id,
            local_number: row.local_number,
            remote_number: row.remote_number,
            status,
            answered_by,
            handled_by: row.handled_by,
            created_at: row.created_at,
            answered_at: row.answered_at,
            ended_at: row.ended_at,
            duration_seconds: row.duration_seconds,
            turns: row.turns,
            latency: row.latency,
            cost: row.cost,
            error_code: row.error_code,
            end_reason: row.end_reason,
            recording_id: row.recording_id,
            recording_url: row.recording_url,
            recording_seconds: row.recording_seconds,
            content: row.content,
            updated_at: row.updated_at,
        })
    }
}
