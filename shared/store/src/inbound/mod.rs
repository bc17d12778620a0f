//! What came in, written down: the events and what they mean, in one transaction with how far the durable stream was read.
//! So nothing is done twice, and nothing out of order, however many readers there are and whenever they die.

mod calls;
mod contacts;
mod follow_ups;
pub(crate) mod json;
pub(crate) mod log;
mod receipts;

use std::collections::HashSet;

use butt_dial_domain::{
    AgentId, Channel, ChannelId, MessageId, OrgId,
    clock::Timestamp,
    inbound::{DeliveryStatus, Receipt},
};
use serde_json::Value;

use crate::{
    Call, DeliveryClaim, Store, StoreError,
    engine::{Tx, in_time, writing},
};

pub use calls::{CallChange, Conclusion};

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
    /// The sender that the person wrote to. On WhatsApp, its window opens.
    pub channel_id: Option<ChannelId>,
    /// The person wants messages (true) or none (false).
    pub consent: Option<bool>,
    /// What is sent because of it, if it is new.
    pub follow_up: Option<FollowUp>,
}

/// A message of the same agent's that leaves as soon as the event stands, as a scheduled one.
#[derive(Clone)]
pub struct FollowUp {
    pub id: MessageId,
    pub channel: Channel,
    pub recipient: String,
    /// Made from the event: whatever else brings it about, it leaves once.
    pub idempotency_key: String,
    pub request_hash: String,
    /// Encrypted.
    pub request: Vec<u8>,
    /// The agent has not asked for it, and is not told what becomes of it.
    pub is_quiet: bool,
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
    pub calls: Vec<CallChange>,
    pub at: Timestamp,
    /// Who delivers what this batch brings, if nobody does yet; and until when it has the right to.
    pub holder: String,
    pub held_until: Timestamp,
}

/// A message that a receipt has moved on.
#[derive(Clone, Debug)]
pub struct StatusTransition {
    pub message: MessageId,
    pub org: OrgId,
    pub agent: AgentId,
    pub channel: Channel,
    pub recipient: String,
    pub stage: DeliveryStatus,
    pub receipt: Receipt,
    /// What is to be sent now that it has failed. Encrypted.
    pub fallback: Option<Vec<u8>>,
}

/// What became of a batch.
#[derive(Debug, Default)]
pub struct Applied {
    /// Agents that have something new, in no order.
    pub agents: Vec<AgentId>,
    /// The rights to deliver that the holder has got.
    pub claims: Vec<DeliveryClaim>,
    /// Events that were new.
    pub added: usize,
    /// Messages that are to leave now.
    pub follow_ups: u64,
    pub moved: Vec<StatusTransition>,
    /// Calls that are over, and of which this batch says something new about what they cost, as it leaves them.
    pub to_settle: Vec<Call>,
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
                .bind(as_number(sequence))
                .bind(as_number(after))
                .execute(db)
                .await
                .map(|done| done.rows_affected())
        })?;
        Ok(done > 0)
    }

    /// Writes a batch down. `Conflict`: somebody else has read on from `after`; nothing was written.
    /// The events of moved messages are made by `event_of`.
    // Rows are locked in one order by everyone: messages, spend, usage, calls, agents, contacts, deliveries; each by its key.
    pub async fn apply_inbound(
        &self,
        batch: &InboundBatch,
        event_of: &(dyn Fn(&StatusTransition) -> Option<InboundRow> + Send + Sync),
    ) -> Result<Applied, StoreError> {
        in_time(async {
            let mut tx = self.begin().await?;
            let mut known = advance(&mut tx, batch).await?;
            let moved = receipts::apply(&mut tx, &batch.receipts, batch.at).await?;
            let to_settle = calls::apply(&mut tx, &batch.calls).await?;
            let made: Vec<InboundRow> = moved.iter().filter_map(event_of).collect();
            known.extend(log::find_known(&mut tx, &made).await?);
            let events = batch.events.iter().chain(&made).collect();
            let logged = log::write(&mut tx, events, known, batch.at).await?;
            // Before what people want is looked at, so that a STOP of the same batch finds them.
            let follow_ups = follow_ups::write(&mut tx, &logged.new, batch.at).await?;
            contacts::write(&mut tx, &logged.new, batch.at).await?;
            contacts::suppress_unreachable(&mut tx, &moved, batch.at).await?;
            let due = log::let_deliver(&mut tx, &logged.agents, batch).await?;
            tx.commit().await?;
            Ok(Applied {
                agents: due.agents,
                claims: due.claims,
                added: logged.added,
                follow_ups,
                moved,
                to_settle,
            })
        })
        .await
    }
}

/// Returns which of the batch's events are there already: in the same round trip, where a round trip costs something.
async fn advance(tx: &mut Tx, batch: &InboundBatch) -> Result<HashSet<String>, StoreError> {
    const SQL: &str = "UPDATE log_positions SET position = $2 WHERE stream = $1 AND position = $3";
    // The events are looked up as they stood before the position was waited for. That is late enough: who had it meanwhile,
    // and wrote, has moved it.
    const POSTGRES: &str = "WITH advanced AS (
            UPDATE log_positions SET position = $2 WHERE stream = $1 AND position = $3 RETURNING stream
        ) SELECT (SELECT COUNT(*) FROM advanced),
            ARRAY(SELECT id FROM events WHERE id = ANY (ARRAY(SELECT jsonb_array_elements_text($4::JSONB))))";
    let (after, position) = (as_number(batch.after), as_number(batch.position));
    let (advanced, known) = match tx {
        Tx::Postgres(tx) => {
            let ids: Vec<&str> = batch.events.iter().map(|event| event.id.as_str()).collect();
            let (advanced, known): (i64, Vec<String>) = sqlx::query_as(POSTGRES)
                .bind(batch.stream)
                .bind(position)
                .bind(after)
                .bind(json::text(&ids)?)
                .fetch_one(&mut **tx)
                .await?;
            (advanced > 0, known.into_iter().collect())
        }
        Tx::Sqlite(db) => {
            let update = sqlx::query(SQL).bind(batch.stream).bind(position).bind(after);
            let advanced = update.execute(&mut **db).await?.rows_affected() > 0;
            (advanced, log::find_known(tx, &batch.events).await?)
        }
    };
    if advanced { Ok(known) } else { Err(StoreError::Conflict) }
}

fn as_number(sequence: u64) -> i64 {
    i64::try_from(sequence).unwrap_or(i64::MAX)
}
