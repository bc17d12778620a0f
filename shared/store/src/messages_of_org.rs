//! The messages of an organization, for people who look at them. Each query reads a bounded part of the index on organization and
//! time, so that its cost does not depend on the number of messages or on the filter.

use butt_dial_domain::{AgentId, MessageId, OrgId, clock::Timestamp};

use crate::{
    Message, Store, StoreError,
    engine::{on_list, on_reader},
    messages::MessageRow,
};

/// The messages that one page of a filtered list looks at.
const WINDOW: i64 = 5_000;
/// Counts of newer messages end here.
const MAX_NEWER: i64 = 100;

/// The filters of a list of messages. `None` does not filter.
#[derive(Clone, Copy, Debug, Default)]
pub struct MessageFilter<'a> {
    pub agent: Option<&'a AgentId>,
    pub channel: Option<&'a str>,
    /// The label of the status, as agents read it.
    pub status: Option<&'a str>,
    /// The recipient.
    pub contact: Option<&'a str>,
    /// The compliance rule that decided.
    pub rule: Option<&'a str>,
    /// The code of the failure, or the carrier's.
    pub code: Option<&'a str>,
    pub thread: Option<&'a str>,
    /// The carrier's id of the message.
    pub carrier_id: Option<&'a str>,
}

/// A page of messages, newest first.
pub struct MessagesFound {
    pub messages: Vec<Message>,
    /// The last message that was looked at, if there may be more.
    pub next: Option<MessageId>,
    /// When that message was sent: a filtered list is searched back to it.
    pub searched_to: Option<Timestamp>,
}

/// The number of messages by channel and status.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct MessageCounts {
    pub channel: String,
    /// The label of the status, as agents read it.
    pub status: String,
    pub messages: i64,
}

#[derive(sqlx::FromRow)]
struct Position {
    created_at: Timestamp,
    id: String,
}

impl Store {
    /// Lists messages of an organization, newest first, that are older than the message `before`.
    pub async fn list_messages(
        &self,
        org: &OrgId,
        filter: &MessageFilter<'_>,
        before: Option<&str>,
        limit: u32,
    ) -> Result<MessagesFound, StoreError> {
        const PAGE: &str = "SELECT id, org_id, agent_id, channel, sender, recipient, request_hash, body_hash, status, verdict, rule, carrier,
                carrier_id, carrier_status, failure, failure_detail, segments, estimate, cost, thread_id, entity_id,
                reply_msg_id, task_id, attempts, checks, check_at, stage, stage_error, created_at, updated_at
            FROM (SELECT id, org_id, agent_id, channel, sender, recipient, request_hash, body_hash, status, verdict, rule, carrier,
                    carrier_id, carrier_status, failure, failure_detail, segments, estimate, cost, thread_id, entity_id,
                    reply_msg_id, task_id, attempts, checks, check_at, stage, stage_error, created_at, updated_at
                FROM messages WHERE org_id = $1 AND (created_at, id) < ($2, $3)
                ORDER BY created_at DESC, id DESC LIMIT 5000) AS looked_at
            WHERE ($4 IS NULL OR agent_id = $4) AND ($5 IS NULL OR channel = $5)
                AND ($6 IS NULL OR $6 = CASE WHEN stage IN ('sent', 'delivered', 'read') THEN stage
                    WHEN stage IN ('failed', 'undelivered') THEN 'failed'
                    WHEN status IN ('sending', 'unknown') THEN 'pending' ELSE status END)
                AND ($7 IS NULL OR recipient = $7) AND ($8 IS NULL OR rule = $8)
                AND ($9 IS NULL OR failure = $9 OR stage_error = $9) AND ($10 IS NULL OR thread_id = $10)
                AND ($12 IS NULL OR carrier_id = $12)
            ORDER BY created_at DESC, id DESC LIMIT $11";
        const END: &str = "SELECT created_at, id FROM messages WHERE org_id = $1 AND (created_at, id) < ($2, $3)
            ORDER BY created_at DESC, id DESC LIMIT 1 OFFSET $4";
        let Some(from) = self.position(org, before).await? else {
            return Ok(MessagesFound {
                messages: Vec::new(),
                next: None,
                searched_to: None,
            });
        };
        let rows: Vec<MessageRow> = on_list!(self, |db| {
            sqlx::query_as(PAGE)
                .bind(org.as_str())
                .bind(from.created_at)
                .bind(&from.id)
                .bind(filter.agent.map(AgentId::as_str))
                .bind(filter.channel)
                .bind(filter.status)
                .bind(filter.contact)
                .bind(filter.rule)
                .bind(filter.code)
                .bind(filter.thread)
                .bind(i64::from(limit))
                .bind(filter.carrier_id)
                .fetch_all(db)
                .await
        })?;
        let messages: Vec<Message> = rows.into_iter().map(Message::try_from).collect::<Result<_, _>>()?;
        if let Some(last) = messages.last().filter(|_| messages.len() >= limit as usize) {
            let (next, searched_to) = (Some(last.id.clone()), Some(last.created_at));
            return Ok(MessagesFound {
                messages,
                next,
                searched_to,
            });
        }
        // The filter left messages out: the page ends where the search ended.
        let end: Option<Position> = on_list!(self, |db| {
            sqlx::query_as(END)
                .bind(org.as_str())
                .bind(from.created_at)
                .bind(&from.id)
                .bind(WINDOW - 1)
                .fetch_optional(db)
                .await
        })?;
        Ok(MessagesFound {
            messages,
            searched_to: end.as_ref().map(|end| end.created_at),
            next: end.map(|end| MessageId::from(end.id)),
        })
    }

    /// Returns where a list starts that continues after the message `before`. `None`: the organization has no such message.
    async fn position(&self, org: &OrgId, before: Option<&str>) -> Result<Option<Position>, StoreError> {
        const SQL: &str = "SELECT created_at, id FROM messages WHERE id = $2 AND org_id || '' = $1";
        let Some(before) = before else {
            return Ok(Some(Position {
                created_at: crate::calls::end_of_time(),
                id: String::new(),
            }));
        };
        Ok(on_reader!(self, |db| sqlx::query_as(SQL)
            .bind(org.as_str())
            .bind(before)
            .fetch_optional(db)
            .await)?)
    }

    /// Counts the messages of an organization that are newer than the message `after`, up to 100.
    pub async fn count_newer_messages(&self, org: &OrgId, after: &str) -> Result<i64, StoreError> {
        const SQL: &str =
            "SELECT COUNT(*) FROM (SELECT 1 FROM messages WHERE org_id = $1 AND (created_at, id) > ($2, $3)
            ORDER BY created_at, id LIMIT $4) AS newer";
        let Some(from) = self.position(org, Some(after)).await? else {
            return Ok(0);
        };
        Ok(on_list!(self, |db| {
            sqlx::query_scalar(SQL)
                .bind(org.as_str())
                .bind(from.created_at)
                .bind(&from.id)
                .bind(MAX_NEWER)
                .fetch_one(db)
                .await
        })?)
    }

    /// Finds a message of an organization by its id or its carrier id.
    pub async fn find_message_of_org(&self, org: &OrgId, id: &str) -> Result<Option<Message>, StoreError> {
        // `|| ''` keeps Postgres from using the index on the organization, which may have a million messages.
        const SQL: &str = "SELECT id, org_id, agent_id, channel, sender, recipient, request_hash, body_hash, status, verdict, rule, carrier,
                carrier_id, carrier_status, failure, failure_detail, segments, estimate, cost, thread_id, entity_id,
                reply_msg_id, task_id, attempts, checks, check_at, stage, stage_error, created_at, updated_at
            FROM messages WHERE org_id || '' = $1 AND (id = $2 OR carrier_id = $2) LIMIT 1";
        let row: Option<MessageRow> = on_reader!(self, |db| {
            sqlx::query_as(SQL).bind(org.as_str()).bind(id).fetch_optional(db).await
        })?;
        row.map(Message::try_from).transpose()
    }

    /// Returns when the carrier's last report about a message arrived, and the idempotency key of its request.
    pub async fn find_message_times(&self, id: &MessageId) -> Result<Option<(Option<Timestamp>, String)>, StoreError> {
        const SQL: &str = "SELECT stage_at, idempotency_key FROM messages WHERE id = $1";
        Ok(on_reader!(self, |db| sqlx::query_as(SQL)
            .bind(id.as_str())
            .fetch_optional(db)
            .await)?)
    }

    /// Counts the messages of an organization since `since` by channel and status: at most the newest 10,000.
    pub async fn count_messages(&self, org: &OrgId, since: Timestamp) -> Result<Vec<MessageCounts>, StoreError> {
        const SQL: &str = "SELECT channel, label AS status, COUNT(*) AS messages FROM (
                SELECT channel, CASE WHEN stage IN ('sent', 'delivered', 'read') THEN stage
                    WHEN stage IN ('failed', 'undelivered') THEN 'failed'
                    WHEN status IN ('sending', 'unknown') THEN 'pending' ELSE status END AS label
                FROM messages WHERE org_id = $1 AND created_at >= $2
                ORDER BY created_at DESC, id DESC LIMIT 10000) AS newest
            GROUP BY channel, label ORDER BY channel, label";
        Ok(on_list!(self, |db| {
            sqlx::query_as(SQL).bind(org.as_str()).bind(since).fetch_all(db).await
        })?)
    }
}
