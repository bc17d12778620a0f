//! The row of a call, and its conversion.

use butt_dial_domain::{
    call::{AnsweredBy, CallStatus, Direction},
    clock::Timestamp,
};
use serde_json::Value;

use crate::{Call, StoreError};

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
