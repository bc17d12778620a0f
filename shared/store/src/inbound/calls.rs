//! The call reports of a batch. A call's row is a function of the set of its reports: their order and their repetition do not
//! matter.

use std::collections::{BTreeSet, HashMap};

use butt_dial_domain::{
    CallId, Micros,
    call::{AnsweredBy, CallStatus, Recording},
    clock::Timestamp,
};
use serde_json::Value;
use sqlx::types::Json;

use super::json;
use crate::{
    StoreError,
    call_row::{Call, CallRow},
    calls::{CallEntry, insert, storable},
    engine::{Sql, Tx, in_tx},
};

/// A report about a call, identified by its id or, without it, by its carrier id.
#[derive(Clone)]
pub struct CallChange {
    pub id: Option<CallId>,
    pub carrier: String,
    pub carrier_id: Option<String>,
    /// The call to store if it does not exist, where the report contains enough. Without it, a report about an unknown call is
    /// dropped.
    pub open: Option<CallEntry>,
    pub status: Option<CallStatus>,
    /// The time of the report.
    pub at: Timestamp,
    /// Used only together with a status that ends the call.
    pub duration_seconds: Option<u32>,
    pub answered_by: Option<AnsweredBy>,
    pub price: Option<Micros>,
    pub error_code: Option<String>,
    pub recording: Option<Recording>,
    pub conclusion: Option<Conclusion>,
}

/// The result of a call, as reported by the relay.
#[derive(Clone)]
pub struct Conclusion {
    pub handled_by: String,
    pub end_reason: String,
    pub turns: i64,
    pub latency: Value,
    /// Encrypted.
    pub content: Option<Vec<u8>>,
}

impl CallChange {
    /// Makes an empty report for a carrier id.
    pub fn of_carrier(carrier: &str, carrier_id: &str, at: Timestamp) -> Self {
        Self {
            id: None,
            carrier: carrier.to_owned(),
            carrier_id: Some(carrier_id.to_owned()),
            open: None,
            status: None,
            at,
            duration_seconds: None,
            answered_by: None,
            price: None,
            error_code: None,
            recording: None,
            conclusion: None,
        }
    }

    fn named_ids(&self) -> impl Iterator<Item = &str> {
        self.id
            .iter()
            .chain(self.open.iter().map(|open| &open.id))
            .map(CallId::as_str)
    }

    fn named_carrier_ids(&self) -> impl Iterator<Item = &str> {
        let open = self.open.iter().filter_map(|open| open.carrier_id.as_deref());
        self.carrier_id.as_deref().into_iter().chain(open)
    }
}

// Locked before anything is written, in the order of ids.
const FIND: Sql = Sql {
    postgres: "SELECT id, org_id, agent_id, direction, carrier, carrier_id, local_number, remote_number, status, answered_by,
            handled_by, created_at, answered_at, ended_at, duration_seconds, turns, latency, cost, error_code, end_reason,
            recording_id, recording_url, recording_seconds, content, updated_at
        FROM calls WHERE id = ANY (ARRAY(SELECT jsonb_array_elements_text($1::JSONB)
            UNION ALL SELECT c.id FROM calls c
            WHERE c.carrier_id = ANY (ARRAY(SELECT jsonb_array_elements_text($2::JSONB)))))
        ORDER BY id FOR NO KEY UPDATE",
    sqlite: "SELECT id, org_id, agent_id, direction, carrier, carrier_id, local_number, remote_number, status, answered_by,
            handled_by, created_at, answered_at, ended_at, duration_seconds, turns, latency, cost, error_code, end_reason,
            recording_id, recording_url, recording_seconds, content, updated_at
        FROM calls WHERE id IN (SELECT value FROM json_each($1)
            UNION SELECT c.id FROM calls c WHERE c.carrier_id IN (SELECT value FROM json_each($2)))
        ORDER BY id",
};

/// Applies the reports. Returns the ended calls with a new cost basis: their cost is to be settled, again if it was before.
pub(crate) async fn apply(tx: &mut Tx, changes: &[CallChange]) -> Result<Vec<Call>, StoreError> {
    if changes.is_empty() {
        return Ok(Vec::new());
    }
    let mut known = CallSet::find(tx, changes).await?;
    let mut missing: Vec<&CallEntry> = changes
        .iter()
        .filter(|change| known.position(change).is_none())
        .filter_map(|change| change.open.as_ref())
        .collect();
    if !missing.is_empty() {
        missing.sort_by_key(|entry| entry.id.as_str());
        missing.dedup_by_key(|entry| entry.id.as_str());
        for entry in missing {
            insert(tx, entry).await?;
        }
        known = CallSet::find(tx, changes).await?;
    }
    for change in changes {
        known.apply(change);
    }
    let mut to_settle = Vec::new();
    for (before, call) in known.calls {
        if before == call {
            continue;
        }
        write(tx, &call).await?;
        if call.status.is_over() && call.cost_basis() != before.cost_basis() {
            to_settle.push(call);
        }
    }
    Ok(to_settle)
}

/// The calls that a batch refers to, each before and after its reports.
struct CallSet {
    calls: Vec<(Call, Call)>,
    by_id: HashMap<String, usize>,
    by_carrier_id: HashMap<(String, String), usize>,
}

impl CallSet {
    async fn find(tx: &mut Tx, changes: &[CallChange]) -> Result<Self, StoreError> {
        let ids: BTreeSet<&str> = changes.iter().flat_map(CallChange::named_ids).collect();
        let carrier_ids: BTreeSet<&str> = changes.iter().flat_map(CallChange::named_carrier_ids).collect();
        let ids = json::text(&ids.into_iter().collect::<Vec<_>>())?;
        let carrier_ids = json::text(&carrier_ids.into_iter().collect::<Vec<_>>())?;
        let sql = tx.sql(FIND);
        let rows: Vec<CallRow> = in_tx!(tx, |db| {
            sqlx::query_as(sql).bind(ids).bind(carrier_ids).fetch_all(db).await?
        });
        let mut known = Self {
            calls: Vec::with_capacity(rows.len()),
            by_id: HashMap::new(),
            by_carrier_id: HashMap::new(),
        };
        for row in rows {
            match Call::try_from(row) {
                Ok(call) => known.add(call),
                // A corrupt row must not block the stream.
                Err(error) => tracing::error!(%error, "call row corrupt; its reports are dropped"),
            }
        }
        Ok(known)
    }

    fn add(&mut self, call: Call) {
        let n = self.calls.len();
        self.by_id.insert(call.id.as_str().to_owned(), n);
        if let Some(carrier_id) = &call.carrier_id {
            self.by_carrier_id.insert((call.carrier.clone(), carrier_id.clone()), n);
        }
        self.calls.push((call.clone(), call));
    }

    /// Finds the call of a report. A report with a call id refers to that call, or to the stored call with the same carrier id
    /// if the call could not be stored because of it.
    fn position(&self, change: &CallChange) -> Option<usize> {
        let by_id = change.named_ids().find_map(|id| self.by_id.get(id).copied());
        if by_id.is_some() || (change.id.is_some() && change.open.is_none()) {
            return by_id;
        }
        let key = |id: &str| (change.carrier.clone(), id.to_owned());
        change
            .named_carrier_ids()
            .find_map(|id| self.by_carrier_id.get(&key(id)).copied())
    }

    fn apply(&mut self, change: &CallChange) {
        let carrier = change.carrier.as_str();
        let Some(n) = self.position(change) else {
            let carrier_id = change.carrier_id.as_deref();
            tracing::warn!(carrier, carrier_id, "call report dropped: unknown call");
            return;
        };
        let Some((_, call)) = self.calls.get_mut(n) else { return };
        let carrier_id = change.named_carrier_ids().next();
        let matches = call
            .carrier_id
            .as_deref()
            .is_none_or(|known| carrier_id.is_none_or(|reported| reported == known));
        if call.carrier != carrier || !matches {
            tracing::warn!(carrier, carrier_id, call = %call.id, "call report dropped: carrier id differs");
            return;
        }
        if let (None, Some(carrier_id)) = (&call.carrier_id, carrier_id) {
            let owner = self
                .by_carrier_id
                .entry((carrier.to_owned(), carrier_id.to_owned()))
                .or_insert(n);
            if *owner == n {
                call.carrier_id = Some(carrier_id.to_owned());
            } else {
                tracing::warn!(carrier, carrier_id, call = %call.id, "carrier id is used by two calls");
            }
        }
        call.apply(change);
    }
}

async fn write(tx: &mut Tx, call: &Call) -> Result<(), StoreError> {
    const SQL: &str = "UPDATE calls SET carrier_id = $2, status = $3, rank = $4, answered_by = $5, handled_by = $6,
            created_at = $7, answered_at = $8, ended_at = $9, duration_seconds = $10, turns = $11, latency = $12, cost = $13,
            error_code = $14, end_reason = $15, recording_id = $16, recording_url = $17, recording_seconds = $18,
            content = $19, updated_at = $20
        WHERE id = $1";
    let text = |text: &Option<String>| text.as_deref().map(storable);
    in_tx!(tx, |db| {
        sqlx::query(SQL)
            .bind(call.id.as_str())
            .bind(text(&call.carrier_id))
            .bind(call.status.as_str())
            .bind(call.status.rank())
            .bind(call.answered_by.map(AnsweredBy::as_str))
            .bind(text(&call.handled_by))
            .bind(call.created_at)
            .bind(call.answered_at)
            .bind(call.ended_at)
            .bind(call.duration_seconds)
            .bind(call.turns)
            .bind(call.latency.as_ref().map(Json))
            .bind(call.cost)
            .bind(text(&call.error_code))
            .bind(text(&call.end_reason))
            .bind(text(&call.recording_id))
            .bind(text(&call.recording_url))
            .bind(call.recording_seconds)
            .bind(call.content.as_deref())
            .bind(call.updated_at)
            .execute(db)
            .await?
            .rows_affected()
    });
    Ok(())
}
