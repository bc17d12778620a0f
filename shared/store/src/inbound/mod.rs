//! What came in, written down: the events and what they mean, in one transaction with how far the durable stream was read.
//! So nothing is done twice, and nothing out of order, however many readers there are and whenever they die.

mod rows;

use std::collections::{HashMap, HashSet};

use butt_dial_domain::{
    AgentId, Channel, ChannelId, MessageId, Micros, OrgId,
    clock::Timestamp,
    inbound::{Receipt, Stage},
};
use serde_json::Value;
use sqlx::types::Json;

use self::rows::{ConsentRow, EventRow, ReceiptRow, Sql, WindowRow};
use crate::{Store, StoreError, engine::writing};

/// An event that came from outside.
#[derive(Clone)]
pub struct InboundRow {
    pub agent: AgentId,
    pub org: OrgId,
    /// The same for every repetition of the webhook.
    pub id: String,
    pub kind: &'static str,
    pub channel: Channel,
    pub contact: String,
    /// An object without anything that a person said.
    pub data: Value,
    /// Encrypted.
    pub content: Option<Vec<u8>>,
    /// Something is still to be fetched.
    pub is_incomplete: bool,
    /// Not to be pushed.
    pub is_quiet: bool,
    /// The sender that the person wrote to, whose window opens.
    pub channel_id: Option<ChannelId>,
    /// The person wants messages (true) or none (false).
    pub consent: Option<bool>,
}

/// A receipt, and which carrier sent it.
#[derive(Clone, Debug)]
pub struct ReceiptEntry {
    pub carrier: String,
    pub receipt: Receipt,
}

/// What was read from the stream, up to `position`. `after` is the position that the reader believed in.
pub struct InboundBatch {
    pub stream: &'static str,
    pub after: u64,
    pub position: u64,
    pub events: Vec<InboundRow>,
    pub receipts: Vec<ReceiptEntry>,
    pub at: Timestamp,
    /// Who delivers what this batch brings, if nobody does yet; and until when it has the right to.
    pub holder: String,
    pub held_until: Timestamp,
}

/// A message that a receipt has moved on.
#[derive(Clone, Debug)]
pub struct Moved {
    pub message: MessageId,
    pub org: OrgId,
    pub agent: AgentId,
    pub channel: Channel,
    pub recipient: String,
    pub stage: Stage,
    pub receipt: Receipt,
}

/// What became of a batch.
#[derive(Debug, Default)]
pub struct Applied {
    /// Agents that have something new, in no order; and whether the holder may deliver to them.
    pub agents: Vec<(AgentId, bool)>,
    /// Events that were new.
    pub added: usize,
    pub moved: Vec<Moved>,
}

#[derive(sqlx::FromRow)]
struct MovedRow {
    id: String,
    org_id: String,
    agent_id: String,
    channel: String,
    recipient: String,
    carrier_id: String,
    cost: Option<i64>,
    day: String,
}

impl Store {
    pub async fn find_log_position(&self, stream: &str) -> Result<u64, StoreError> {
        const SQL: &str = "SELECT position FROM log_positions WHERE stream = $1";
        // From the writer: a reader of SQLite may lag behind what was committed a moment ago.
        let position: i64 = writing!(self, |db| sqlx::query_scalar(SQL).bind(stream).fetch_one(db).await)?;
        Ok(position.unsigned_abs())
    }

    /// Moves the position without writing anything down: past an entry that can't be, or back to the beginning of a stream
    /// that was lost. False: somebody else has read on from `after`.
    pub async fn skip_log_entry(&self, stream: &str, after: u64, sequence: u64) -> Result<bool, StoreError> {
        const SQL: &str = "UPDATE log_positions SET position = $2 WHERE stream = $1 AND position = $3";
        let done = writing!(self, |db| {
            sqlx::query(SQL)
                .bind(stream)
                .bind(i64::try_from(sequence).unwrap_or(i64::MAX))
                .bind(i64::try_from(after).unwrap_or(i64::MAX))
                .execute(db)
                .await
                .map(|done| done.rows_affected())
        })?;
        Ok(done > 0)
    }

    /// Writes a batch down. `Conflict`: somebody else has read on from `after`; nothing was written.
    /// The events of moved messages are made by `event_of`.
    pub async fn apply_inbound(
        &self,
        batch: &InboundBatch,
        event_of: &(dyn Fn(&Moved) -> Option<InboundRow> + Send + Sync),
    ) -> Result<Applied, StoreError> {
        let sql = self.either_sql();
        writing!(self, |db| {
            let mut tx = db.begin_with(sql.begin).await?;
            let advanced = sqlx::query("UPDATE log_positions SET position = $2 WHERE stream = $1 AND position = $3")
                .bind(batch.stream)
                .bind(i64::try_from(batch.position).unwrap_or(i64::MAX))
                .bind(i64::try_from(batch.after).unwrap_or(i64::MAX))
                .execute(&mut *tx)
                .await?;
            if advanced.rows_affected() == 0 {
                return Err(StoreError::Conflict);
            }
            let mut applied = Applied::default();
            for round in rounds(&batch.receipts) {
                let rows: Vec<ReceiptRow<'_>> = round.iter().map(|entry| ReceiptRow::from(*entry)).collect();
                for by in [sql.move_by_id, sql.move_by_carrier_id] {
                    let found: Vec<MovedRow> = sqlx::query_as(by)
                        .bind(Json(&rows))
                        .bind(batch.at)
                        .fetch_all(&mut *tx)
                        .await?;
                    for row in found {
                        let Some(entry) = round.iter().find(|entry| entry.receipt.carrier_id == row.carrier_id) else {
                            continue;
                        };
                        if let Some(delta) = correction(&entry.receipt, row.cost) {
                            for (statement, day) in [(sql.cost, &row.day), (sql.spend, &row.day), (sql.usage, &row.day)]
                            {
                                sqlx::query(statement)
                                    .bind(&row.id)
                                    .bind(delta)
                                    .bind(day)
                                    .execute(&mut *tx)
                                    .await?;
                            }
                        }
                        applied.moved.push(moved(row, &entry.receipt)?);
                    }
                }
            }
            let mut events: Vec<InboundRow> = batch.events.clone();
            events.extend(applied.moved.iter().filter_map(event_of));
            if !events.is_empty() {
                let ids: Vec<&str> = events.iter().map(|event| event.id.as_str()).collect();
                let known: Vec<String> = sqlx::query_scalar(sql.known)
                    .bind(Json(&ids))
                    .fetch_all(&mut *tx)
                    .await?;
                let mut seen: HashSet<String> = known.into_iter().collect();
                events.retain(|event| seen.insert(event.id.clone()));
            }
            applied.added = events.len();
            if events.is_empty() {
                tx.commit().await?;
                return Ok(applied);
            }
            let mut counts: HashMap<&str, i64> = HashMap::new();
            for event in &events {
                *counts.entry(event.agent.as_str()).or_default() += 1;
            }
            let counts: Vec<(&str, i64)> = counts.into_iter().collect();
            let ends: Vec<(String, i64)> = sqlx::query_as(sql.number)
                .bind(Json(&counts))
                .fetch_all(&mut *tx)
                .await?;
            let mut next: HashMap<&str, i64> = HashMap::new();
            for (agent, end) in &ends {
                let count = counts.iter().find(|(id, _)| id == agent).map_or(0, |(_, count)| *count);
                next.insert(agent, end - count + 1);
            }
            // An agent that is gone has no log.
            let rows: Vec<EventRow<'_>> = events
                .iter()
                .filter_map(|event| {
                    let seq = next.get_mut(event.agent.as_str())?;
                    let row = EventRow::new(event, *seq);
                    *seq += 1;
                    Some(row)
                })
                .collect();
            sqlx::query(sql.insert)
                .bind(Json(&rows))
                .bind(batch.at)
                .execute(&mut *tx)
                .await?;
            let windows = WindowRow::of(&events);
            if !windows.is_empty() {
                sqlx::query(sql.windows)
                    .bind(Json(&windows))
                    .bind(batch.at)
                    .execute(&mut *tx)
                    .await?;
            }
            let consents = ConsentRow::of(&events);
            if !consents.is_empty() {
                sqlx::query(sql.consents)
                    .bind(Json(&consents))
                    .bind(batch.at)
                    .execute(&mut *tx)
                    .await?;
                sqlx::query(sql.cancel).bind(Json(&consents)).execute(&mut *tx).await?;
            }
            let agents: Vec<&str> = ends.iter().map(|(agent, _)| agent.as_str()).collect();
            let due: Vec<(String, Option<String>)> = sqlx::query_as(sql.due)
                .bind(Json(&agents))
                .bind(batch.at)
                .bind(&batch.holder)
                .bind(batch.held_until)
                .fetch_all(&mut *tx)
                .await?;
            tx.commit().await?;
            applied.agents = due
                .into_iter()
                .map(|(agent, holder)| (agent.into(), holder.as_deref() == Some(&batch.holder)))
                .collect();
            Ok(applied)
        })
    }

    fn either_sql(&self) -> &'static Sql {
        match &self.engine {
            crate::engine::Engine::Postgres(_) => &rows::POSTGRES,
            crate::engine::Engine::Sqlite { .. } => &rows::SQLITE,
        }
    }
}

/// One statement can move a message once, so receipts of the same message go into rounds, in their order.
fn rounds(receipts: &[ReceiptEntry]) -> Vec<Vec<&ReceiptEntry>> {
    let mut rounds: Vec<Vec<&ReceiptEntry>> = Vec::new();
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for entry in receipts {
        let round = counts.entry(entry.receipt.carrier_id.as_str()).or_default();
        match rounds.get_mut(*round) {
            Some(entries) => entries.push(entry),
            None => rounds.push(vec![entry]),
        }
        *round += 1;
    }
    rounds
}

/// What a receipt changes in the cost that was settled.
fn correction(receipt: &Receipt, cost: Option<i64>) -> Option<i64> {
    let cost = cost?;
    let real = match (receipt.price, receipt.stage) {
        (Some(Micros(price)), _) => price,
        // Never sent on, so never paid for.
        (None, Stage::Failed) => 0,
        (None, _) => return None,
    };
    (real != cost).then_some(real - cost)
}

fn moved(row: MovedRow, receipt: &Receipt) -> Result<Moved, StoreError> {
    let channel = Channel::parse(&row.channel).ok_or_else(|| StoreError::Corrupt {
        table: "messages",
        column: "channel",
        row: row.id.clone(),
    })?;
    Ok(Moved {
        message: row.id.into(),
        org: row.org_id.into(),
        agent: row.agent_id.into(),
        channel,
        recipient: row.recipient,
        stage: receipt.stage,
        receipt: receipt.clone(),
    })
}
