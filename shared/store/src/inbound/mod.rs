//! Inbound batches: events, delivery receipts and call reports are applied in one transaction with the position in the durable
//! stream. So each entry is applied once and in order, with any number of readers and after any crash.

mod call_merge;
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
    Call, ConsentMethod, DeliveryClaim, NewDeadLetter, Store, StoreError, dead_letters,
    engine::{Tx, as_number, on_writer, with_timeout},
};

pub use calls::{CallChange, Conclusion};

/// An inbound event.
#[derive(Clone, bon::Builder)]
pub struct InboundRow {
    pub agent: AgentId,
    pub org: OrgId,
    /// The same for every repetition of the webhook.
    pub id: String,
    pub kind: &'static str,
    pub channel: Channel,
    pub contact: String,
    /// A JSON object without message text.
    pub data: Value,
    /// Encrypted.
    pub content: Option<Vec<u8>>,
    /// Body or attachments are still to be fetched.
    #[builder(default)]
    pub is_incomplete: bool,
    /// Not to be pushed.
    #[builder(default)]
    pub is_quiet: bool,
    /// The channel that the contact wrote to. On WhatsApp, its service window opens.
    pub channel_id: Option<ChannelId>,
    /// The contact grants (true) or revokes (false) consent.
    pub consent: Option<bool>,
    /// How it does that. `None`: by a keyword.
    pub evidence: Option<ConsentEvidence>,
    /// A message to send if the event is new.
    pub follow_up: Option<FollowUp>,
    #[builder(default)]
    pub effects: ContactEffects,
}

/// How an event gives or revokes consent.
#[derive(Clone)]
pub struct ConsentEvidence {
    pub method: ConsentMethod,
    /// The words of the person. Encrypted, with the id of the event.
    pub words: Option<Vec<u8>>,
    /// The message that the carrier has refused.
    pub message: Option<String>,
    /// A JSON object without words and addresses.
    pub detail: Option<Value>,
}

/// The effects of an event on its contact, besides consent.
#[derive(Clone, Default)]
pub struct ContactEffects {
    /// When the contact wrote. `None`: when the batch is applied.
    pub wrote_at: Option<Timestamp>,
    /// The contact has written nothing: no window opens.
    pub opens_no_window: bool,
    /// The group that the contact wrote to. Its window opens, too.
    pub group: Option<String>,
    /// Other addresses of the same person.
    pub aliases: Vec<String>,
    /// Addresses that the person had before.
    pub former_addresses: Vec<String>,
    /// The contact allows (true) or stops (false) marketing messages.
    pub marketing: Option<bool>,
}

/// A message of the same agent that is sent once the event is stored, as a scheduled send.
#[derive(Clone)]
pub struct FollowUp {
    pub id: MessageId,
    pub channel: Channel,
    pub recipient: String,
    /// Derived from the event, so that the message is sent once.
    pub idempotency_key: String,
    pub request_hash: String,
    /// Encrypted.
    pub request: Vec<u8>,
    /// Sent automatically: the agent did not request it and gets no event about the result.
    pub is_quiet: bool,
}

/// A delivery receipt with its carrier.
#[derive(Clone, Debug)]
pub struct ReceiptEntry {
    pub carrier: String,
    pub receipt: Receipt,
}

/// The entries of the stream after the position `after`, up to `position`.
pub struct InboundBatch {
    /// The stream, or the partition of it.
    pub stream: String,
    pub after: u64,
    pub position: u64,
    /// The id of the entry at `position` in the stream; empty if it is not known.
    pub entry_id: String,
    pub events: Vec<InboundRow>,
    pub receipts: Vec<ReceiptEntry>,
    pub calls: Vec<CallChange>,
    pub dead_letters: Vec<NewDeadLetter>,
    pub at: Timestamp,
    /// The replica that claims the deliveries of this batch, and the end of its claims.
    pub holder: String,
    pub held_until: Timestamp,
}

/// A change of a message's delivery status by a receipt.
#[derive(Clone, Debug)]
pub struct StatusTransition {
    pub message: MessageId,
    pub org: OrgId,
    pub agent: AgentId,
    pub channel: Channel,
    pub recipient: String,
    pub stage: DeliveryStatus,
    pub receipt: Receipt,
    /// The fallback to send after a failure. Encrypted.
    pub fallback: Option<Vec<u8>>,
}

/// The result of a batch.
#[derive(Debug, Default)]
pub struct Applied {
    /// Agents with new events, in no order.
    pub agents: Vec<AgentId>,
    /// The delivery claims of the holder.
    pub claims: Vec<DeliveryClaim>,
    /// The number of new events.
    pub added: usize,
    /// The number of new scheduled sends that are due.
    pub follow_ups: u64,
    pub transitions: Vec<StatusTransition>,
    /// Ended calls with a new cost basis: their cost is to be settled.
    pub to_settle: Vec<Call>,
}

/// The entry of a stream that was applied last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppliedEntry {
    pub position: u64,
    /// Its id in the stream; empty if it is not known.
    pub id: String,
    /// When it was applied. `None`: not known.
    pub at: Option<Timestamp>,
}

impl Store {
    /// Returns the entry up to which a stream was applied.
    pub async fn find_applied_entry(&self, stream: &str) -> Result<AppliedEntry, StoreError> {
        const SQL: &str = "SELECT position, COALESCE(entry_id, ''), applied_at FROM log_positions WHERE stream = $1";
        // From the writer, like the position.
        let found: (i64, String, Option<Timestamp>) =
            on_writer!(self, |db| sqlx::query_as(SQL).bind(stream).fetch_one(db).await)?;
        let (position, id, at) = found;
        Ok(AppliedEntry {
            position: position.unsigned_abs(),
            id,
            at,
        })
    }

    /// Returns the position up to which a stream was applied.
    pub async fn find_log_position(&self, stream: &str) -> Result<u64, StoreError> {
        const SQL: &str = "SELECT position FROM log_positions WHERE stream = $1";
        // From the writer: on SQLite, a reader may not see the last commits.
        let position: i64 = on_writer!(self, |db| sqlx::query_scalar(SQL).bind(stream).fetch_one(db).await)?;
        Ok(position.unsigned_abs())
    }

    /// Sets the position without applying anything: past an entry that cannot be applied, or back in a stream that lost entries.
    /// The entry there is not known then. Returns false when the position is not `after` any more.
    pub async fn skip_log_entry(&self, stream: &str, after: u64, sequence: u64) -> Result<bool, StoreError> {
        const SQL: &str = "UPDATE log_positions SET position = $2, entry_id = NULL WHERE stream = $1 AND position = $3";
        let done = on_writer!(self, |db| {
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

    /// Applies a batch. Fails with `Conflict`, and applies nothing, when the position is not `batch.after` any more.
    /// `event_of` makes the event of a status transition.
    // Lock order of all writers: messages, spend, usage, calls, agents, contacts, deliveries; rows of a table by key.
    pub async fn apply_inbound(
        &self,
        batch: &InboundBatch,
        event_of: &(dyn Fn(&StatusTransition) -> Option<InboundRow> + Send + Sync),
    ) -> Result<Applied, StoreError> {
        with_timeout(async {
            let mut tx = self.begin().await?;
            let mut known = advance(&mut tx, batch).await?;
            dead_letters::write(&mut tx, &batch.dead_letters, batch.at).await?;
            let transitions = receipts::apply(&mut tx, &batch.receipts, batch.at).await?;
            let to_settle = calls::apply(&mut tx, &batch.calls).await?;
            let made: Vec<InboundRow> = transitions.iter().filter_map(event_of).collect();
            known.extend(log::find_known(&mut tx, &made).await?);
            let events = batch.events.iter().chain(&made).collect();
            let logged = log::write(&mut tx, events, known, batch.at).await?;
            // Before consent, so that a STOP in the same batch cancels them.
            let follow_ups = follow_ups::write(&mut tx, &logged.new, batch.at).await?;
            contacts::write(&mut tx, &logged.new, batch.at).await?;
            contacts::suppress_unreachable(&mut tx, &transitions, batch.at).await?;
            let due = log::make_due(&mut tx, &logged.agents, batch).await?;
            tx.commit().await?;
            Ok(Applied {
                agents: due.agents,
                claims: due.claims,
                added: logged.added,
                follow_ups,
                transitions,
                to_settle,
            })
        })
        .await
    }
}

/// Advances the position and returns the ids of events that exist already: on Postgres in one round trip.
async fn advance(tx: &mut Tx, batch: &InboundBatch) -> Result<HashSet<String>, StoreError> {
    const SQL: &str = "UPDATE log_positions SET position = $2, entry_id = $4, applied_at = $5
        WHERE stream = $1 AND position = $3";
    // The lookup of events uses the snapshot from before the wait for the position's row lock. That is safe: a writer that held
    // the lock meanwhile has changed the position, and then this batch fails.
    const POSTGRES: &str = "WITH advanced AS (
            UPDATE log_positions SET position = $2, entry_id = $5, applied_at = $6
            WHERE stream = $1 AND position = $3 RETURNING stream
        ) SELECT (SELECT COUNT(*) FROM advanced),
            ARRAY(SELECT id FROM events WHERE id = ANY (ARRAY(SELECT jsonb_array_elements_text($4::JSONB))))";
    let (after, position) = (as_number(batch.after), as_number(batch.position));
    let (advanced, known) = match tx {
        Tx::Postgres(tx) => {
            let ids: Vec<&str> = batch.events.iter().map(|event| event.id.as_str()).collect();
            let (advanced, known): (i64, Vec<String>) = sqlx::query_as(POSTGRES)
                .bind(&batch.stream)
                .bind(position)
                .bind(after)
                .bind(json::text(&ids)?)
                .bind(&batch.entry_id)
                .bind(batch.at)
                .fetch_one(&mut **tx)
                .await?;
            (advanced > 0, known.into_iter().collect())
        }
        Tx::Sqlite(db) => {
            let update = sqlx::query(SQL).bind(&batch.stream).bind(position).bind(after);
            let update = update.bind(&batch.entry_id).bind(batch.at);
            let advanced = update.execute(&mut **db).await?.rows_affected() > 0;
            (advanced, log::find_known(tx, &batch.events).await?)
        }
    };
    if advanced { Ok(known) } else { Err(StoreError::Conflict) }
}
