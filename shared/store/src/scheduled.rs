//! Scheduled sends: messages that are sent later. The id of a scheduled send is the id of its message, so that a repeated send
//! finds the first one.

use butt_dial_domain::{AgentId, Channel, MessageId, OrgId, address::contact_key, clock::Timestamp};

use crate::{
    Store, StoreError,
    approvals::{ApprovalState, NewApproval},
    column::text_column,
    engine::{Sql, on_reader, on_writer},
};

/// The state of a scheduled send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::Display, strum::EnumString, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum ScheduledState {
    Scheduled,
    Sent,
    Failed,
    /// Not to be sent. It stays due until the agent has been notified.
    Cancelled,
}

text_column!(ScheduledState, "scheduled_sends", "state");

/// A scheduled send to store.
pub struct NewScheduledSend<'a> {
    pub id: &'a MessageId,
    pub org: &'a OrgId,
    pub agent: &'a AgentId,
    pub channel: Channel,
    pub recipient: &'a str,
    pub idempotency_key: &'a str,
    pub request_hash: &'a str,
    /// Encrypted.
    pub request: &'a [u8],
    pub due_at: Timestamp,
    /// Tries so far.
    pub tries: i64,
    /// The action has been taken from the limits.
    pub is_counted: bool,
    /// `None`: no approval is needed.
    pub approval: Option<NewApproval<'a>>,
}

/// The limits of scheduled sends at the same time.
#[derive(Clone, Copy, Debug)]
pub struct ScheduledCaps {
    pub agent: ScheduledCap,
    /// Of all agents of the organization.
    pub org: ScheduledCap,
}

#[derive(Clone, Copy, Debug)]
pub struct ScheduledCap {
    pub count: u32,
    /// Of the encrypted requests.
    pub bytes: u64,
}

/// The result of a cancellation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cancellation {
    Cancelled,
    /// It is being sent, or has been sent, has failed or was cancelled before.
    TooLate,
    Unknown,
}

/// A stored scheduled send.
#[derive(Clone, sqlx::FromRow)]
pub struct ScheduledSend {
    id: String,
    org_id: String,
    agent_id: String,
    pub channel: String,
    pub recipient: String,
    pub idempotency_key: String,
    pub request_hash: String,
    /// Encrypted; `None` once it is closed.
    pub request: Option<Vec<u8>>,
    pub state: ScheduledState,
    pub failure: Option<String>,
    pub due_at: Timestamp,
    pub tries: i64,
    pub created_at: Timestamp,
    /// Sent automatically: the agent did not request it and gets no event about the result.
    pub is_quiet: bool,
    /// The action was taken from the limits when it was scheduled.
    pub is_counted: bool,
    /// `None`: no approval is needed.
    pub approval: Option<ApprovalState>,
    pub approval_rule: Option<String>,
}

impl ScheduledSend {
    /// Whether it waits for the approval of a person.
    pub fn is_held(&self) -> bool {
        self.is_open() && self.approval == Some(ApprovalState::Pending)
    }

    /// Whether it is still to be sent.
    pub fn is_open(&self) -> bool {
        self.state == ScheduledState::Scheduled
    }

    pub fn id(&self) -> MessageId {
        MessageId::from(self.id.as_str())
    }

    pub fn org(&self) -> OrgId {
        OrgId::from(self.org_id.as_str())
    }

    pub fn agent(&self) -> AgentId {
        AgentId::from(self.agent_id.as_str())
    }
}

impl Store {
    /// Stores a send. Returns false, and stores nothing, when the id or the agent's idempotency key is in use, or when the agent
    /// or its organization has too much scheduled already.
    pub async fn schedule_send(
        &self,
        new: &NewScheduledSend<'_>,
        caps: &ScheduledCaps,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        const SQL: &str = "INSERT INTO scheduled_sends (id, org_id, agent_id, channel, recipient, idempotency_key,
                request_hash, request, state, due_at, tries, created_at, contact, bytes, is_counted,
                approval, approval_rule, send_at)
            SELECT $1, $2, $3, $4, $5, $6, $7, $8, 'scheduled', $9, $10, $11, $12, $13, $14, $19, $20, $21
            WHERE (SELECT COUNT(*) FROM scheduled_sends WHERE agent_id = $3 AND state = 'scheduled') < $15
                AND (SELECT coalesce(SUM(bytes), 0) FROM scheduled_sends WHERE agent_id = $3 AND state = 'scheduled')
                    + $13 <= $16
                AND (SELECT COUNT(*) FROM scheduled_sends WHERE org_id = $2 AND state = 'scheduled') < $17
                AND (SELECT coalesce(SUM(bytes), 0) FROM scheduled_sends WHERE org_id = $2 AND state = 'scheduled')
                    + $13 <= $18
            ON CONFLICT DO NOTHING";
        let (contact, bytes) = (contact_key(new.recipient), as_number(new.request.len() as u64));
        let done = on_writer!(self, |db| {
            sqlx::query(SQL)
                .bind(new.id.as_str())
                .bind(new.org.as_str())
                .bind(new.agent.as_str())
                .bind(new.channel.as_str())
                .bind(new.recipient)
                .bind(new.idempotency_key)
                .bind(new.request_hash)
                .bind(new.request)
                .bind(new.due_at)
                .bind(new.tries)
                .bind(now)
                .bind(&contact)
                .bind(bytes)
                .bind(new.is_counted)
                .bind(i64::from(caps.agent.count))
                .bind(as_number(caps.agent.bytes))
                .bind(i64::from(caps.org.count))
                .bind(as_number(caps.org.bytes))
                .bind(new.approval.map(|_| <&str>::from(ApprovalState::Pending)))
                .bind(new.approval.map(|approval| approval.rule))
                .bind(new.approval.and_then(|approval| approval.send_at))
                .execute(db)
                .await
                .map(|done| done.rows_affected())
        })?;
        Ok(done > 0)
    }

    /// Lists the agent's sends that are still to be sent, the next ones first, after the given one.
    pub async fn list_scheduled(
        &self,
        agent: &AgentId,
        after: Option<&MessageId>,
        limit: u32,
    ) -> Result<Vec<ScheduledSend>, StoreError> {
        // Without the requests, which may be large.
        const SQL: &str =
            "SELECT id, org_id, agent_id, channel, recipient, idempotency_key, request_hash, NULL AS request, state,
                failure, due_at, tries, created_at, is_quiet, is_counted, approval, approval_rule
            FROM scheduled_sends WHERE agent_id = $1 AND state = 'scheduled' AND NOT is_quiet
                AND ($2 IS NULL OR (due_at, id) > (SELECT due_at, id FROM scheduled_sends WHERE id = $2))
            ORDER BY agent_id, due_at, id LIMIT $3";
        Ok(on_reader!(self, |db| {
            sqlx::query_as(SQL)
                .bind(agent.as_str())
                .bind(after.map(MessageId::as_str))
                .bind(i64::from(limit))
                .fetch_all(db)
                .await
        })?)
    }

    /// Cancels one of the agent's sends, if no process has begun to send it.
    pub async fn cancel_scheduled(
        &self,
        agent: &AgentId,
        id: &MessageId,
        failure: &str,
        now: Timestamp,
    ) -> Result<Cancellation, StoreError> {
        const CANCEL: &str = "UPDATE scheduled_sends SET state = 'failed', failure = $3, request = NULL
            WHERE id = $2 AND agent_id = $1 AND state = 'scheduled' AND (claimed_until IS NULL OR claimed_until < $4)";
        const EXISTS: &str = "SELECT EXISTS (SELECT 1 FROM scheduled_sends WHERE id = $2 AND agent_id = $1)";
        let done = on_writer!(self, |db| {
            sqlx::query(CANCEL)
                .bind(agent.as_str())
                .bind(id.as_str())
                .bind(failure)
                .bind(now)
                .execute(db)
                .await
                .map(|done| done.rows_affected())
        })?;
        if done > 0 {
            return Ok(Cancellation::Cancelled);
        }
        let exists: bool = on_reader!(self, |db| {
            sqlx::query_scalar(EXISTS)
                .bind(agent.as_str())
                .bind(id.as_str())
                .fetch_one(db)
                .await
        })?;
        Ok(if exists {
            Cancellation::TooLate
        } else {
            Cancellation::Unknown
        })
    }

    /// Finds one of the agent's scheduled sends by its id or by its idempotency key.
    pub async fn find_scheduled(&self, agent: &AgentId, id_or_key: &str) -> Result<Option<ScheduledSend>, StoreError> {
        const SQL: &str = "SELECT id, org_id, agent_id, channel, recipient, idempotency_key, request_hash, request, state, failure,
                due_at, tries, created_at, is_quiet, is_counted, approval, approval_rule
            FROM scheduled_sends WHERE agent_id = $1 AND (id = $2 OR idempotency_key = $2) ORDER BY id = $2 DESC LIMIT 1";
        Ok(on_reader!(self, |db| {
            sqlx::query_as(SQL)
                .bind(agent.as_str())
                .bind(id_or_key)
                .fetch_optional(db)
                .await
        })?)
    }

    /// Claims due sends, including cancelled ones, until `until`. If this process dies, another one claims them after that.
    /// Agents take turns, so that the many sends of one do not delay those of others. A send to a person who has opted out is
    /// claimed as cancelled.
    pub async fn claim_scheduled(
        &self,
        limit: u32,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<ScheduledSend>, StoreError> {
        // The turns are taken among the sends that are due the longest. `|| ''` keeps Postgres from reading all due sends again.
        const SQL: Sql = Sql {
            postgres: "WITH turns AS MATERIALIZED (
                    SELECT id FROM (SELECT id, due_at, ROW_NUMBER() OVER (PARTITION BY agent_id ORDER BY due_at) AS turn
                        FROM (SELECT id, agent_id, due_at FROM scheduled_sends
                            WHERE state IN ('scheduled', 'cancelled') AND due_at <= $1 ORDER BY due_at LIMIT 4000) AS longest
                    ) AS numbered ORDER BY turn, due_at LIMIT $2
                ), due AS MATERIALIZED (
                    SELECT id FROM scheduled_sends WHERE id = ANY (ARRAY(SELECT id FROM turns))
                        AND state || '' IN ('scheduled', 'cancelled') AND due_at <= $1 FOR UPDATE SKIP LOCKED
                ) UPDATE scheduled_sends AS s SET due_at = $3, claimed_until = $3, tries = tries + 1,
                    state = CASE WHEN s.state = 'scheduled' AND (SELECT status FROM consents c WHERE c.org_id = s.org_id
                            AND c.address IN (s.recipient, s.contact)
                            AND (c.channel = s.channel OR (s.channel IN ('sms', 'whatsapp', 'voice')
                                AND c.channel IN ('sms', 'whatsapp', 'voice')))
                            AND NOT EXISTS (SELECT 1 FROM channels k WHERE k.channel = s.channel
                                AND k.address = s.recipient AND k.org_id = s.org_id)
                            ORDER BY c.updated_at DESC, c.status DESC LIMIT 1) = 'revoked' THEN 'cancelled' ELSE s.state END
                FROM due WHERE s.id = due.id
                RETURNING s.id, s.org_id, s.agent_id, s.channel, s.recipient, s.idempotency_key, s.request_hash,
                    s.request, s.state, s.failure, s.due_at, s.tries, s.created_at, s.is_quiet, s.is_counted, s.approval, s.approval_rule",
            sqlite: "UPDATE scheduled_sends SET due_at = $3, claimed_until = $3, tries = tries + 1,
                    state = CASE WHEN state = 'scheduled' AND (SELECT status FROM consents c
                            WHERE c.org_id = scheduled_sends.org_id
                            AND c.address IN (scheduled_sends.recipient, scheduled_sends.contact)
                            AND (c.channel = scheduled_sends.channel
                                OR (scheduled_sends.channel IN ('sms', 'whatsapp', 'voice')
                                    AND c.channel IN ('sms', 'whatsapp', 'voice')))
                            AND NOT EXISTS (SELECT 1 FROM channels k WHERE k.channel = scheduled_sends.channel
                                AND k.address = scheduled_sends.recipient AND k.org_id = scheduled_sends.org_id)
                            ORDER BY c.updated_at DESC, c.status DESC LIMIT 1) = 'revoked' THEN 'cancelled' ELSE state END
                WHERE id IN (
                    SELECT id FROM (SELECT id, due_at, ROW_NUMBER() OVER (PARTITION BY agent_id ORDER BY due_at) AS turn
                        FROM (SELECT id, agent_id, due_at FROM scheduled_sends
                            WHERE state IN ('scheduled', 'cancelled') AND due_at <= $1 ORDER BY due_at LIMIT 4000))
                    ORDER BY turn, due_at LIMIT $2)
                RETURNING id, org_id, agent_id, channel, recipient, idempotency_key, request_hash, request, state,
                    failure, due_at, tries, created_at, is_quiet, is_counted, approval, approval_rule",
        };
        let sql = self.sql(SQL);
        Ok(on_writer!(self, |db| {
            sqlx::query_as(sql)
                .bind(now)
                .bind(i64::from(limit))
                .bind(until)
                .fetch_all(db)
                .await
        })?)
    }

    /// Closes a send as sent, or as failed when there is a `failure`, and deletes its request.
    pub async fn close_scheduled(&self, id: &MessageId, failure: Option<&str>) -> Result<(), StoreError> {
        const SQL: &str = "UPDATE scheduled_sends SET state = CASE WHEN $2 IS NULL THEN 'sent' ELSE 'failed' END,
            failure = $2, request = NULL WHERE id = $1 AND state IN ('scheduled', 'cancelled')";
        on_writer!(self, |db| {
            sqlx::query(SQL)
                .bind(id.as_str())
                .bind(failure)
                .execute(db)
                .await
                .map(drop)
        })?;
        Ok(())
    }

    /// Finds a send of an organization that waits for an approval at this time.
    pub async fn find_held(
        &self,
        org: &OrgId,
        id: &MessageId,
        now: Timestamp,
    ) -> Result<Option<ScheduledSend>, StoreError> {
        const SQL: &str =
            "SELECT id, org_id, agent_id, channel, recipient, idempotency_key, request_hash, request, state, failure,
                due_at, tries, created_at, is_quiet, is_counted, approval, approval_rule
            FROM scheduled_sends
            WHERE id = $2 AND org_id = $1 AND approval = 'pending' AND state = 'scheduled' AND due_at > $3";
        Ok(on_reader!(self, |db| {
            sqlx::query_as(SQL)
                .bind(org.as_str())
                .bind(id.as_str())
                .bind(now)
                .fetch_optional(db)
                .await
        })?)
    }

    /// Lists the organization's sends that wait for an approval, oldest first, after an id.
    pub async fn list_held(&self, org: &OrgId, after: &str, limit: u32) -> Result<Vec<ScheduledSend>, StoreError> {
        const SQL: &str =
            "SELECT id, org_id, agent_id, channel, recipient, idempotency_key, request_hash, request, state, failure,
                due_at, tries, created_at, is_quiet, is_counted, approval, approval_rule
            FROM scheduled_sends WHERE org_id = $1 AND approval = 'pending' AND state = 'scheduled' AND id > $2
            ORDER BY id LIMIT $3";
        Ok(on_reader!(self, |db| {
            sqlx::query_as(SQL)
                .bind(org.as_str())
                .bind(after)
                .bind(i64::from(limit))
                .fetch_all(db)
                .await
        })?)
    }

    /// Makes a send due again at `due_at`.
    pub async fn reschedule_send(&self, id: &MessageId, due_at: Timestamp) -> Result<(), StoreError> {
        const SQL: &str =
            "UPDATE scheduled_sends SET due_at = $2, claimed_until = NULL WHERE id = $1 AND state = 'scheduled'";
        on_writer!(self, |db| {
            sqlx::query(SQL)
                .bind(id.as_str())
                .bind(due_at)
                .execute(db)
                .await
                .map(drop)
        })?;
        Ok(())
    }
}

fn as_number(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
