//! Accept and settle on SQLite, as one statement: an insert into a temporary view with triggers that write all tables. Each result of
//! a statement wakes its caller, which costs more than most of these statements. A statement is a transaction, so nothing remains
//! open when its caller goes away. The effect per row is the same as in `postgres.rs`. `jsonb_each` (SQLite 3.51, bundled) reads
//! the rows once, into a temporary table of the connection; `json_each` would write each row as text and parse it again for every
//! field.

use std::{collections::HashSet, sync::Arc};

use sqlx::{SqliteConnection, SqlitePool, types::Json};

use super::{
    Decision, SettledSend, Write, Written, decisions, ensure_distinct,
    rows::{AcceptRow, SettleRow},
    split,
};
use crate::StoreError;

/// Tables, views and triggers of each write connection. The tables hold the rows of the last write. They have no index, so that joins
/// look up the other table by its own index.
///
/// `accepting` holds the new messages: not those with a stored id or with a used idempotency key. `omission` says why one is left
/// out; `crowded` compares with the items before it. `settling` holds the messages that were not settled before, with their cost.
pub(crate) const TEMP_SCHEMA: &str = "
    CREATE TEMP TABLE accepting (id, org_id, agent_id, channel, sender, recipient, contact, answers, omission, idempotency_key, request_hash, body_hash,
        content, keep, fallback, verdict, rule, send_purpose, ruling, carrier, estimate, day, agent_day_cap, agent_month_cap, org_day_cap, org_month_cap,
        budget_id, budget_cap, budget_day_cap, thread_id, entity_id, reply_msg_id, task_id, task_scope, task_cap, replica, at, check_at);
    CREATE TEMP TABLE settling (id, status, outcome, detail, at, frees_key, carrier_id, carrier_status, segments, failure,
        check_at, disclosed, trace, org_id, agent_id, channel, day, estimate, cost, budget_id, task_id);
    CREATE TEMP VIEW accept_batch (items) AS SELECT NULL;
    CREATE TEMP VIEW settle_batch (items) AS SELECT NULL;
    CREATE TEMP VIEW write_batch (settling, accepting) AS SELECT NULL, NULL;
    CREATE TEMP TRIGGER accept INSTEAD OF INSERT ON accept_batch BEGIN
        DELETE FROM accepting;
        INSERT INTO accepting (id, org_id, agent_id, channel, sender, recipient, contact, answers, idempotency_key, request_hash, body_hash, content,
                keep, fallback, verdict, rule, send_purpose, ruling, carrier, estimate, day, agent_day_cap, agent_month_cap, org_day_cap, org_month_cap, budget_id,
                budget_cap, budget_day_cap, thread_id, entity_id, reply_msg_id, task_id, task_scope, task_cap, replica, at, check_at)
            SELECT value ->> 'id', value ->> 'org_id', value ->> 'agent_id', value ->> 'channel', value ->> 'sender',
                value ->> 'recipient', value ->> 'contact', value ->> 'answers', value ->> 'idempotency_key', value ->> 'request_hash', value ->> 'body_hash',
                unhex(value ->> 'content'), value ->> 'keep', unhex(value ->> 'fallback'), value ->> 'verdict', value ->> 'rule',
                value ->> 'send_purpose', value ->> 'ruling', value ->> 'carrier',
                value ->> 'estimate', value ->> 'day', value ->> 'agent_day_cap', value ->> 'agent_month_cap',
                value ->> 'org_day_cap', value ->> 'org_month_cap', value ->> 'budget_id', value ->> 'budget_cap',
                value ->> 'budget_day_cap', value ->> 'thread_id', value ->> 'entity_id',
                value ->> 'reply_msg_id', value ->> 'task_id', 'task:' || (value ->> 'org_id') || '/' || (value ->> 'task_id'),
                (SELECT max_spend FROM limits l WHERE l.scope = 'task:' || (value ->> 'org_id') || '/' || (value ->> 'task_id')),
                value ->> 'replica', value ->> 'at', value ->> 'check_at'
            FROM jsonb_each(NEW.items) WHERE NOT EXISTS (SELECT 1 FROM messages m WHERE m.id = value ->> 'id');
        UPDATE accepting SET omission = 'opted_out' WHERE contact IS NOT NULL
            AND (SELECT status FROM consents c WHERE c.org_id = accepting.org_id
                AND c.address IN (accepting.recipient, accepting.contact)
                AND (c.channel = accepting.channel OR (accepting.channel IN ('sms', 'whatsapp', 'voice')
                    AND c.channel IN ('sms', 'whatsapp', 'voice')))
                ORDER BY c.updated_at DESC, c.status DESC LIMIT 1) = 'revoked';
        UPDATE accepting SET omission = 'taken_over' WHERE omission IS NULL AND answers IS NULL AND (SELECT until_at FROM contact_pauses p
            WHERE p.agent_id = accepting.agent_id AND p.contact = accepting.contact AND p.taken_by IS NOT NULL) > at;
        UPDATE accepting SET omission = 'over_budget' WHERE omission IS NULL AND (
            estimate + coalesce((SELECT held + settled FROM spend WHERE scope = 'agt:' || agent_id AND period = day), 0)
                > agent_day_cap
            OR estimate + coalesce((SELECT held + settled FROM spend WHERE scope = 'agt:' || agent_id
                AND period = substr(day, 1, 7)), 0) > agent_month_cap
            OR estimate + coalesce((SELECT held + settled FROM spend WHERE scope = 'org:' || accepting.org_id AND period = day), 0)
                > org_day_cap
            OR estimate + coalesce((SELECT held + settled FROM spend WHERE scope = 'org:' || accepting.org_id
                AND period = substr(day, 1, 7)), 0) > org_month_cap
            OR estimate + coalesce((SELECT held + settled FROM spend WHERE scope = 'tok:' || budget_id AND period = day), 0)
                > budget_day_cap
            OR estimate + coalesce((SELECT held + settled FROM spend WHERE scope = 'tok:' || budget_id AND period = 'total'), 0)
                > budget_cap
            OR estimate + coalesce((SELECT held + settled FROM spend WHERE scope = task_scope AND period = 'total'), 0) > task_cap);
        UPDATE accepting SET omission = 'crowded' WHERE (SELECT COUNT(*) FROM accepting) > 1 AND rowid IN (
            SELECT item FROM (
                SELECT item, cap, coalesce((SELECT held + settled FROM spend WHERE spend.scope = need.scope
                    AND spend.period = need.period), 0) + SUM(estimate) OVER (PARTITION BY scope, period ORDER BY item) AS total
                FROM (
                    SELECT rowid AS item, 'agt:' || agent_id AS scope, day AS period, estimate, agent_day_cap AS cap
                        FROM accepting WHERE omission IS NULL
                    UNION ALL SELECT rowid, 'agt:' || agent_id, substr(day, 1, 7), estimate, agent_month_cap
                        FROM accepting WHERE omission IS NULL
                    UNION ALL SELECT rowid, 'org:' || org_id, day, estimate, org_day_cap FROM accepting WHERE omission IS NULL
                    UNION ALL SELECT rowid, 'org:' || org_id, substr(day, 1, 7), estimate, org_month_cap
                        FROM accepting WHERE omission IS NULL
                    UNION ALL SELECT rowid, 'tok:' || budget_id, day, estimate, budget_day_cap FROM accepting WHERE omission IS NULL
                    UNION ALL SELECT rowid, 'tok:' || budget_id, 'total', estimate, budget_cap FROM accepting WHERE omission IS NULL
                    UNION ALL SELECT rowid, task_scope, 'total', estimate, task_cap FROM accepting WHERE omission IS NULL
                ) AS need WHERE cap IS NOT NULL
            ) WHERE total > cap);
        INSERT INTO messages (id, org_id, agent_id, channel, sender, recipient, idempotency_key, request_hash, body_hash, content,
                kept, fallback, status, verdict, rule, send_purpose, ruling, carrier, estimate, day, budget_id, budget_cap, budget_day_cap, thread_id, entity_id,
                reply_msg_id, task_id, attempts, replica, check_at, created_at, updated_at)
            SELECT id, org_id, agent_id, channel, sender, recipient, idempotency_key, request_hash, body_hash, content,
                CASE WHEN keep = 1 THEN content END, fallback, 'sending', verdict, rule, send_purpose, ruling, carrier, estimate, day, budget_id, budget_cap, budget_day_cap, thread_id, entity_id,
                reply_msg_id, task_id, 1, replica, check_at, at, at
            FROM accepting WHERE omission IS NULL ON CONFLICT DO NOTHING;
        DELETE FROM accepting WHERE omission IS NULL AND NOT EXISTS (SELECT 1 FROM messages m WHERE m.id = accepting.id);
        INSERT INTO spend (scope, period, held, settled, cap, task_org_id)
            SELECT scope, period, SUM(estimate), 0, MIN(cap), MIN(task_org) FROM (
                SELECT 'agt:' || agent_id AS scope, day AS period, estimate, agent_day_cap AS cap, omission, NULL AS task_org
                    FROM accepting
                UNION ALL SELECT 'agt:' || agent_id, substr(day, 1, 7), estimate, agent_month_cap, omission, NULL FROM accepting
                UNION ALL SELECT 'org:' || org_id, day, estimate, org_day_cap, omission, NULL FROM accepting
                UNION ALL SELECT 'org:' || org_id, substr(day, 1, 7), estimate, org_month_cap, omission, NULL FROM accepting
                UNION ALL SELECT 'tok:' || budget_id, day, estimate, budget_day_cap, omission, NULL FROM accepting
                UNION ALL SELECT 'tok:' || budget_id, 'total', estimate, budget_cap, omission, NULL FROM accepting
                UNION ALL SELECT task_scope, 'total', estimate, task_cap, omission, org_id FROM accepting
            ) WHERE omission IS NULL AND scope IS NOT NULL GROUP BY scope, period
            ON CONFLICT (scope, period) DO UPDATE SET held = spend.held + excluded.held, cap = excluded.cap;
    END;
    CREATE TEMP TRIGGER settle INSTEAD OF INSERT ON settle_batch BEGIN
        DELETE FROM settling;
        INSERT INTO settling (id, status, outcome, detail, at, frees_key, carrier_id, carrier_status, segments, failure, check_at,
                disclosed, trace, org_id, agent_id, channel, day, estimate, cost, budget_id, task_id)
            SELECT m.id, value ->> 'status', value ->> 'outcome', value ->> 'detail', value ->> 'at', value ->> 'frees_key',
                value ->> 'carrier_id', value ->> 'carrier_status', value ->> 'segments', value ->> 'failure',
                CASE WHEN value ->> 'final' = 0 AND m.carrier_id IS NOT NULL THEN value ->> 'at' ELSE value ->> 'check_at' END,
                value ->> 'disclosed', value ->> 'trace',
                m.org_id, m.agent_id, m.channel, m.day, m.estimate,
                CASE WHEN value ->> 'final' = 1 THEN coalesce(m.price, (value ->> 'cost') + m.extended, m.estimate) END,
                m.budget_id, m.task_id
            FROM jsonb_each(NEW.items) CROSS JOIN messages m ON m.id = value ->> 'id' WHERE m.status IN ('sending', 'unknown');
        UPDATE messages SET status = s.status, carrier_id = coalesce(s.carrier_id, messages.carrier_id),
                carrier_status = s.carrier_status, segments = s.segments, cost = s.cost, failure = s.failure,
                failure_detail = s.detail, outcome = s.outcome, settled_at = s.at, check_at = s.check_at, updated_at = s.at,
                content = CASE WHEN s.status = 'unknown' THEN content END,
                fallback = CASE WHEN s.status IN ('accepted', 'unknown') THEN fallback END,
                idempotency_key = CASE WHEN s.frees_key = 1 THEN idempotency_key || ' ' || messages.id ELSE idempotency_key END,
                trace = coalesce(messages.trace || coalesce(' ' || s.trace, ''), s.trace)
            FROM settling s WHERE messages.id = s.id;
        INSERT INTO spend (scope, period, held, settled, cap)
            SELECT scope, period, -SUM(estimate), SUM(cost), NULL FROM (
                SELECT 'agt:' || agent_id AS scope, day AS period, estimate, cost, status FROM settling
                UNION ALL SELECT 'agt:' || agent_id, substr(day, 1, 7), estimate, cost, status FROM settling
                UNION ALL SELECT 'org:' || org_id, day, estimate, cost, status FROM settling
                UNION ALL SELECT 'org:' || org_id, substr(day, 1, 7), estimate, cost, status FROM settling
                UNION ALL SELECT 'tok:' || budget_id, day, estimate, cost, status FROM settling
                UNION ALL SELECT 'tok:' || budget_id, 'total', estimate, cost, status FROM settling
                UNION ALL SELECT 'task:' || org_id || '/' || task_id, 'total', estimate, cost, status FROM settling
            ) WHERE status <> 'unknown' AND scope IS NOT NULL GROUP BY scope, period
            ON CONFLICT (scope, period) DO UPDATE SET held = spend.held + excluded.held,
                settled = spend.settled + excluded.settled, cap = NULL;
        INSERT INTO usage (agent_id, day, channel, org_id, messages, cost)
            SELECT agent_id, day, channel, MIN(org_id), COUNT(*), SUM(cost) FROM settling
            WHERE status IN ('accepted', 'unconfirmed') GROUP BY agent_id, day, channel
            ON CONFLICT (agent_id, day, channel) DO UPDATE SET messages = usage.messages + excluded.messages,
                cost = usage.cost + excluded.cost;
        INSERT INTO ai_disclosures (org_id, channel, contact, at) SELECT org_id, channel, disclosed, at FROM settling
            WHERE disclosed IS NOT NULL AND status = 'accepted' ON CONFLICT DO NOTHING;
    END;
    CREATE TEMP TRIGGER write INSTEAD OF INSERT ON write_batch BEGIN
        INSERT INTO settle_batch (items) SELECT NEW.settling WHERE NEW.settling <> '[]';
        INSERT INTO accept_batch (items) SELECT NEW.accepting WHERE NEW.accepting <> '[]';
    END";

/// Settles first: the released money or idempotency key may be needed by an accept of the same batch. The result is a statement after
/// the commit, because each row before it would wake the caller once more.
const WRITE: &str = "INSERT INTO write_batch (settling, accepting) VALUES ($1, $2);
    SELECT (SELECT json_group_array(id) FROM settling),
        (SELECT json_group_array(json_array(id, omission)) FROM accepting)";

const SETTLE: &str = "INSERT INTO settle_batch (items) VALUES ($1)
    RETURNING (SELECT json_group_array(id) FROM settling)";

const FIND_PRIOR: &str = "SELECT m.id, m.agent_id, m.idempotency_key, m.status FROM messages m JOIN jsonb_each($1) AS i
    ON m.id = i.value ->> 'id'
        OR (m.agent_id = i.value ->> 'agent_id' AND m.idempotency_key = i.value ->> 'idempotency_key')";

/// The ids of the rows of `accepting`, with their omissions.
type Decided = Vec<(String, Option<String>)>;

pub(super) async fn write(db: SqlitePool, items: Arc<[Write]>) -> Result<Vec<Written>, StoreError> {
    let accepts = items.iter().filter_map(|item| match item {
        Write::Accept(send) => Some(send.clone()),
        Write::Settle(_) => None,
    });
    let settles = items.iter().filter_map(|item| match item {
        Write::Settle(settled) => Some(settled),
        Write::Accept(_) => None,
    });
    let (accepts, settles): (Vec<_>, Vec<_>) = (accepts.collect(), settles.collect());
    ensure_distinct(settles.iter().map(|item| &item.id))?;
    ensure_distinct(accepts.iter().map(|send| &send.id))?;
    let settling = Json(settles.iter().copied().map(SettleRow::from).collect::<Vec<_>>());
    let accepting = Json(accepts.iter().map(|send| AcceptRow::from(&**send)).collect::<Vec<_>>());
    let written = sqlx::query_as(WRITE)
        .bind(&settling)
        .bind(&accepting)
        .fetch_one(&db)
        .await?;
    let (Json(settled), Json(mut decided)): (Json<HashSet<String>>, Json<Decided>) = written;
    if accepts.is_empty() {
        // Those of the last accept.
        decided.clear();
    }
    let (accepted, omitted) = split(&decided);
    let prior = match accepted.len() == accepts.len() {
        true => Vec::new(),
        false => sqlx::query_as(FIND_PRIOR).bind(&accepting).fetch_all(&db).await?,
    };
    let mut decided = decisions(&accepts, &accepted, &omitted, &prior).into_iter();
    let result = |item: &Write| match item {
        Write::Accept(_) => Written::Accepted(decided.next().unwrap_or(Decision::Undecided)),
        Write::Settle(item) => Written::Settled(settled.contains(item.id.as_str())),
    };
    Ok(items.iter().map(result).collect())
}

/// Returns the ids of the messages that were not settled before.
pub(super) async fn settle(db: &mut SqliteConnection, items: &[&SettledSend]) -> Result<HashSet<String>, StoreError> {
    if items.is_empty() {
        return Ok(HashSet::new());
    }
    ensure_distinct(items.iter().map(|item| &item.id))?;
    let rows = Json(items.iter().copied().map(SettleRow::from).collect::<Vec<_>>());
    let Json(settled) = sqlx::query_scalar(SETTLE).bind(rows).fetch_one(db).await?;
    Ok(settled)
}
