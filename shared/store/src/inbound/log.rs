//! The events of a batch: finds the new ones, numbers and appends them, and makes their delivery due.

use std::collections::HashSet;

use butt_dial_domain::{AgentId, Channel, clock::Timestamp};
use serde::{Serialize, Serializer};
use serde_json::Value;

use super::{InboundBatch, InboundRow, json};
use crate::{
    DeliveryClaim, StoreError,
    engine::{Sql, Tx, in_tx},
};

// An array on Postgres: with `IN`, the planner prefers a scan while it believes the table to be small.
const FIND_KNOWN: Sql = Sql {
    postgres: "SELECT id FROM events WHERE id = ANY (ARRAY(SELECT jsonb_array_elements_text($1::JSONB)))",
    sqlite: "SELECT id FROM events WHERE id IN (SELECT value FROM json_each($1))",
};

// Every append locks the row of the agent, so that numbers become visible in their order. The rows are locked in the order of
// their ids, so that two appends cannot deadlock.
const APPEND_IN_POSTGRES: &str = "WITH item AS MATERIALIZED (
        SELECT value, ROW_NUMBER() OVER (PARTITION BY value ->> 'agent' ORDER BY n) AS place
        FROM jsonb_array_elements($1::JSONB) WITH ORDINALITY AS items (value, n)
    ), counted AS (
        SELECT value ->> 'agent' AS agent, COUNT(*) AS events FROM item GROUP BY 1
    ), locked AS MATERIALIZED (
        SELECT id FROM agents WHERE id = ANY (ARRAY(SELECT agent FROM counted)) ORDER BY id FOR NO KEY UPDATE
    ), numbered AS (
        UPDATE agents SET event_seq = event_seq + counted.events FROM counted JOIN locked ON locked.id = counted.agent
        WHERE agents.id = locked.id RETURNING agents.id, event_seq - counted.events AS before, keeps_texts
    ), inserted AS (
        INSERT INTO events (agent_id, seq, id, type, channel, state, reason, data, created_at, contact, content, kept, ready_at,
            is_quiet)
        SELECT value ->> 'agent', numbered.before + place, value ->> 'id', value ->> 'kind', value ->> 'channel', 'waiting',
            'agent_offline', value -> 'data', $2, value ->> 'contact', decode(value ->> 'content', 'hex'),
            CASE WHEN keeps_texts AND value ->> 'kind' = 'message.received' THEN decode(value ->> 'content', 'hex') END,
            CASE WHEN value ->> 'is_incomplete' = '1' THEN $2 END, value ->> 'is_quiet' = '1'
        FROM item JOIN numbered ON numbered.id = value ->> 'agent'
        RETURNING 1
    )
    SELECT id FROM numbered";

// SQLite has no statement that writes two tables: the first one takes the numbers, the second one assigns them.
const NUMBER_IN_SQLITE: &str = "UPDATE agents SET event_seq = event_seq + counted.events
    FROM (SELECT value ->> 'agent' AS agent, COUNT(*) AS events FROM jsonb_each($1) GROUP BY 1) AS counted
    WHERE agents.id = counted.agent RETURNING agents.id";

const INSERT_IN_SQLITE: &str = "INSERT INTO events (agent_id, seq, id, type, channel, state, reason, data, created_at,
        contact, content, kept, ready_at, is_quiet)
    SELECT value ->> 'agent', event_seq + 1 - ROW_NUMBER() OVER (PARTITION BY value ->> 'agent' ORDER BY item.key DESC),
        value ->> 'id', value ->> 'kind', value ->> 'channel', 'waiting', 'agent_offline', value -> 'data', $2,
        value ->> 'contact', unhex(value ->> 'content'),
        CASE WHEN keeps_texts AND value ->> 'kind' = 'message.received' THEN unhex(value ->> 'content') END, CASE WHEN value ->> 'is_incomplete' = '1' THEN $2 END,
        value ->> 'is_quiet' = '1'
    FROM jsonb_each($1) AS item JOIN agents ON agents.id = value ->> 'agent'";

// New events are due at once, unless the callback fails: then they wait for its retry time. The holder claims deliveries that
// are not claimed, but not those that `schedule_delivery_now` has just marked: the sweep claims them.
const MAKE_DUE: Sql = Sql {
    postgres: "INSERT INTO deliveries (agent_id, due_at, holder, held_until, generation)
        SELECT value, $2, $3, $4, 1 FROM jsonb_array_elements_text($1::JSONB) AS item (value) ORDER BY value
        ON CONFLICT (agent_id) DO UPDATE SET generation = deliveries.generation + 1,
            due_at = CASE WHEN deliveries.failures > 0 THEN coalesce(deliveries.due_at, excluded.due_at)
                ELSE excluded.due_at END,
            holder = CASE WHEN deliveries.failures = 0 AND (deliveries.held_until IS NULL
                OR deliveries.held_until < $2) THEN excluded.holder ELSE deliveries.holder END,
            held_until = CASE WHEN deliveries.failures = 0 AND (deliveries.held_until IS NULL
                OR deliveries.held_until < $2) THEN excluded.held_until ELSE deliveries.held_until END
        RETURNING agent_id, coalesce(holder = $3 AND held_until = $4, FALSE) AS is_claimed, generation, failures,
            coalesce(held_until, $2) AS held_until",
    sqlite: "INSERT INTO deliveries (agent_id, due_at, holder, held_until, generation)
        SELECT value, $2, $3, $4, 1 FROM json_each($1) AS item WHERE true ORDER BY value
        ON CONFLICT (agent_id) DO UPDATE SET generation = deliveries.generation + 1,
            due_at = CASE WHEN deliveries.failures > 0 THEN coalesce(deliveries.due_at, excluded.due_at)
                ELSE excluded.due_at END,
            holder = CASE WHEN deliveries.failures = 0 AND (deliveries.held_until IS NULL
                OR deliveries.held_until < $2) THEN excluded.holder ELSE deliveries.holder END,
            held_until = CASE WHEN deliveries.failures = 0 AND (deliveries.held_until IS NULL
                OR deliveries.held_until < $2) THEN excluded.held_until ELSE deliveries.held_until END
        RETURNING agent_id, coalesce(holder = $3 AND held_until = $4, FALSE) AS is_claimed, generation, failures,
            coalesce(held_until, $2) AS held_until",
};

/// The result of an append.
pub struct AppendedEvents<'a> {
    /// The events that did not exist before.
    pub new: Vec<&'a InboundRow>,
    /// The agents with new events.
    pub agents: Vec<AgentId>,
    pub added: usize,
}

/// The agents with due deliveries, and the claims that the holder of the batch has got.
#[derive(Default)]
pub struct Due {
    pub agents: Vec<AgentId>,
    pub claims: Vec<DeliveryClaim>,
}

#[derive(sqlx::FromRow)]
struct DueRow {
    #[sqlx(flatten)]
    claim: DeliveryClaim,
    is_claimed: bool,
}

/// Returns the ids of those events that exist already.
pub(crate) async fn find_known(tx: &mut Tx, events: &[InboundRow]) -> Result<HashSet<String>, StoreError> {
    if events.is_empty() {
        return Ok(HashSet::new());
    }
    let ids: Vec<&str> = events.iter().map(|event| event.id.as_str()).collect();
    let (sql, text) = (tx.sql(FIND_KNOWN), json::text(&ids)?);
    let found: Vec<String> = in_tx!(tx, |db| sqlx::query_scalar(sql).bind(text).fetch_all(db).await?);
    Ok(found.into_iter().collect())
}

/// Appends the events that are not `known`; drops those of deleted agents. Fails with `Conflict` when another replica has
/// appended one of them meanwhile.
pub(crate) async fn write<'a>(
    tx: &mut Tx,
    mut new: Vec<&'a InboundRow>,
    mut known: HashSet<String>,
    at: Timestamp,
) -> Result<AppendedEvents<'a>, StoreError> {
    new.retain(|event| known.insert(event.id.clone()));
    let mut agents = HashSet::new();
    if !new.is_empty() {
        let rows: Vec<EventRow<'_>> = new.iter().copied().map(EventRow::of).collect();
        agents = append(tx, &json::text(&rows)?, at).await?;
    }
    let added = new.iter().filter(|event| agents.contains(event.agent.as_str())).count();
    Ok(AppendedEvents {
        added,
        agents: agents.into_iter().map(AgentId::from).collect(),
        new,
    })
}

/// Appends the rows. Returns the ids of the agents that exist.
async fn append(tx: &mut Tx, rows: &str, at: Timestamp) -> Result<HashSet<String>, StoreError> {
    let agents: Vec<String> = match tx {
        Tx::Postgres(tx) => {
            let appended = sqlx::query_scalar(APPEND_IN_POSTGRES).bind(rows).bind(at);
            appended.fetch_all(&mut **tx).await?
        }
        Tx::Sqlite(tx) => {
            let numbered = sqlx::query_scalar(NUMBER_IN_SQLITE)
                .bind(rows)
                .fetch_all(&mut **tx)
                .await?;
            sqlx::query(INSERT_IN_SQLITE)
                .bind(rows)
                .bind(at)
                .execute(&mut **tx)
                .await?;
            numbered
        }
    };
    Ok(agents.into_iter().collect())
}

/// Makes the deliveries of these agents due, and claims those that are not claimed for the holder of the batch.
pub(crate) async fn make_due(tx: &mut Tx, agents: &[AgentId], batch: &InboundBatch) -> Result<Due, StoreError> {
    if agents.is_empty() {
        return Ok(Due::default());
    }
    let (sql, text) = (tx.sql(MAKE_DUE), json::text(agents)?);
    let rows: Vec<DueRow> = in_tx!(tx, |db| {
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
        if row.is_claimed {
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

/// `is_incomplete` and `is_quiet` are `1` or `0` as text: the engines compare JSON booleans differently.
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
