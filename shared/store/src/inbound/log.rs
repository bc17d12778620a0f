//! The events of a batch: which of them are new, their numbers, and who may deliver them.

use std::collections::HashSet;

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

// An array, because with a list the planner takes it for cheaper to read a table that it believes to be small.
const KNOWN: Statement = (
    "SELECT id FROM events WHERE id = ANY (ARRAY(SELECT jsonb_array_elements_text($1::JSONB)))",
    "SELECT id FROM events WHERE id IN (SELECT value FROM json_each($1))",
);

// How many numbers each agent needs, and which of its own each event gets.
macro_rules! counted {
    ($items:literal) => {
        concat!(
            "SELECT value ->> 'agent' AS agent, COUNT(*) AS events FROM ",
            $items,
            " GROUP BY 1"
        )
    };
}

macro_rules! insert {
    ($seq:literal, $bytes:literal, $from:literal) => {
        concat!(
            "INSERT INTO events (agent_id, seq, id, type, channel, state, reason, data, created_at, contact, content,
                ready_at, is_quiet)
            SELECT value ->> 'agent', ",
            $seq,
            ", value ->> 'id', value ->> 'kind', value ->> 'channel', 'waiting', 'agent_offline', value -> 'data', $2,
                value ->> 'contact', ",
            $bytes,
            ", CASE WHEN value ->> 'is_incomplete' = '1' THEN $2 END, value ->> 'is_quiet' = '1' FROM ",
            $from
        )
    };
}

// Whoever appends to an agent's log holds its row, so numbers commit in their order. The rows are taken in the order of the
// ids, so that no two writers wait for each other.
const APPEND: &str = concat!(
    "WITH item AS MATERIALIZED (SELECT value, ROW_NUMBER() OVER (PARTITION BY value ->> 'agent' ORDER BY n) AS place
        FROM jsonb_array_elements($1::JSONB) WITH ORDINALITY AS items (value, n)
    ), counted AS (",
    counted!("item"),
    "), locked AS MATERIALIZED (SELECT id FROM agents WHERE id = ANY (ARRAY(SELECT agent FROM counted))
        ORDER BY id FOR NO KEY UPDATE
    ), numbered AS (UPDATE agents SET event_seq = event_seq + counted.events
        FROM counted JOIN locked ON locked.id = counted.agent
        WHERE agents.id = locked.id RETURNING agents.id, event_seq - counted.events AS before
    ), inserted AS (",
    insert!(
        "numbered.before + place",
        "decode(value ->> 'content', 'hex')",
        "item JOIN numbered ON numbered.id = value ->> 'agent'"
    ),
    " RETURNING 1)
    SELECT id FROM numbered"
);

// SQLite knows no statements that write two tables.
const NUMBER: &str = concat!(
    "UPDATE agents SET event_seq = event_seq + counted.events FROM (",
    counted!("jsonb_each($1)"),
    ") AS counted WHERE agents.id = counted.agent RETURNING agents.id"
);
const INSERT: &str = insert!(
    "event_seq + 1 - ROW_NUMBER() OVER (PARTITION BY value ->> 'agent' ORDER BY item.key DESC)",
    "unhex(value ->> 'content')",
    "jsonb_each($1) AS item JOIN agents ON agents.id = value ->> 'agent'"
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

pub struct LogEntry<'a> {
    /// The events that were not there before.
    pub new: Vec<&'a InboundRow>,
    /// Those whose log grew.
    pub agents: Vec<AgentId>,
    pub added: usize,
}

/// Whom there is something to deliver to, and whom of them the holder may deliver to.
#[derive(Default)]
pub struct Due {
    pub agents: Vec<AgentId>,
    pub claims: Vec<DeliveryClaim>,
}

#[derive(sqlx::FromRow)]
struct DueRow {
    #[sqlx(flatten)]
    claim: DeliveryClaim,
    ours: bool,
}

/// Which of these events are there already.
pub(crate) async fn find_known(tx: &mut Tx, events: &[InboundRow]) -> Result<HashSet<String>, StoreError> {
    if events.is_empty() {
        return Ok(HashSet::new());
    }
    let ids: Vec<&str> = events.iter().map(|event| event.id.as_str()).collect();
    let (sql, text) = (tx.either(KNOWN.0, KNOWN.1), json::text(&ids)?);
    let found: Vec<String> = within!(tx, |db| sqlx::query_scalar(sql).bind(text).fetch_all(db).await?);
    Ok(found.into_iter().collect())
}

/// Appends what is not `known`. An agent that is gone has no log. `Conflict`: somebody has appended one of them meanwhile.
pub(crate) async fn write<'a>(
    tx: &mut Tx,
    mut new: Vec<&'a InboundRow>,
    mut known: HashSet<String>,
    at: Timestamp,
) -> Result<LogEntry<'a>, StoreError> {
    new.retain(|event| known.insert(event.id.clone()));
    let mut agents = HashSet::new();
    if !new.is_empty() {
        let rows: Vec<EventRow<'_>> = new.iter().copied().map(EventRow::of).collect();
        agents = append(tx, &json::text(&rows)?, at).await?;
    }
    let added = new.iter().filter(|event| agents.contains(event.agent.as_str())).count();
    Ok(LogEntry {
        added,
        agents: agents.into_iter().map(AgentId::from).collect(),
        new,
    })
}

/// Returns the agents that there are.
async fn append(tx: &mut Tx, rows: &str, at: Timestamp) -> Result<HashSet<String>, StoreError> {
    let agents: Vec<String> = match tx {
        Tx::Postgres(tx) => {
            let appended = sqlx::query_scalar(APPEND).bind(rows).bind(at);
            appended.fetch_all(&mut **tx).await?
        }
        Tx::Sqlite(tx) => {
            let numbered = sqlx::query_scalar(NUMBER).bind(rows).fetch_all(&mut **tx).await?;
            sqlx::query(INSERT).bind(rows).bind(at).execute(&mut **tx).await?;
            numbered
        }
    };
    Ok(agents.into_iter().collect())
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
        due.agents.push(row.claim.agent());
        if row.ours {
            due.claims.push(row.claim);
        }
    }
    Ok(due)
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
    fn of(event: &'a InboundRow) -> Self {
        Self {
            agent: event.agent.as_str(),
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
