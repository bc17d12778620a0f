//! Accept and settle on Postgres: one statement each, so one round trip and one commit per batch.

use std::{collections::HashSet, sync::Arc};

use sqlx::types::Json;

use super::{
    AcceptedSend, Decision, SettledSend, decisions, ensure_distinct,
    rows::{AcceptRow, SettleRow},
    split,
};
use crate::{StoreError, postgres::PgDatabase};

// Rows are sorted by their keys everywhere, so that all replicas lock them in the same order.
// Items without consent or budget are left out, so that they cost the others no extra round trip. `alone` compares each item with what is
// spent, `running` adds those before it. Another batch may spend at the same time; then the CHECK refuses the whole batch.
const ACCEPT: &str = "WITH item AS MATERIALIZED (
    SELECT id, org_id, agent_id, channel, sender, recipient, contact, answers, idempotency_key, request_hash, body_hash, content, keep, fallback,
        verdict, rule, send_purpose, ruling, carrier, estimate, day, agent_day_cap, agent_month_cap, org_day_cap, org_month_cap, budget_id,
        budget_cap, budget_day_cap, thread_id, entity_id, reply_msg_id, task_id, replica, at, check_at
    FROM jsonb_to_recordset($1) AS i (id TEXT, org_id TEXT, agent_id TEXT, channel TEXT, sender TEXT,
        recipient TEXT, contact TEXT, answers INT, idempotency_key TEXT, request_hash TEXT, body_hash TEXT, content TEXT, keep INT, fallback TEXT, verdict TEXT, rule TEXT,
        send_purpose TEXT, ruling TEXT,
        carrier TEXT, estimate BIGINT, day TEXT, agent_day_cap BIGINT, agent_month_cap BIGINT, org_day_cap BIGINT,
        org_month_cap BIGINT, budget_id TEXT, budget_cap BIGINT, budget_day_cap BIGINT, thread_id TEXT, entity_id TEXT, reply_msg_id TEXT, task_id TEXT, replica TEXT, at TIMESTAMPTZ,
        check_at TIMESTAMPTZ)
), need AS MATERIALIZED (
    SELECT id, estimate, scope, period, cap, task_org FROM item CROSS JOIN LATERAL (VALUES
        ('agt:' || agent_id, day, agent_day_cap, NULL), ('agt:' || agent_id, substr(day, 1, 7), agent_month_cap, NULL),
        ('org:' || org_id, day, org_day_cap, NULL), ('org:' || org_id, substr(day, 1, 7), org_month_cap, NULL),
        ('tok:' || budget_id, day, budget_day_cap, NULL), ('tok:' || budget_id, 'total', budget_cap, NULL),
        ('task:' || org_id || '/' || task_id, 'total', (SELECT max_spend FROM limits l
            WHERE l.scope = 'task:' || item.org_id || '/' || item.task_id), org_id)
    ) AS need (scope, period, cap, task_org) WHERE scope IS NOT NULL
), spent AS MATERIALIZED (
    SELECT scope, period, coalesce((SELECT held + settled FROM spend WHERE spend.scope = capped.scope
        AND spend.period = capped.period), 0) AS amount
    FROM (SELECT DISTINCT scope, period FROM need WHERE cap IS NOT NULL) AS capped
), alone AS MATERIALIZED (
    SELECT id, scope, period, estimate, cap, amount, amount + estimate > cap AS is_over
    FROM need JOIN spent USING (scope, period) WHERE cap IS NOT NULL
), running AS (
    SELECT id, amount + SUM(estimate) OVER (PARTITION BY scope, period ORDER BY id) > cap AS is_over
    FROM alone WHERE id NOT IN (SELECT id FROM alone WHERE is_over)
), omitted AS MATERIALIZED (
    SELECT id, MIN(reason) AS reason FROM (
        SELECT id, '1 opted_out' AS reason FROM item WHERE contact IS NOT NULL
            AND (SELECT status FROM consents c WHERE c.org_id = item.org_id AND c.address IN (item.recipient, item.contact)
                AND (c.channel = item.channel OR (item.channel IN ('sms', 'whatsapp', 'voice')
                    AND c.channel IN ('sms', 'whatsapp', 'voice')))
                ORDER BY c.updated_at DESC, c.status DESC LIMIT 1) = 'revoked'
        UNION ALL SELECT id, '2 taken_over' FROM item WHERE answers IS NULL AND (SELECT until_at FROM contact_pauses p
            WHERE p.agent_id = item.agent_id AND p.contact = item.contact AND p.taken_by IS NOT NULL) > item.at
        UNION ALL SELECT id, '3 over_budget' FROM alone WHERE is_over
        UNION ALL SELECT id, '4 crowded' FROM running WHERE is_over
    ) AS reasons GROUP BY id
), accepted AS (
    INSERT INTO messages (id, org_id, agent_id, channel, sender, recipient, idempotency_key, request_hash, body_hash,
        content, kept, fallback, status, verdict, rule, send_purpose, ruling, carrier, estimate, day, budget_id, budget_cap, budget_day_cap, thread_id, entity_id,
        reply_msg_id, task_id, attempts, replica, check_at, created_at, updated_at)
    SELECT id, org_id, agent_id, channel, sender, recipient, idempotency_key, request_hash, body_hash,
        decode(content, 'hex'), CASE WHEN keep = 1 THEN decode(content, 'hex') END, decode(fallback, 'hex'), 'sending', verdict, rule, send_purpose, ruling, carrier, estimate, day, budget_id,
        budget_cap, budget_day_cap, thread_id, entity_id, reply_msg_id, task_id, 1, replica, check_at, at, at
    FROM item WHERE id NOT IN (SELECT id FROM omitted) ORDER BY agent_id, idempotency_key
    ON CONFLICT DO NOTHING RETURNING id
), needed AS (
    SELECT scope, period, SUM(estimate)::BIGINT AS held, MIN(cap) AS cap, MIN(task_org) AS task_org FROM need JOIN accepted USING (id)
    GROUP BY scope, period ORDER BY scope, period
), reserved AS (
    INSERT INTO spend (scope, period, held, settled, cap, task_org_id) SELECT scope, period, held, 0, cap, task_org FROM needed
    ON CONFLICT (scope, period) DO UPDATE SET held = spend.held + excluded.held, cap = excluded.cap
)
SELECT id, NULL AS reason FROM accepted UNION ALL SELECT id, substr(reason, 3) FROM omitted";

const FIND_PRIOR: &str = "SELECT m.id, m.agent_id, m.idempotency_key, m.status FROM messages m
    JOIN jsonb_to_recordset($1) AS i (id TEXT, agent_id TEXT, idempotency_key TEXT)
        ON m.id = i.id OR (m.agent_id = i.agent_id AND m.idempotency_key = i.idempotency_key)";

// An unconfirmed message has no reported cost: the estimate counts, because the carrier may have charged it.
// A receipt may have been applied before: its price and carrier id are kept, and the id proves that the message was sent.
// A call may have been extended meanwhile (`extended`, which the estimate includes).
// All rows exist and are only updated. The upsert finds each by its key with any cached plan; the plan of an UPDATE with a join,
// made while the table is new, scans the whole table for every batch after it has grown.
const SETTLE: &str = "WITH item AS (
    SELECT id, status, outcome, detail, at, frees_key, final, carrier_id, carrier_status, segments, cost, failure, check_at,
        disclosed, trace
    FROM jsonb_to_recordset($1) AS i (id TEXT, status TEXT, outcome TEXT, detail TEXT, at TIMESTAMPTZ,
        frees_key INT, final INT, carrier_id TEXT, carrier_status TEXT, segments BIGINT, cost BIGINT, failure TEXT,
        check_at TIMESTAMPTZ, disclosed TEXT, trace TEXT)
), settled AS (
    INSERT INTO messages (id, org_id, agent_id, channel, sender, recipient, request_hash, body_hash, verdict, carrier,
        estimate, day, attempts, created_at, idempotency_key, status, carrier_id, carrier_status, segments, cost, failure,
        failure_detail, outcome, check_at, updated_at, settled_at, trace)
    SELECT m.id, m.org_id, m.agent_id, m.channel, m.sender, m.recipient, m.request_hash, m.body_hash, m.verdict, m.carrier,
        m.estimate, m.day, m.attempts, m.created_at,
        CASE WHEN i.frees_key = 1 THEN m.idempotency_key || ' ' || m.id ELSE m.idempotency_key END,
        i.status, i.carrier_id, i.carrier_status, i.segments, i.cost, i.failure, i.detail, i.outcome, i.check_at, i.at, i.at, i.trace
    FROM item i CROSS JOIN LATERAL (
        SELECT id, org_id, agent_id, channel, sender, recipient, request_hash, body_hash, verdict, carrier, estimate, day,
            attempts, created_at, idempotency_key
        FROM messages WHERE id = i.id LIMIT 1) m ORDER BY i.id
    ON CONFLICT (id) DO UPDATE SET status = excluded.status,
        carrier_id = coalesce(excluded.carrier_id, messages.carrier_id), carrier_status = excluded.carrier_status,
        segments = excluded.segments,
        cost = CASE WHEN excluded.status <> 'unknown'
            THEN coalesce(messages.price, excluded.cost + messages.extended, messages.estimate) END,
        failure = excluded.failure, failure_detail = excluded.failure_detail, outcome = excluded.outcome,
        settled_at = excluded.settled_at, updated_at = excluded.updated_at,
        check_at = CASE WHEN excluded.status = 'unknown' AND messages.carrier_id IS NOT NULL THEN excluded.updated_at
            ELSE excluded.check_at END,
        content = CASE WHEN excluded.status = 'unknown' THEN messages.content END,
        fallback = CASE WHEN excluded.status IN ('accepted', 'unknown') THEN messages.fallback END,
        idempotency_key = excluded.idempotency_key,
        trace = coalesce(messages.trace || coalesce(' ' || excluded.trace, ''), excluded.trace)
    WHERE messages.status IN ('sending', 'unknown')
    RETURNING id, org_id, agent_id, channel, day, estimate, cost, status, budget_id, task_id
), released AS (
    INSERT INTO spend (scope, period, held, settled, cap)
    SELECT scope, period, -SUM(estimate)::BIGINT, SUM(cost)::BIGINT, NULL FROM settled
    CROSS JOIN LATERAL (VALUES ('agt:' || agent_id, day), ('agt:' || agent_id, substr(day, 1, 7)),
        ('org:' || org_id, day), ('org:' || org_id, substr(day, 1, 7)),
        ('tok:' || budget_id, day), ('tok:' || budget_id, 'total'),
        ('task:' || org_id || '/' || task_id, 'total')) AS need (scope, period)
    WHERE status <> 'unknown' AND scope IS NOT NULL GROUP BY scope, period ORDER BY scope, period
    ON CONFLICT (scope, period) DO UPDATE SET held = spend.held + excluded.held,
        settled = spend.settled + excluded.settled, cap = NULL
), counted AS (
    INSERT INTO usage (agent_id, day, channel, org_id, messages, cost)
    SELECT agent_id, day, channel, MIN(org_id), COUNT(*), SUM(cost)::BIGINT FROM settled
    WHERE status IN ('accepted', 'unconfirmed') GROUP BY agent_id, day, channel ORDER BY agent_id, day, channel
    ON CONFLICT (agent_id, day, channel) DO UPDATE SET messages = usage.messages + excluded.messages,
        cost = usage.cost + excluded.cost
), disclosed AS (
    INSERT INTO ai_disclosures (org_id, channel, contact, at)
    SELECT s.org_id, s.channel, i.disclosed, i.at FROM settled s JOIN item i USING (id)
    WHERE i.disclosed IS NOT NULL AND s.status = 'accepted' ORDER BY s.org_id, s.channel, i.disclosed
    ON CONFLICT DO NOTHING
)
SELECT id FROM settled";

/// Accepts a batch.
pub(crate) async fn accept(db: PgDatabase, items: Arc<[Arc<AcceptedSend>]>) -> Result<Vec<Decision>, StoreError> {
    ensure_distinct(items.iter().map(|send| &send.id))?;
    let rows = Json(items.iter().map(|send| AcceptRow::from(&**send)).collect::<Vec<_>>());
    let decided: Vec<(String, Option<String>)> = sqlx::query_as(ACCEPT).bind(&rows).fetch_all(&db).await?;
    let (accepted, omitted) = split(&decided);
    let prior = if accepted.len() == items.len() {
        Vec::new()
    } else {
        sqlx::query_as(FIND_PRIOR).bind(&rows).fetch_all(&db).await?
    };
    Ok(decisions(&items, &accepted, &omitted, &prior))
}

/// While another transaction updates a message, `ON CONFLICT (id)` can miss it, and the insert then violates its other unique
/// indexes. Each repetition finds the message, unless it is updated again.
const MAX_RACES: usize = 3;

/// Settles a batch. Returns per item whether it was not settled before.
pub(crate) async fn settle(db: PgDatabase, items: Arc<[SettledSend]>) -> Result<Vec<bool>, StoreError> {
    ensure_distinct(items.iter().map(|item| &item.id))?;
    let mut settled = settle_in(&db, &items).await;
    for _ in 0..MAX_RACES {
        if !matches!(settled, Err(StoreError::Conflict)) {
            break;
        }
        settled = settle_in(&db, &items).await;
    }
    let settled = settled?;
    Ok(items.iter().map(|item| settled.contains(item.id.as_str())).collect())
}

/// Settles these messages. Returns the ids of those that were not settled before.
pub(super) async fn settle_in(
    db: impl sqlx::PgExecutor<'_>,
    items: &[SettledSend],
) -> Result<HashSet<String>, StoreError> {
    ensure_distinct(items.iter().map(|item| &item.id))?;
    let rows = Json(items.iter().map(SettleRow::from).collect::<Vec<_>>());
    let settled: Vec<String> = sqlx::query_scalar(SETTLE).bind(rows).fetch_all(db).await?;
    Ok(settled.into_iter().collect())
}
