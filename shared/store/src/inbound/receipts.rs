//! The delivery receipts of a batch. They advance the delivery status of messages, never back, and correct their cost.

use std::collections::{BTreeSet, HashMap};

use butt_dial_domain::{
    Channel, MessageId, Micros,
    clock::Timestamp,
    inbound::{DeliveryStatus, Receipt},
};
use serde::Serialize;

use super::{ReceiptEntry, StatusTransition, json};
use crate::{
    StoreError,
    charges::{Account, Charges},
    engine::{Sql, Tx, in_tx},
};

// Locked before anything is written, in the order of ids, as settling does.
const FIND: Sql = Sql {
    postgres: "SELECT id, org_id, agent_id, channel, recipient, carrier, carrier_id, stage_rank, cost, day, fallback,
            budget_id, task_id
        FROM messages
        WHERE id = ANY (ARRAY(SELECT jsonb_array_elements_text($1::JSONB)
            UNION ALL SELECT m.id FROM messages m
            WHERE m.carrier_id = ANY (ARRAY(SELECT jsonb_array_elements_text($2::JSONB)))))
        ORDER BY id FOR NO KEY UPDATE",
    sqlite: "SELECT id, org_id, agent_id, channel, recipient, carrier, carrier_id, stage_rank, cost, day, fallback,
            budget_id, task_id
        FROM messages
        WHERE id IN (SELECT value FROM json_each($1)
            UNION SELECT m.id FROM messages m WHERE m.carrier_id IN (SELECT value FROM json_each($2)))
        ORDER BY id",
};

const UPDATE: Sql = Sql {
    postgres: "UPDATE messages SET stage = item.value ->> 'stage', stage_rank = CAST(item.value ->> 'rank' AS BIGINT),
            stage_at = $2, stage_error = item.value ->> 'error', carrier_id = item.value ->> 'carrier_id',
            fallback = CASE WHEN item.value ->> 'is_final' = '1' THEN NULL ELSE fallback END,
            price = coalesce(CAST(item.value ->> 'price' AS BIGINT), price),
            cost = CASE WHEN cost IS NULL THEN NULL ELSE coalesce(CAST(item.value ->> 'price' AS BIGINT), cost) END,
            check_at = CASE WHEN status = 'unknown' THEN $2 ELSE check_at END
        FROM jsonb_array_elements($1::JSONB) AS item (value) WHERE messages.id = item.value ->> 'id'",
    sqlite: "UPDATE messages SET stage = item.value ->> 'stage', stage_rank = CAST(item.value ->> 'rank' AS BIGINT),
            stage_at = $2, stage_error = item.value ->> 'error', carrier_id = item.value ->> 'carrier_id',
            fallback = CASE WHEN item.value ->> 'is_final' = '1' THEN NULL ELSE fallback END,
            price = coalesce(CAST(item.value ->> 'price' AS BIGINT), price),
            cost = CASE WHEN cost IS NULL THEN NULL ELSE coalesce(CAST(item.value ->> 'price' AS BIGINT), cost) END,
            check_at = CASE WHEN status = 'unknown' THEN $2 ELSE check_at END
        FROM jsonb_each($1) AS item WHERE messages.id = item.value ->> 'id'",
};

const COMPLAIN: Sql = Sql {
    postgres: "UPDATE messages SET complained_at = $2
        WHERE id = ANY (ARRAY(SELECT jsonb_array_elements_text($1::JSONB))) AND complained_at IS NULL",
    sqlite: "UPDATE messages SET complained_at = $2
        WHERE id IN (SELECT value FROM json_each($1)) AND complained_at IS NULL",
};

/// A message that receipts refer to, with the changes that they make.
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
    budget_id: Option<String>,
    task_id: Option<String>,
    /// Status and error code of the last receipt that changed it.
    #[sqlx(skip)]
    changed_to: Option<(DeliveryStatus, Option<String>)>,
    #[sqlx(skip)]
    price: Option<i64>,
    #[sqlx(skip)]
    is_complained_of: bool,
}

#[derive(Serialize)]
struct UpdateRow<'a> {
    id: &'a str,
    carrier_id: Option<&'a str>,
    stage: &'static str,
    rank: i64,
    /// `1` or `0` as text: the engines compare JSON booleans differently.
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
    let transitions = advance(&mut messages, receipts);
    if !transitions.is_empty() {
        write(tx, &messages, at).await?;
    }
    let complained = messages.iter().filter(|message| message.is_complained_of);
    let complained: Vec<&str> = complained.map(|message| message.id.as_str()).collect();
    if !complained.is_empty() {
        let (sql, ids) = (tx.sql(COMPLAIN), json::text(&complained)?);
        in_tx!(tx, |db| sqlx::query(sql)
            .bind(ids)
            .bind(at)
            .execute(db)
            .await
            .map(drop)?);
    }
    Ok(transitions)
}

async fn find(tx: &mut Tx, receipts: &[ReceiptEntry]) -> Result<Vec<SentRow>, StoreError> {
    let mut ids = BTreeSet::new();
    let mut carrier_ids = BTreeSet::new();
    for ReceiptEntry { receipt, .. } in receipts {
        // Also the message that has the carrier id, if the receipt names another one.
        ids.extend(receipt.message.as_ref().map(MessageId::as_str));
        carrier_ids.insert(receipt.carrier_id.as_str());
    }
    let ids = json::text(&ids.into_iter().collect::<Vec<_>>())?;
    let carrier_ids = json::text(&carrier_ids.into_iter().collect::<Vec<_>>())?;
    let sql = tx.sql(FIND);
    Ok(in_tx!(tx, |db| {
        sqlx::query_as(sql).bind(ids).bind(carrier_ids).fetch_all(db).await?
    }))
}

/// Applies the receipts in their order.
fn advance(messages: &mut [SentRow], receipts: &[ReceiptEntry]) -> Vec<StatusTransition> {
    let mut by_id = HashMap::new();
    let mut by_carrier_id = HashMap::new();
    for (n, message) in messages.iter().enumerate() {
        by_id.insert(message.id.clone(), n);
        if let Some(carrier_id) = &message.carrier_id {
            by_carrier_id.insert((message.carrier.clone(), carrier_id.clone()), n);
        }
    }
    let mut transitions = Vec::new();
    for ReceiptEntry { carrier, receipt } in receipts {
        let key = (carrier.clone(), receipt.carrier_id.clone());
        // A receipt that contains a message id refers to that message only; it is dropped when the rest does not match.
        let n = match &receipt.message {
            Some(id) => by_id.get(id.as_str()),
            None => by_carrier_id.get(&key),
        };
        // A carrier id belongs to one message.
        let n = n.filter(|n| by_carrier_id.get(&key).is_none_or(|owner| owner == *n));
        let Some((n, message)) = n.and_then(|n| Some((*n, messages.get_mut(*n)?))) else {
            continue;
        };
        if let Some(transition) = message.apply(carrier, receipt) {
            by_carrier_id.insert(key, n);
            transitions.push(transition);
        }
    }
    transitions
}

impl SentRow {
    /// Applies a receipt. Returns `None` when it does not belong to this message or does not advance it.
    fn apply(&mut self, carrier: &str, receipt: &Receipt) -> Option<StatusTransition> {
        let is_of_reporter = receipt.org.as_ref().is_none_or(|org| org.as_str() == self.org_id);
        let matches = is_of_reporter
            && self.carrier == carrier
            && self.carrier_id.as_ref().is_none_or(|id| *id == receipt.carrier_id);
        self.is_complained_of |= matches && receipt.is_complaint();
        if !matches || receipt.stage.rank() <= self.stage_rank {
            return None;
        }
        let Some(channel) = Channel::parse(&self.channel) else {
            // A corrupt row must not block the stream.
            let error = StoreError::Corrupt {
                table: "messages",
                column: "channel",
                row: self.id.clone(),
                value: self.channel.clone(),
            };
            tracing::error!(%error, "message row corrupt; receipt dropped");
            return None;
        };
        self.carrier_id = Some(receipt.carrier_id.clone());
        self.stage_rank = receipt.stage.rank();
        self.changed_to = Some((receipt.stage, receipt.error_code.clone()));
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

/// Returns the cost that follows from a receipt.
fn price(receipt: &Receipt) -> Option<i64> {
    match (receipt.price, receipt.stage) {
        (Some(Micros(price)), _) => Some(price),
        // The carrier did not send it, so it costs nothing.
        (None, DeliveryStatus::Failed) => Some(0),
        (None, _) => None,
    }
}

async fn write(tx: &mut Tx, messages: &[SentRow], at: Timestamp) -> Result<(), StoreError> {
    let mut rows = Vec::new();
    let mut charges = Charges::default();
    for message in messages {
        let Some((stage, error)) = &message.changed_to else {
            continue;
        };
        rows.push(UpdateRow {
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
        // An unsettled message has no cost to correct: settling takes the price from the message.
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
            budget: message.budget_id.as_deref(),
            task: message.task_id.as_deref(),
        };
        charges.settle(account, price - cost);
    }
    let (sql, text) = (tx.sql(UPDATE), json::text(&rows)?);
    in_tx!(tx, |db| sqlx::query(sql)
        .bind(text)
        .bind(at)
        .execute(db)
        .await?
        .rows_affected());
    charges.write(tx).await
}
