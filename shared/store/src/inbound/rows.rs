//! The statements that write a batch down, and how their rows travel: as one JSON text each. The engines differ only in how
//! they take such a text apart.

use butt_dial_domain::{Channel, ChannelId, MessageId, OrgId};
use serde::{Serialize, Serializer};
use serde_json::Value;

use super::{InboundRow, ReceiptEntry};

pub struct Sql {
    pub begin: &'static str,
    pub move_by_id: &'static str,
    pub move_by_carrier_id: &'static str,
    pub cost: &'static str,
    pub spend: &'static str,
    pub usage: &'static str,
    pub known: &'static str,
    pub number: &'static str,
    pub insert: &'static str,
    pub windows: &'static str,
    pub consents: &'static str,
    pub cancel: &'static str,
    pub due: &'static str,
}

/// `$rows`: a table `item` with one column `value`, an object or a list. `$values`: the same for a list of texts.
/// `$bytes`, `$json`: what makes bytes of hexadecimal digits, and JSON of JSON, around an expression.
macro_rules! statements {
    (begin $begin:literal, rows $rows:literal, values $values:literal, bytes $bytes:literal $bytes_end:literal,
     json $json:literal, lock $lock:literal) => {
        Sql {
            begin: $begin,
            move_by_id: concat!(
                "UPDATE messages SET stage = item.value ->> 'stage',
                    stage_rank = CAST(item.value ->> 'rank' AS BIGINT), stage_at = $2,
                    stage_error = item.value ->> 'error', carrier_id = coalesce(carrier_id, item.value ->> 'carrier_id'),
                    check_at = CASE WHEN status = 'unknown' THEN $2 ELSE check_at END
                FROM ", $rows, " WHERE messages.id = item.value ->> 'message' AND carrier = item.value ->> 'carrier'
                    AND (carrier_id IS NULL OR carrier_id = item.value ->> 'carrier_id')
                    AND stage_rank < CAST(item.value ->> 'rank' AS BIGINT)
                RETURNING messages.id, org_id, agent_id, channel, recipient, carrier_id, cost, day"
            ),
            // Of a message whose id came along too, the statement before has done it, or must not be believed.
            move_by_carrier_id: concat!(
                "UPDATE messages SET stage = item.value ->> 'stage',
                    stage_rank = CAST(item.value ->> 'rank' AS BIGINT), stage_at = $2,
                    stage_error = item.value ->> 'error'
                FROM ", $rows, " WHERE messages.carrier_id = item.value ->> 'carrier_id'
                    AND item.value ->> 'message' IS NULL AND carrier = item.value ->> 'carrier'
                    AND stage_rank < CAST(item.value ->> 'rank' AS BIGINT)
                RETURNING messages.id, org_id, agent_id, channel, recipient, carrier_id, cost, day"
            ),
            cost: "UPDATE messages SET cost = cost + $2 WHERE id = $1 AND day = $3",
            spend: "UPDATE spend SET settled = settled + $2, cap = NULL
                FROM messages m WHERE m.id = $1 AND (scope = 'agt:' || m.agent_id OR scope = 'org:' || m.org_id)
                    AND period IN ($3, substr($3, 1, 7))",
            usage: "UPDATE usage SET cost = usage.cost + $2 FROM messages m
                WHERE m.id = $1 AND usage.agent_id = m.agent_id AND usage.day = $3 AND usage.channel = m.channel",
            known: concat!("SELECT id FROM events WHERE id IN (SELECT value FROM ", $values, ")"),
            // Always in one order, so that two writers can't wait for each other.
            number: concat!(
                "WITH wanted AS (SELECT value ->> 0 AS agent_id, CAST(value ->> 1 AS BIGINT) AS events FROM ", $rows, "),
                    locked AS (SELECT id FROM agents WHERE id IN (SELECT agent_id FROM wanted) ORDER BY id", $lock, ")
                UPDATE agents SET event_seq = event_seq + wanted.events FROM wanted, locked
                WHERE agents.id = locked.id AND wanted.agent_id = locked.id RETURNING agents.id, event_seq"
            ),
            insert: concat!(
                "INSERT INTO events (agent_id, seq, id, type, channel, state, reason, data, created_at, contact, content,
                    ready_at, is_quiet)
                SELECT value ->> 'agent', CAST(value ->> 'seq' AS BIGINT), value ->> 'id', value ->> 'kind',
                    value ->> 'channel', 'waiting', 'agent_offline', ", $json, ", $2, value ->> 'contact', ",
                $bytes, "value ->> 'content'", $bytes_end, ",
                    CASE WHEN value ->> 'unready' IS NULL THEN NULL ELSE $2 END, value ->> 'quiet' IS NOT NULL
                FROM ", $rows, " WHERE true ON CONFLICT (id) DO NOTHING"
            ),
            windows: concat!(
                "INSERT INTO inbound_windows (channel_id, address, last_inbound_at)
                SELECT value ->> 'channel_id', value ->> 'address', $2 FROM ", $rows, " WHERE true
                ON CONFLICT (channel_id, address) DO UPDATE SET last_inbound_at = excluded.last_inbound_at
                WHERE excluded.last_inbound_at > inbound_windows.last_inbound_at"
            ),
            consents: concat!(
                "INSERT INTO consents (org_id, channel, address, status, source, updated_at)
                SELECT value ->> 'org_id', value ->> 'channel', value ->> 'address', value ->> 'status', 'keyword', $2
                FROM ", $rows, " WHERE true ON CONFLICT (org_id, address, channel) DO UPDATE SET
                    status = excluded.status, source = excluded.source, updated_at = excluded.updated_at"
            ),
            cancel: concat!(
                "UPDATE scheduled_sends SET state = 'cancelled', failure = 'CONTACT_OPTED_OUT', request = NULL
                FROM ", $rows, " WHERE value ->> 'status' = 'revoked' AND scheduled_sends.org_id = value ->> 'org_id'
                    AND scheduled_sends.recipient = value ->> 'address'
                    AND scheduled_sends.channel = value ->> 'channel' AND state = 'scheduled'"
            ),
            due: concat!(
                "INSERT INTO deliveries (agent_id, due_at, holder, held_until, generation)
                SELECT value, $2, $3, $4, 1 FROM ", $values, " WHERE true ON CONFLICT (agent_id) DO UPDATE SET
                    generation = deliveries.generation + 1,
                    due_at = CASE WHEN deliveries.failures > 0 THEN deliveries.due_at ELSE $2 END,
                    holder = CASE WHEN deliveries.failures = 0 AND (deliveries.held_until IS NULL
                        OR deliveries.held_until < $2) THEN $3 ELSE deliveries.holder END,
                    held_until = CASE WHEN deliveries.failures = 0 AND (deliveries.held_until IS NULL
                        OR deliveries.held_until < $2) THEN $4 ELSE deliveries.held_until END
                RETURNING agent_id, CASE WHEN held_until = $4 THEN holder END"
            ),
        }
    };
}

pub static POSTGRES: Sql = statements!(
    begin "BEGIN", rows "jsonb_array_elements($1) AS item (value)",
    values "jsonb_array_elements_text($1) AS item (value)", bytes "decode(" ", 'hex')",
    json "value -> 'data'", lock " FOR UPDATE"
);

pub static SQLITE: Sql = statements!(
    begin "BEGIN IMMEDIATE", rows "json_each($1) AS item", values "json_each($1) AS item",
    bytes "unhex(" ")", json "value -> 'data'", lock ""
);

fn as_hex<S: Serializer>(bytes: &Option<&[u8]>, serializer: S) -> Result<S::Ok, S::Error> {
    match bytes {
        Some(bytes) => serializer.serialize_str(&hex::encode(bytes)),
        None => serializer.serialize_none(),
    }
}

#[derive(Serialize)]
pub struct EventRow<'a> {
    agent: &'a str,
    seq: i64,
    id: &'a str,
    kind: &'static str,
    channel: Channel,
    contact: &'a str,
    data: &'a Value,
    #[serde(serialize_with = "as_hex")]
    content: Option<&'a [u8]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unready: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    quiet: Option<u8>,
}

impl<'a> EventRow<'a> {
    pub fn new(event: &'a InboundRow, seq: i64) -> Self {
        Self {
            agent: event.agent.as_str(),
            seq,
            id: &event.id,
            kind: event.kind,
            channel: event.channel,
            contact: &event.contact,
            data: &event.data,
            content: event.content.as_deref(),
            unready: event.is_incomplete.then_some(1),
            quiet: event.is_quiet.then_some(1),
        }
    }
}

#[derive(Serialize)]
pub struct ReceiptRow<'a> {
    message: Option<&'a MessageId>,
    carrier: &'a str,
    carrier_id: &'a str,
    stage: &'static str,
    rank: i64,
    error: Option<&'a str>,
}

impl<'a> From<&'a ReceiptEntry> for ReceiptRow<'a> {
    fn from(entry: &'a ReceiptEntry) -> Self {
        let receipt = &entry.receipt;
        Self {
            message: receipt.message.as_ref(),
            carrier: &entry.carrier,
            carrier_id: &receipt.carrier_id,
            stage: receipt.stage.as_str(),
            rank: receipt.stage.rank(),
            error: receipt.error_code.as_deref(),
        }
    }
}

#[derive(Serialize, PartialEq)]
pub struct WindowRow<'a> {
    channel_id: &'a ChannelId,
    address: &'a str,
}

impl<'a> WindowRow<'a> {
    /// Each window once: one statement can't write a row twice.
    pub fn of(events: &'a [InboundRow]) -> Vec<Self> {
        let mut rows = Vec::new();
        for event in events {
            if let Some(channel_id) = &event.channel_id {
                let row = Self {
                    channel_id,
                    address: &event.contact,
                };
                if !rows.contains(&row) {
                    rows.push(row);
                }
            }
        }
        rows
    }
}

#[derive(Serialize)]
pub struct ConsentRow<'a> {
    org_id: &'a OrgId,
    channel: Channel,
    address: &'a str,
    status: &'static str,
}

impl<'a> ConsentRow<'a> {
    /// The last word of each contact counts.
    pub fn of(events: &'a [InboundRow]) -> Vec<Self> {
        let mut rows: Vec<Self> = Vec::new();
        for event in events {
            let Some(granted) = event.consent else { continue };
            rows.retain(|row| {
                (row.org_id, row.channel, row.address) != (&event.org, event.channel, event.contact.as_str())
            });
            rows.push(Self {
                org_id: &event.org,
                channel: event.channel,
                address: &event.contact,
                status: if granted { "granted" } else { "revoked" },
            });
        }
        rows
    }
}
