//! Messages that leave because of an event: written down with it, so that each leaves, and once.

use butt_dial_domain::clock::Timestamp;
use serde::Serialize;

use super::{
    InboundRow,
    json::{self, statement},
};
use crate::{
    StoreError,
    engine::{Tx, within},
};

macro_rules! insert {
    ($bytes:literal) => {
        concat!(
            "INSERT INTO scheduled_sends (id, org_id, agent_id, channel, recipient, idempotency_key, request_hash, request,
                state, due_at, tries, created_at, is_quiet)
            SELECT value ->> 'id', value ->> 'org', value ->> 'agent', value ->> 'channel', value ->> 'recipient',
                value ->> 'idempotency_key', value ->> 'request_hash', ",
            $bytes,
            ", 'scheduled', $2, 0, $2, value ->> 'is_quiet' = '1' FROM"
        )
    };
}

// An agent that is gone sends nothing.
macro_rules! of_the_living {
    () => {
        "WHERE EXISTS (SELECT 1 FROM agents WHERE agents.id = value ->> 'agent') ON CONFLICT DO NOTHING"
    };
}

const INSERT: (&str, &str) = (
    statement!(insert!("decode(value ->> 'request', 'hex')"), rows, of_the_living!()).0,
    statement!(insert!("unhex(value ->> 'request')"), rows, of_the_living!()).1,
);

/// `is_quiet` is `1` or `0`, as text: the engines don't agree on how JSON's truth values compare.
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
}

/// Returns how many are to leave.
pub(crate) async fn write(tx: &mut Tx, events: &[&InboundRow], at: Timestamp) -> Result<u64, StoreError> {
    let rows: Vec<_> = events.iter().filter_map(|event| FollowUpRow::of(event)).collect();
    if rows.is_empty() {
        return Ok(0);
    }
    let (sql, text) = (tx.either(INSERT.0, INSERT.1), json::text(&rows)?);
    Ok(within!(tx, |db| sqlx::query(sql)
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
        })
    }
}
