//! The receipts of a batch: they move messages on, never back, and correct what was believed of their cost.

use std::collections::{BTreeSet, HashMap};

use butt_dial_domain::{
    Channel, Micros,
    clock::Timestamp,
    inbound::{DeliveryStatus, Receipt},
};
use serde::Serialize;

use super::{
    ReceiptEntry, StatusTransition,
    json::{self, statement},
};
use crate::{
    StoreError,
    charges::{Account, Charges},
    engine::{Tx, within},
};

macro_rules! find {
    ($named:literal, $end:literal) => {
        concat!(
            "SELECT id, org_id, agent_id, channel, recipient, carrier, carrier_id, stage_rank, cost, day, fallback
            FROM messages
            WHERE id ",
            $named,
            " ORDER BY id",
            $end
        )
    };
}

// Locked before anything is written, by id as those who settle do.
const FIND: (&str, &str) = (
    find!(
        "= ANY (ARRAY(SELECT jsonb_array_elements_text($1::JSONB)
            UNION ALL SELECT m.id FROM messages m
            WHERE m.carrier_id = ANY (ARRAY(SELECT jsonb_array_elements_text($2::JSONB)))))",
        " FOR NO KEY UPDATE"
    ),
    find!(
        "IN (SELECT value FROM json_each($1)
            UNION SELECT m.id FROM messages m WHERE m.carrier_id IN (SELECT value FROM json_each($2)))",
        ""
    ),
);

const MOVE: (&str, &str) = statement!(
    "UPDATE messages SET stage = item.value ->> 'stage', stage_rank = CAST(item.value ->> 'rank' AS BIGINT),
        stage_at = $2, stage_error = item.value ->> 'error', carrier_id = item.value ->> 'carrier_id',
        fallback = CASE WHEN item.value ->> 'is_final' = '1' THEN NULL ELSE fallback END,
        price = coalesce(CAST(item.value ->> 'price' AS BIGINT), price),
        cost = CASE WHEN cost IS NULL THEN NULL ELSE coalesce(CAST(item.value ->> 'price' AS BIGINT), cost) END,
        check_at = CASE WHEN status = 'unknown' THEN $2 ELSE check_at END
    FROM",
    rows,
    "WHERE messages.id = item.value ->> 'id'"
);

/// A message that receipts may be about, as it is and as they leave it.
#[derive(sqlx::FromRow)]
struct SentRow {
    id: String,
    org_id: String,
    agent_id: String,
    channel: String,
    recipient: String,
    carrier: String,
    carrier_id: Option<String>,
    stage_rank: i64,
    cost: Option<i64>,
    day: String,
    fallback: Option<Vec<u8>>,
    /// The last receipt that moved it.
    #[sqlx(skip)]
    moved: Option<(DeliveryStatus, Option<String>)>,
    #[sqlx(skip)]
    price: Option<i64>,
}

#[derive(Serialize)]
struct MoveRow<'a> {
    id: &'a str,
    carrier_id: Option<&'a str>,
    stage: &'static str,
    rank: i64,
    /// `1` or `0`, as text: the engines don't agree on how JSON's truth values compare.
    is_final: &'static str,
    error: Option<&'a str>,
    price: Option<i64>,
}

pub(crate) async fn apply(
    tx: &mut Tx,
    receipts: &[ReceiptEntry],
    at: Timestamp,
) -> Result<Vec<StatusTransition>, StoreError> {
    if receipts.is_empty() {
        return Ok(Vec::new());
    }
    let mut messages = find(tx, receipts).await?;
    let moved = move_on(&mut messages, receipts);
    if !moved.is_empty() {
        write(tx, &messages, at).await?;
    }
    Ok(moved)
}

async fn find(tx: &mut Tx, receipts: &[ReceiptEntry]) -> Result<Vec<SentRow>, StoreError> {
    let mut ids = BTreeSet::new();
    let mut carrier_ids = BTreeSet::new();
    for ReceiptEntry { receipt, .. } in receipts {
        match &receipt.message {
            Some(id) => ids.insert(id.as_str()),
            None => carrier_ids.insert(receipt.carrier_id.as_str()),
        };
    }
    let ids = json::text(&ids.into_iter().collect::<Vec<_>>())?;
    let carrier_ids = json::text(&carrier_ids.into_iter().collect::<Vec<_>>())?;
    let sql = tx.either(FIND.0, FIND.1);
    Ok(within!(tx, |db| {
        sqlx::query_as(sql).bind(ids).bind(carrier_ids).fetch_all(db).await?
    }))
}

/// One receipt after the other, as they came.
fn move_on(messages: &mut [SentRow], receipts: &[ReceiptEntry]) -> Vec<StatusTransition> {
    let mut by_id = HashMap::new();
    let mut by_carrier_id = HashMap::new();
    for (n, message) in messages.iter().enumerate() {
        by_id.insert(message.id.clone(), n);
        if let Some(carrier_id) = &message.carrier_id {
            by_carrier_id.insert((message.carrier.clone(), carrier_id.clone()), n);
        }
    }
    let mut moved = Vec::new();
    for ReceiptEntry { carrier, receipt } in receipts {
        let key = (carrier.clone(), receipt.carrier_id.clone());
        // A receipt that names our id is about that message or, when the rest does not fit it, not to be believed.
        let n = match &receipt.message {
            Some(id) => by_id.get(id.as_str()),
            None => by_carrier_id.get(&key),
        };
        let Some((n, message)) = n.and_then(|n| Some((*n, messages.get_mut(*n)?))) else {
            continue;
        };
        if let Some(step) = message.take(carrier, receipt) {
            by_carrier_id.insert(key, n);
            moved.push(step);
        }
    }
    moved
}

impl SentRow {
    /// `None` when the receipt is not about this message, or says less than is known.
    fn take(&mut self, carrier: &str, receipt: &Receipt) -> Option<StatusTransition> {
        let is_ours = self.carrier == carrier && self.carrier_id.as_ref().is_none_or(|id| *id == receipt.carrier_id);
        if !is_ours || receipt.stage.rank() <= self.stage_rank {
            return None;
        }
        let Some(channel) = Channel::parse(&self.channel) else {
            // The rest of the stream must not wait until somebody mends it.
            let error = StoreError::Corrupt {
                table: "messages",
                column: "channel",
                row: self.id.clone(),
            };
            tracing::error!(%error, "a receipt can't be taken");
            return None;
        };
        self.carrier_id = Some(receipt.carrier_id.clone());
        self.stage_rank = receipt.stage.rank();
        self.moved = Some((receipt.stage, receipt.error_code.clone()));
        self.price = price(receipt).or(self.price);
        Some(StatusTransition {
            message: self.id.as_str().into(),
            org: self.org_id.as_str().into(),
            agent: self.agent_id.as_str().into(),
            channel,
            recipient: self.recipient.clone(),
            stage: receipt.stage,
            receipt: receipt.clone(),
            fallback: match receipt.stage {
                DeliveryStatus::Undelivered | DeliveryStatus::Failed => self.fallback.take(),
                _ => None,
            },
        })
    }
}

/// What a receipt says about the cost.
fn price(receipt: &Receipt) -> Option<i64> {
    match (receipt.price, receipt.stage) {
        (Some(Micros(price)), _) => Some(price),
        // Never sent on, so never paid for.
        (None, DeliveryStatus::Failed) => Some(0),
        (None, _) => None,
    }
}

async fn write(tx: &mut Tx, messages: &[SentRow], at: Timestamp) -> Result<(), StoreError> {
    let mut rows = Vec::new();
    let mut charges = Charges::default();
    for message in messages {
        let Some((stage, error)) = &message.moved else { continue };
        rows.push(MoveRow {
            id: &message.id,
            carrier_id: message.carrier_id.as_deref(),
            stage: stage.as_str(),
            rank: message.stage_rank,
            is_final: if message.stage_rank >= DeliveryStatus::Delivered.rank() {
                "1"
            } else {
                "0"
            },
            error: error.as_deref(),
            price: message.price,
        });
        // While it is not settled there is nothing to correct: settling takes the price from the message.
        let (Some(cost), Some(price)) = (message.cost, message.price) else {
            continue;
        };
        if price == cost {
            continue;
        }
        let account = Account {
            agent: &message.agent_id,
            org: &message.org_id,
            channel: &message.channel,
            day: &message.day,
        };
        charges.settle(account, price - cost);
    }
    let (sql, text) = (tx.either(MOVE.0, MOVE.1), json::text(&rows)?);
    within!(tx, |db| sqlx::query(sql)
        .bind(text)
        .bind(at)
        .execute(db)
        .await?
        .rows_affected());
    charges.write(tx).await
}
