//! Messages that are sent because of an event. Stored in the transaction of the event, so that each is sent exactly once.

use butt_dial_domain::{address::contact_key, clock::Timestamp};
use serde::Serialize;

use super::{InboundRow, json};
use crate::{
    StoreError,
    engine::{Sql, Tx, in_tx},
};

// `EXISTS`: the agent may have been deleted meanwhile.
const INSERT: Sql = Sql {
    postgres: "INSERT INTO scheduled_sends (id, org_id, agent_id, channel, recipient, idempotency_key, request_hash, request,
            state, due_at, tries, created_at, is_quiet, contact, bytes)
        SELECT value ->> 'id', value ->> 'org', value ->> 'agent', value ->> 'channel', value ->> 'recipient',
            value ->> 'idempotency_key', value ->> 'request_hash', decode(value ->> 'request', 'hex'), 'scheduled', $2, 0,
            $2, value ->> 'is_quiet' = '1', value ->> 'contact', CAST(value ->> 'bytes' AS BIGINT)
        FROM jsonb_array_elements($1::JSONB) AS item (value)
        WHERE (SELECT a.id FROM agents a WHERE a.id = value ->> 'agent') IS NOT NULL ON CONFLICT DO NOTHING",
    sqlite: "INSERT INTO scheduled_sends (id, org_id, agent_id, channel, recipient, idempotency_key, request_hash, request,
            state, due_at, tries, created_at, is_quiet, contact, bytes)
        SELECT value ->> 'id', value ->> 'org', value ->> 'agent', value ->> 'channel', value ->> 'recipient',
            value ->> 'idempotency_key', value ->> 'request_hash', unhex(value ->> 'request'), 'scheduled', $2, 0,
            $2, value ->> 'is_quiet' = '1', value ->> 'contact', CAST(value ->> 'bytes' AS BIGINT)
        FROM jsonb_each($1) AS item
        WHERE EXISTS (SELECT 1 FROM agents WHERE agents.id = value ->> 'agent') ON CONFLICT DO NOTHING",
};

/// `is_quiet` is `1` or `0` as text: the engines compare JSON booleans differently.
#[derive(Serialize)]
struct FollowUpRow<'a> {
    id: &'a str,
    org: &'a str,
    agent: &'a str,
    channel: &'static str,
    recipient: &'a str,
    idempotency_key: &'a str,
    request_hash: &'a str,
    request: String,
    is_quiet: &'static str,
    contact: String,
    bytes: usize,
}

/// Stores the follow-ups of these events as scheduled sends that are due. Returns how many.
pub(crate) async fn write(tx: &mut Tx, events: &[&InboundRow], at: Timestamp) -> Result<u64, StoreError> {
    let rows: Vec<_> = events.iter().filter_map(|event| FollowUpRow::of(event)).collect();
    if rows.is_empty() {
        return Ok(0);
    }
    let (sql, text) = (tx.sql(INSERT), json::text(&rows)?);
    Ok(in_tx!(tx, |db| sqlx::query(sql)
        .bind(text)
        .bind(at)
        .execute(db)
        .await?
        .rows_affected()))
}

impl<'a> FollowUpRow<'a> {
    fn of(event: &'a InboundRow) -> Option<Self> {
        let follow_up = event.follow_up.as_ref()?;
        Some(Self {
            id: follow_up.id.as_str(),
            org: event.org.as_str(),
            agent: event.agent.as_str(),
            channel: follow_up.channel.as_str(),
            recipient: &follow_up.recipient,
            idempotency_key: &follow_up.idempotency_key,
            request_hash: &follow_up.request_hash,
            request: hex::encode(&follow_up.request),
            is_quiet: if follow_up.is_quiet { "1" } else { "0" },
            contact: contact_key(&follow_up.recipient),
            bytes: follow_up.request.len(),
        })
    }
}
