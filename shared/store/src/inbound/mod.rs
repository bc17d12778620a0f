//! What came in, written down: the events and what they mean, in one transaction with how far the durable stream was read.
//! So nothing is done twice, and nothing out of order, however many readers there are and whenever they die.

mod calls;
mod contacts;
pub(crate) mod json;
mod log;
mod receipts;

use butt_dial_domain::{
    AgentId, Channel, ChannelId, MessageId, OrgId,
    clock::Timestamp,
    inbound::{Receipt, Stage},
};
use serde_json::Value;

use crate::{
    Call, DeliveryClaim, Store, StoreError,
    engine::{Tx, in_time, within, writing},
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
    pub calls: Vec<CallChange>,
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
    /// The rights to deliver that the holder has got.
    pub claims: Vec<DeliveryClaim>,
    /// Events that were new.
    pub added: usize,
    pub moved: Vec<Moved>,
    /// Calls that this batch has ended, as it leaves them.
    pub ended: Vec<Call>,
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
    // Rows are locked in one order by everyone: messages, spend, usage, calls, agents, contacts, deliveries; each by its key.
    pub async fn apply_inbound(
        &self,
        batch: &InboundBatch,
        event_of: &(dyn Fn(&Moved) -> Option<InboundRow> + Send + Sync),
    ) -> Result<Applied, StoreError> {
        in_time(async {
            let mut tx = self.begin().await?;
            advance(&mut tx, batch).await?;
            let moved = receipts::apply(&mut tx, &batch.receipts, batch.at).await?;
            let ended = calls::apply(&mut tx, &batch.calls).await?;
            let made: Vec<InboundRow> = moved.iter().filter_map(event_of).collect();
            let logged = log::write(&mut tx, batch.events.iter().chain(&made).collect(), batch.at).await?;
            contacts::write(&mut tx, &logged.new, batch.at).await?;
            let due = log::let_deliver(&mut tx, &logged.agents, batch).await?;
            tx.commit().await?;
            Ok(Applied {
                agents: due.agents,
                claims: due.claims,
                added: logged.added,
                moved,
                ended,
            })
        })
        .await
    }
}

async fn advance(tx: &mut Tx, batch: &InboundBatch) -> Result<(), StoreError> {
    const SQL: &str = "UPDATE log_positions SET position = $2 WHERE stream = $1 AND position = $3";
    let advanced = within!(tx, |db| {
        sqlx::query(SQL)
            .bind(batch.stream)
            .bind(i64::try_from(batch.position).unwrap_or(i64::MAX))
            .bind(i64::try_from(batch.after).unwrap_or(i64::MAX))
            .execute(db)
            .await?
            .rows_affected()
    });
    if advanced == 0 {
        Err(StoreError::Conflict)
    } else {
        Ok(())
    }
}
