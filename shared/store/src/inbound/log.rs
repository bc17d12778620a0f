//! The events of a batch: which of them are new, their numbers, and who may deliver them.

use std::collections::{BTreeMap, HashSet};

use butt_dial_domain::{AgentId, Channel, clock::Timestamp};
use serde::{Serialize, Serializer};
use serde_json::Value;

use super::{
    InboundBatch, InboundRow,
    json::{self, statement},
};
use crate::{
    DeliveryClaim, StoreError,
    engine::{Tx, within},
};

type Statement = (&'static str, &'static str);

// Whoever appends to an agent's log holds its row: so what is known stays known until the numbers are given, and numbers
// commit in their order. In the order of the ids, so that no two writers wait for each other.
const LOCK: Statement = (
    "SELECT id FROM agents WHERE id = ANY (ARRAY(SELECT jsonb_array_elements_text($1::JSONB)))
        ORDER BY id FOR NO KEY UPDATE",
    "SELECT id FROM agents WHERE id IN (SELECT value FROM json_each($1))",
);

// An array, because with a list the planner takes it for cheaper to read a table that it believes to be small.
const KNOWN: Statement = (
    "SELECT id FROM events WHERE id = ANY (ARRAY(SELECT jsonb_array_elements_text($1::JSONB)))",
    "SELECT id FROM events WHERE id IN (SELECT value FROM json_each($1))",
);

const NUMBER: Statement = statement!(
    "UPDATE agents SET event_seq = event_seq + CAST(item.value ->> 1 AS BIGINT) FROM",
    rows,
    "WHERE agents.id = item.value ->> 0 RETURNING agents.id, event_seq"
);

macro_rules! insert {
    ($bytes:literal) => {
        concat!(
            "INSERT INTO events (agent_id, seq, id, type, channel, state, reason, data, created_at, contact, content,
                ready_at, is_quiet)
            SELECT value ->> 'agent', CAST(value ->> 'seq' AS BIGINT), value ->> 'id', value ->> 'kind',
                value ->> 'channel', 'waiting', 'agent_offline', value -> 'data', $2, value ->> 'contact', ",
            $bytes,
            ", CASE WHEN value ->> 'is_incomplete' = '1' THEN $2 END, value ->> 'is_quiet' = '1' FROM"
        )
    };
}

const INSERT: Statement = (
    statement!(insert!("decode(value ->> 'content', 'hex')"), rows, "").0,
    statement!(insert!("unhex(value ->> 'content')"), rows, "").1,
);

/// New events are due at once, unless the callback fails: then it is called again when its time has come. A delivery that was
/// poked a moment ago is nobody's, and is left to the sweep.
const DUE: Statement = statement!(
    "INSERT INTO deliveries (agent_id, due_at, holder, held_until, generation) SELECT value, $2, $3, $4, 1 FROM",
    texts,
    "WHERE true ORDER BY value ON CONFLICT (agent_id) DO UPDATE SET
        generation = deliveries.generation + 1,
        due_at = CASE WHEN deliveries.failures > 0 THEN coalesce(deliveries.due_at, excluded.due_at)
            ELSE excluded.due_at END,
        holder = CASE WHEN deliveries.failures = 0 AND (deliveries.held_until IS NULL
            OR deliveries.held_until < $2) THEN excluded.holder ELSE deliveries.holder END,
        held_until = CASE WHEN deliveries.failures = 0 AND (deliveries.held_until IS NULL
            OR deliveries.held_until < $2) THEN excluded.held_until ELSE deliveries.held_until END
    RETURNING agent_id, coalesce(holder = $3 AND held_until = $4, FALSE) AS ours, generation, failures,
        coalesce(held_until, $2) AS held_until"
);

pub struct Logged<'a> {
    /// The events that were not there before.
    pub new: Vec<&'a InboundRow>,
    /// Those whose log grew, in order.
    pub agents: Vec<AgentId>,
    pub added: usize,
}

/// Whom there is something to deliver to, and what of it the holder may deliver.
#[derive(Default)]
pub struct Due {
    pub agents: Vec<(AgentId, bool)>,
    pub claims: Vec<DeliveryClaim>,
}

#[derive(sqlx::FromRow)]
struct DueRow {
    #[sqlx(flatten)]
    claim: DeliveryClaim,
    ours: bool,
}

/// Appends what is new. An agent that is gone has no log.
pub(crate) async fn write<'a>(
    tx: &mut Tx,
    events: Vec<&'a InboundRow>,
    at: Timestamp,
) -> Result<Logged<'a>, StoreError> {
    if events.is_empty() {
        return Ok(Logged {
            new: events,
            agents: Vec::new(),
            added: 0,
        });
    }
    let mut counts: BTreeMap<&str, i64> = events.iter().map(|event| (event.agent.as_str(), 0)).collect();
    let agents: Vec<&str> = counts.keys().copied().collect();
    let living: HashSet<String> = find(tx, LOCK, &agents).await?;
    let ids: Vec<&str> = events.iter().map(|event| event.id.as_str()).collect();
    let mut known: HashSet<String> = find(tx, KNOWN, &ids).await?;
    let mut new = events;
    new.retain(|event| known.insert(event.id.clone()));

    counts.retain(|agent, _| living.contains(*agent));
    for event in &new {
        if let Some(count) = counts.get_mut(event.agent.as_str()) {
            *count += 1;
        }
    }
    counts.retain(|_, count| *count > 0);
    let mut next = number(tx, &counts).await?;
    let rows: Vec<EventRow<'_>> = new
        .iter()
        .filter_map(|event| {
            let seq = next.get_mut(event.agent.as_str())?;
            *seq += 1;
            Some(EventRow::new(event, *seq))
        })
        .collect();
    if !rows.is_empty() {
        let (sql, text) = (tx.either(INSERT.0, INSERT.1), json::text(&rows)?);
        within!(tx, |db| sqlx::query(sql)
            .bind(text)
            .bind(at)
            .execute(db)
            .await?
            .rows_affected());
    }
    Ok(Logged {
        added: rows.len(),
        agents: counts.into_keys().map(AgentId::from).collect(),
        new,
    })
}

/// Says that there is something to deliver to these agents, and takes those that nobody holds.
pub(crate) async fn let_deliver(tx: &mut Tx, agents: &[AgentId], batch: &InboundBatch) -> Result<Due, StoreError> {
    if agents.is_empty() {
        return Ok(Due::default());
    }
    let (sql, text) = (tx.either(DUE.0, DUE.1), json::text(agents)?);
    let rows: Vec<DueRow> = within!(tx, |db| {
        sqlx::query_as(sql)
            .bind(text)
            .bind(batch.at)
            .bind(&batch.holder)
            .bind(batch.held_until)
            .fetch_all(db)
            .await?
    });
    let mut due = Due::default();
    for row in rows {
        due.agents.push((row.claim.agent(), row.ours));
        if row.ours {
            due.claims.push(row.claim);
        }
    }
    Ok(due)
}

/// Which of these ids there are.
async fn find(tx: &mut Tx, sql: Statement, ids: &[&str]) -> Result<HashSet<String>, StoreError> {
    let (sql, text) = (tx.either(sql.0, sql.1), json::text(ids)?);
    let found: Vec<String> = within!(tx, |db| sqlx::query_scalar(sql).bind(text).fetch_all(db).await?);
    Ok(found.into_iter().collect())
}

/// Gives each agent so many numbers. Returns the last one that each had before.
async fn number(tx: &mut Tx, counts: &BTreeMap<&str, i64>) -> Result<BTreeMap<String, i64>, StoreError> {
    if counts.is_empty() {
        return Ok(BTreeMap::new());
    }
    let rows: Vec<(&&str, &i64)> = counts.iter().collect();
    let (sql, text) = (tx.either(NUMBER.0, NUMBER.1), json::text(&rows)?);
    let ends: Vec<(String, i64)> = within!(tx, |db| sqlx::query_as(sql).bind(text).fetch_all(db).await?);
    let before = |(agent, end): (String, i64)| {
        let count = counts.get(agent.as_str()).copied().unwrap_or_default();
        (agent, end - count)
    };
    Ok(ends.into_iter().map(before).collect())
}

fn as_hex<S: Serializer>(bytes: &Option<&[u8]>, serializer: S) -> Result<S::Ok, S::Error> {
    match bytes {
        Some(bytes) => serializer.serialize_str(&hex::encode(bytes)),
        None => serializer.serialize_none(),
    }
}

/// `is_incomplete` and `is_quiet` are `1` or `0`, as text: the engines don't agree on how JSON's truth values compare.
#[derive(Serialize)]
struct EventRow<'a> {
    agent: &'a str,
    seq: i64,
    id: &'a str,
    kind: &'static str,
    channel: Channel,
    contact: &'a str,
    data: &'a Value,
    #[serde(serialize_with = "as_hex")]
    content: Option<&'a [u8]>,
    is_incomplete: &'static str,
    is_quiet: &'static str,
}

impl<'a> EventRow<'a> {
    fn new(event: &'a InboundRow, seq: i64) -> Self {
        Self {
            agent: event.agent.as_str(),
            seq,
            id: &event.id,
            kind: event.kind,
            channel: event.channel,
            contact: &event.contact,
            data: &event.data,
            content: event.content.as_deref(),
            is_incomplete: if event.is_incomplete { "1" } else { "0" },
            is_quiet: if event.is_quiet { "1" } else { "0" },
        }
    }
}
