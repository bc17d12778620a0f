//! Accept and settle on Postgres: one statement each, so one round trip and one commit for the whole group.

use std::sync::Arc;

use sqlx::{PgPool, types::Json};

use super::{
    Acceptance, AcceptedSend, SettledSend, answers, each_once,
    rows::{AcceptRow, SettleRow},
};
use crate::StoreError;

// Rows are sorted by their keys everywhere, so that two replicas take their locks in the same order.
const ACCEPT: &str = "WITH item AS (
    SELECT * FROM jsonb_to_recordset($1) AS i (id TEXT, org_id TEXT, agent_id TEXT, channel TEXT, sender TEXT,
        recipient TEXT, idempotency_key TEXT, request_hash TEXT, body_hash TEXT, content TEXT, fallback TEXT, verdict TEXT, rule TEXT,
        carrier TEXT, estimate BIGINT, day TEXT, agent_day_cap BIGINT, agent_month_cap BIGINT, org_day_cap BIGINT,
        org_month_cap BIGINT, thread_id TEXT, entity_id TEXT, reply_msg_id TEXT, replica TEXT, at TIMESTAMPTZ,
        check_at TIMESTAMPTZ)
), accepted AS (
    INSERT INTO messages (id, org_id, agent_id, channel, sender, recipient, idempotency_key, request_hash, body_hash,
        content, fallback, status, verdict, rule, carrier, estimate, day, thread_id, entity_id, reply_msg_id, attempts,
        check_at, created_at, updated_at)
    SELECT id, org_id, agent_id, channel, sender, recipient, idempotency_key, request_hash, body_hash,
        decode(content, 'hex'), decode(fallback, 'hex'), 'sending', verdict, rule, carrier, estimate, day, thread_id, entity_id, reply_msg_id, 1,
        check_at, at, at
    FROM item ORDER BY agent_id, idempotency_key
    ON CONFLICT DO NOTHING RETURNING id
), attempted AS (
    INSERT INTO attempts (message_id, number, replica, started_at)
    SELECT id, 1, replica, at FROM item JOIN accepted USING (id)
), needed AS (
    SELECT scope, period, SUM(estimate)::BIGINT AS held, MIN(cap) AS cap FROM item JOIN accepted USING (id)
    CROSS JOIN LATERAL (VALUES
        ('agt:' || agent_id, day, agent_day_cap), ('agt:' || agent_id, substr(day, 1, 7), agent_month_cap),
        ('org:' || org_id, day, org_day_cap), ('org:' || org_id, substr(day, 1, 7), org_month_cap)
    ) AS need (scope, period, cap) GROUP BY scope, period ORDER BY scope, period
), reserved AS (
    INSERT INTO spend (scope, period, held, settled, cap) SELECT scope, period, held, 0, cap FROM needed
    ON CONFLICT (scope, period) DO UPDATE SET held = spend.held + excluded.held, cap = excluded.cap
)
SELECT id FROM accepted";

const EARLIER: &str = "SELECT m.id, m.agent_id, m.idempotency_key, m.status FROM messages m
    JOIN jsonb_to_recordset($1) AS i (id TEXT, agent_id TEXT, idempotency_key TEXT)
        ON m.id = i.id OR (m.agent_id = i.agent_id AND m.idempotency_key = i.idempotency_key)";

// An unconfirmed message has no cost of its own: the estimate counts, because the carrier may have charged it.
// A receipt may have come first: the price and the carrier's id that it told stand, and the id proves that the message left.
// A call may have lasted on meanwhile (`extended`, which the estimate has grown by).
const SETTLE: &str = "WITH item AS (
    SELECT * FROM jsonb_to_recordset($1) AS i (id TEXT, status TEXT, outcome TEXT, detail TEXT, at TIMESTAMPTZ,
        frees_key INT, final INT, carrier_id TEXT, carrier_status TEXT, segments BIGINT, cost BIGINT, failure TEXT,
        check_at TIMESTAMPTZ)
), locked AS MATERIALIZED (
    SELECT m.id FROM messages m JOIN item ON m.id = item.id ORDER BY m.id FOR UPDATE OF m
), settled AS (
    UPDATE messages m SET status = item.status, carrier_id = coalesce(item.carrier_id, m.carrier_id),
        carrier_status = item.carrier_status, segments = item.segments,
        cost = CASE WHEN item.final = 1 THEN coalesce(m.price, item.cost + m.extended, m.estimate) END,
        failure = item.failure, failure_detail = item.detail, updated_at = item.at,
        check_at = CASE WHEN item.final = 0 AND m.carrier_id IS NOT NULL THEN item.at ELSE item.check_at END,
        content = CASE WHEN item.final = 0 THEN m.content END,
        fallback = CASE WHEN item.status IN ('accepted', 'unknown') THEN m.fallback END,
        idempotency_key = CASE WHEN item.frees_key = 1 THEN m.idempotency_key || ' ' || m.id
            ELSE m.idempotency_key END
    FROM item JOIN locked ON locked.id = item.id WHERE m.id = item.id AND m.status IN ('sending', 'unknown')
    RETURNING m.id, m.org_id, m.agent_id, m.channel, m.day, m.estimate, m.cost, m.attempts, m.status, item.final,
        item.outcome, item.detail, item.at
), attempted AS (
    UPDATE attempts a SET finished_at = s.at, outcome = s.outcome, detail = s.detail
    FROM settled s WHERE a.message_id = s.id AND a.number = s.attempts
), released AS (
    INSERT INTO spend (scope, period, held, settled, cap)
    SELECT scope, period, -SUM(estimate)::BIGINT, SUM(cost)::BIGINT, NULL FROM settled
    CROSS JOIN LATERAL (VALUES ('agt:' || agent_id, day), ('agt:' || agent_id, substr(day, 1, 7)),
        ('org:' || org_id, day), ('org:' || org_id, substr(day, 1, 7))) AS need (scope, period)
    WHERE final = 1 GROUP BY scope, period ORDER BY scope, period
    ON CONFLICT (scope, period) DO UPDATE SET held = spend.held + excluded.held,
        settled = spend.settled + excluded.settled, cap = NULL
), counted AS (
    INSERT INTO usage (agent_id, day, channel, org_id, messages, cost)
    SELECT agent_id, day, channel, MIN(org_id), COUNT(*), SUM(cost)::BIGINT FROM settled
    WHERE status IN ('accepted', 'unconfirmed') GROUP BY agent_id, day, channel ORDER BY agent_id, day, channel
    ON CONFLICT (agent_id, day, channel) DO UPDATE SET messages = usage.messages + excluded.messages,
        cost = usage.cost + excluded.cost
)
SELECT id FROM settled";

pub(crate) async fn accept(db: PgPool, items: Arc<[AcceptedSend]>) -> Result<Vec<Option<Acceptance>>, StoreError> {
    let rows = Json(items.iter().map(AcceptRow::from).collect::<Vec<_>>());
    let accepted: Vec<String> = sqlx::query_scalar(ACCEPT).bind(&rows).fetch_all(&db).await?;
    let earlier = if accepted.len() == items.len() {
        Vec::new()
    } else {
        sqlx::query_as(EARLIER).bind(&rows).fetch_all(&db).await?
    };
    Ok(answers(&items, &accepted, &earlier))
}

pub(crate) async fn settle(db: PgPool, items: Arc<[SettledSend]>) -> Result<Vec<bool>, StoreError> {
    each_once(&items)?;
    let rows = Json(items.iter().map(SettleRow::from).collect::<Vec<_>>());
    let settled: Vec<String> = sqlx::query_scalar(SETTLE).bind(rows).fetch_all(&db).await?;
    let settled: std::collections::HashSet<String> = settled.into_iter().collect();
    Ok(items.iter().map(|item| settled.contains(item.id.as_str())).collect())
}
