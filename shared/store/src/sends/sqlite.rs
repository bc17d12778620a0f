//! Accept and settle on SQLite: it knows no statements that write several tables, so each is a short transaction of the one
//! writer. What the statements mean is the same, row by row, as in `postgres.rs`.
//! Rows are read with `jsonb_each` (SQLite 3.51, the one built in): with `json_each` a row would be written out as text, and
//! read again, for each of its fields.

use std::sync::Arc;

use sqlx::{SqlitePool, types::Json};

use super::{
    Acceptance, AcceptedSend, SettledSend, answers, each_once,
    rows::{AcceptRow, SettleRow},
};
use crate::StoreError;

const ACCEPT: &str = "INSERT INTO messages (id, org_id, agent_id, channel, sender, recipient, idempotency_key,
        request_hash, body_hash, content, fallback, status, verdict, rule, carrier, estimate, day, thread_id, entity_id,
        reply_msg_id, attempts, check_at, created_at, updated_at)
    SELECT value ->> 'id', value ->> 'org_id', value ->> 'agent_id', value ->> 'channel', value ->> 'sender',
        value ->> 'recipient', value ->> 'idempotency_key', value ->> 'request_hash', value ->> 'body_hash',
        unhex(value ->> 'content'), unhex(value ->> 'fallback'), 'sending', value ->> 'verdict', value ->> 'rule', value ->> 'carrier',
        value ->> 'estimate', value ->> 'day', value ->> 'thread_id', value ->> 'entity_id', value ->> 'reply_msg_id', 1,
        value ->> 'check_at', value ->> 'at', value ->> 'at'
    FROM jsonb_each($1) WHERE true
    ON CONFLICT DO NOTHING RETURNING id";

const ATTEMPT: &str = "INSERT INTO attempts (message_id, number, replica, started_at)
    SELECT value ->> 'id', 1, value ->> 'replica', value ->> 'at' FROM jsonb_each($1)
    WHERE value ->> 'id' IN (SELECT value FROM json_each($2))";

const RESERVE: &str = "WITH item AS (
        SELECT 'agt:' || (value ->> 'agent_id') AS agent, 'org:' || (value ->> 'org_id') AS org, value ->> 'day' AS day,
            substr(value ->> 'day', 1, 7) AS month, value ->> 'estimate' AS estimate,
            value ->> 'agent_day_cap' AS agent_day_cap, value ->> 'agent_month_cap' AS agent_month_cap,
            value ->> 'org_day_cap' AS org_day_cap, value ->> 'org_month_cap' AS org_month_cap
        FROM jsonb_each($1) WHERE value ->> 'id' IN (SELECT value FROM json_each($2))
    ), need AS (
        SELECT agent AS scope, day AS period, estimate, agent_day_cap AS cap FROM item
        UNION ALL SELECT agent, month, estimate, agent_month_cap FROM item
        UNION ALL SELECT org, day, estimate, org_day_cap FROM item
        UNION ALL SELECT org, month, estimate, org_month_cap FROM item
    )
    INSERT INTO spend (scope, period, held, settled, cap)
    SELECT scope, period, SUM(estimate), 0, MIN(cap) FROM need WHERE true GROUP BY scope, period
    ON CONFLICT (scope, period) DO UPDATE SET held = spend.held + excluded.held, cap = excluded.cap";

const EARLIER: &str = "SELECT m.id, m.agent_id, m.idempotency_key, m.status FROM messages m JOIN jsonb_each($1) AS i
    ON m.id = i.value ->> 'id'
        OR (m.agent_id = i.value ->> 'agent_id' AND m.idempotency_key = i.value ->> 'idempotency_key')";

const SETTLE: &str =
    "UPDATE messages SET status = i.value ->> 'status', carrier_id = coalesce(i.value ->> 'carrier_id', carrier_id),
        carrier_status = i.value ->> 'carrier_status', segments = i.value ->> 'segments',
        cost = CASE WHEN i.value ->> 'final' = 1 THEN coalesce(price, (i.value ->> 'cost') + extended, estimate) END,
        failure = i.value ->> 'failure', failure_detail = i.value ->> 'detail',
        check_at = CASE WHEN i.value ->> 'final' = 0 AND carrier_id IS NOT NULL THEN i.value ->> 'at'
            ELSE i.value ->> 'check_at' END,
        updated_at = i.value ->> 'at', content = CASE WHEN i.value ->> 'final' = 0 THEN content END,
        fallback = CASE WHEN i.value ->> 'status' IN ('accepted', 'unknown') THEN fallback END,
        idempotency_key = CASE WHEN i.value ->> 'frees_key' = 1 THEN idempotency_key || ' ' || messages.id
            ELSE idempotency_key END
    FROM jsonb_each($1) AS i WHERE messages.id = i.value ->> 'id' AND messages.status IN ('sending', 'unknown')
    RETURNING messages.id";

const ATTEMPTED: &str = "UPDATE attempts SET finished_at = i.value ->> 'at', outcome = i.value ->> 'outcome',
        detail = i.value ->> 'detail'
    FROM jsonb_each($1) AS i JOIN messages m ON m.id = i.value ->> 'id'
    WHERE attempts.message_id = m.id AND attempts.number = m.attempts AND m.id IN (SELECT value FROM json_each($2))";

const RELEASE: &str = "WITH item AS (
        SELECT 'agt:' || m.agent_id AS agent, 'org:' || m.org_id AS org, m.day, substr(m.day, 1, 7) AS month, m.estimate,
            m.cost
        FROM messages m WHERE m.id IN (SELECT value FROM json_each($1)) AND m.status <> 'unknown'
    ), need AS (
        SELECT agent AS scope, day AS period, estimate, cost FROM item
        UNION ALL SELECT agent, month, estimate, cost FROM item
        UNION ALL SELECT org, day, estimate, cost FROM item
        UNION ALL SELECT org, month, estimate, cost FROM item
    )
    INSERT INTO spend (scope, period, held, settled, cap)
    SELECT scope, period, -SUM(estimate), SUM(cost), NULL FROM need WHERE true GROUP BY scope, period
    ON CONFLICT (scope, period) DO UPDATE SET held = spend.held + excluded.held,
        settled = spend.settled + excluded.settled, cap = NULL";

const COUNT: &str = "INSERT INTO usage (agent_id, day, channel, org_id, messages, cost)
    SELECT agent_id, day, channel, MIN(org_id), COUNT(*), SUM(cost) FROM messages
    WHERE id IN (SELECT value FROM json_each($1)) AND status IN ('accepted', 'unconfirmed')
    GROUP BY agent_id, day, channel
    ON CONFLICT (agent_id, day, channel) DO UPDATE SET messages = usage.messages + excluded.messages,
        cost = usage.cost + excluded.cost";

pub(crate) async fn accept(db: SqlitePool, items: Arc<[AcceptedSend]>) -> Result<Vec<Option<Acceptance>>, StoreError> {
    let rows = Json(items.iter().map(AcceptRow::from).collect::<Vec<_>>());
    let mut tx = db.begin_with("BEGIN IMMEDIATE").await?;
    let accepted: Vec<String> = sqlx::query_scalar(ACCEPT).bind(&rows).fetch_all(&mut *tx).await?;
    let ids = Json(&accepted);
    if !accepted.is_empty() {
        sqlx::query(ATTEMPT).bind(&rows).bind(ids).execute(&mut *tx).await?;
        sqlx::query(RESERVE).bind(&rows).bind(ids).execute(&mut *tx).await?;
    }
    let earlier = if accepted.len() == items.len() {
        Vec::new()
    } else {
        sqlx::query_as(EARLIER).bind(&rows).fetch_all(&mut *tx).await?
    };
    tx.commit().await?;
    Ok(answers(&items, &accepted, &earlier))
}

pub(crate) async fn settle(db: SqlitePool, items: Arc<[SettledSend]>) -> Result<Vec<bool>, StoreError> {
    each_once(&items)?;
    let rows = Json(items.iter().map(SettleRow::from).collect::<Vec<_>>());
    let mut tx = db.begin_with("BEGIN IMMEDIATE").await?;
    let settled: Vec<String> = sqlx::query_scalar(SETTLE).bind(&rows).fetch_all(&mut *tx).await?;
    let ids = Json(&settled);
    if !settled.is_empty() {
        sqlx::query(ATTEMPTED).bind(&rows).bind(ids).execute(&mut *tx).await?;
        sqlx::query(RELEASE).bind(ids).execute(&mut *tx).await?;
        sqlx::query(COUNT).bind(ids).execute(&mut *tx).await?;
    }
    tx.commit().await?;
    let settled: std::collections::HashSet<String> = settled.into_iter().collect();
    Ok(items.iter().map(|item| settled.contains(item.id.as_str())).collect())
}
