//! The facts that anomalies are found in: sums over the last minutes, over rows that exist anyway. Each query looks at one part of an index per
//! organization, so that its cost depends on what has happened since, and not on what is stored.

use butt_dial_domain::{AgentId, clock::Timestamp};

use crate::{
    Store, StoreError,
    engine::{Sql, on_reader},
};

/// The messages of an agent on a channel.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Traffic {
    pub org_id: String,
    pub agent_id: String,
    pub channel: String,
    pub sent: i64,
    /// Refused by the carrier, or not delivered.
    pub failed: i64,
    /// Micro-units.
    pub cost: i64,
}

/// Messages and calls of an organization to numbers that begin alike.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct SentToPrefix {
    pub org_id: String,
    /// One of the numbers. It never leaves the program.
    pub number: String,
    pub sent: i64,
}

/// Messages of an agent to different numbers within one block of a thousand.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct SentToBlock {
    pub org_id: String,
    pub agent_id: String,
    /// The numbers without their last three digits. It never leaves the program.
    pub block: String,
    pub numbers: i64,
    pub sent: i64,
}

/// Agents that have sent to the same address.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct SharedRecipient {
    pub org_id: String,
    pub recipient: String,
    pub agents: i64,
    pub sent: i64,
}

/// Many messages of an agent to one address.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct SentToOne {
    pub org_id: String,
    pub agent_id: String,
    pub recipient: String,
    pub sent: i64,
}

/// Inbound and outbound calls of an agent.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct CallCount {
    pub org_id: String,
    pub agent_id: String,
    pub direction: String,
    pub calls: i64,
}

const TRAFFIC: Sql = Sql {
    postgres: "SELECT o.id AS org_id, t.agent_id, t.channel, t.sent, t.failed, t.cost FROM organizations o CROSS JOIN LATERAL (
            SELECT m.agent_id, m.channel, COUNT(*) AS sent,
                CAST(SUM(CASE WHEN m.status = 'failed' OR m.stage IN ('failed', 'undelivered') THEN 1 ELSE 0 END) AS BIGINT) AS failed,
                CAST(SUM(coalesce(m.cost, m.estimate)) AS BIGINT) AS cost
            FROM messages m WHERE m.org_id = o.id AND m.created_at >= $1 AND m.created_at < $2
            GROUP BY m.agent_id, m.channel) AS t",
    sqlite: "SELECT o.id AS org_id, m.agent_id, m.channel, COUNT(*) AS sent,
            SUM(CASE WHEN m.status = 'failed' OR m.stage IN ('failed', 'undelivered') THEN 1 ELSE 0 END) AS failed,
            SUM(coalesce(m.cost, m.estimate)) AS cost
        FROM organizations o CROSS JOIN messages m ON m.org_id = o.id
        WHERE m.created_at >= $1 AND m.created_at < $2 GROUP BY o.id, m.agent_id, m.channel",
};

const PREFIXES: Sql = Sql {
    postgres: "SELECT o.id AS org_id, t.number, t.sent FROM organizations o CROSS JOIN LATERAL (
            SELECT MIN(m.recipient) AS number, COUNT(*) AS sent FROM messages m
            WHERE m.org_id = o.id AND m.created_at >= $1 AND m.created_at < $2 AND m.recipient LIKE '+%'
            GROUP BY substr(m.recipient, 1, 5)) AS t",
    sqlite: "SELECT o.id AS org_id, MIN(m.recipient) AS number, COUNT(*) AS sent
        FROM organizations o CROSS JOIN messages m ON m.org_id = o.id
        WHERE m.created_at >= $1 AND m.created_at < $2 AND m.recipient LIKE '+%'
        GROUP BY o.id, substr(m.recipient, 1, 5)",
};

const BLOCKS: Sql = Sql {
    postgres: "SELECT o.id AS org_id, t.agent_id, t.block, t.numbers, t.sent FROM organizations o CROSS JOIN LATERAL (
            SELECT m.agent_id, substr(m.recipient, 1, length(m.recipient) - 3) AS block,
                COUNT(DISTINCT m.recipient) AS numbers, COUNT(*) AS sent FROM messages m
            WHERE m.org_id = o.id AND m.created_at >= $1 AND m.created_at < $2 AND m.channel = 'sms' AND m.recipient LIKE '+%'
            GROUP BY m.agent_id, substr(m.recipient, 1, length(m.recipient) - 3)
            HAVING COUNT(DISTINCT m.recipient) >= $3) AS t ORDER BY t.numbers DESC LIMIT $4",
    sqlite: "SELECT o.id AS org_id, m.agent_id, substr(m.recipient, 1, length(m.recipient) - 3) AS block,
            COUNT(DISTINCT m.recipient) AS numbers, COUNT(*) AS sent
        FROM organizations o CROSS JOIN messages m ON m.org_id = o.id
        WHERE m.created_at >= $1 AND m.created_at < $2 AND m.channel = 'sms' AND m.recipient LIKE '+%'
        GROUP BY o.id, m.agent_id, substr(m.recipient, 1, length(m.recipient) - 3)
        HAVING COUNT(DISTINCT m.recipient) >= $3 ORDER BY numbers DESC LIMIT $4",
};

const SHARED: Sql = Sql {
    postgres: "SELECT o.id AS org_id, t.recipient, t.agents, t.sent FROM organizations o CROSS JOIN LATERAL (
            SELECT m.recipient, COUNT(DISTINCT m.agent_id) AS agents, COUNT(*) AS sent FROM messages m
            WHERE m.org_id = o.id AND m.created_at >= $1 AND m.created_at < $2 AND m.carrier <> 'inside'
            GROUP BY m.recipient HAVING COUNT(DISTINCT m.agent_id) >= $3) AS t ORDER BY t.agents DESC LIMIT $4",
    sqlite: "SELECT o.id AS org_id, m.recipient, COUNT(DISTINCT m.agent_id) AS agents, COUNT(*) AS sent
        FROM organizations o CROSS JOIN messages m ON m.org_id = o.id
        WHERE m.created_at >= $1 AND m.created_at < $2 AND m.carrier <> 'inside'
        GROUP BY o.id, m.recipient HAVING COUNT(DISTINCT m.agent_id) >= $3 ORDER BY agents DESC LIMIT $4",
};

const TO_ONE: Sql = Sql {
    postgres: "SELECT o.id AS org_id, t.agent_id, t.recipient, t.sent FROM organizations o CROSS JOIN LATERAL (
            SELECT m.agent_id, m.recipient, COUNT(*) AS sent FROM messages m
            WHERE m.org_id = o.id AND m.created_at >= $1 AND m.created_at < $2
            GROUP BY m.agent_id, m.recipient HAVING COUNT(*) >= $3) AS t ORDER BY t.sent DESC LIMIT $4",
    sqlite: "SELECT o.id AS org_id, m.agent_id, m.recipient, COUNT(*) AS sent
        FROM organizations o CROSS JOIN messages m ON m.org_id = o.id
        WHERE m.created_at >= $1 AND m.created_at < $2
        GROUP BY o.id, m.agent_id, m.recipient HAVING COUNT(*) >= $3 ORDER BY sent DESC LIMIT $4",
};

const CALLS: Sql = Sql {
    postgres: "SELECT o.id AS org_id, t.agent_id, t.direction, t.calls FROM organizations o CROSS JOIN LATERAL (
            SELECT c.agent_id, c.direction, COUNT(*) AS calls FROM calls c
            WHERE c.org_id = o.id AND c.created_at >= $1 AND c.created_at < $2 GROUP BY c.agent_id, c.direction) AS t",
    sqlite: "SELECT o.id AS org_id, c.agent_id, c.direction, COUNT(*) AS calls
        FROM organizations o CROSS JOIN calls c ON c.org_id = o.id
        WHERE c.created_at >= $1 AND c.created_at < $2 GROUP BY o.id, c.agent_id, c.direction",
};

/// A time, and the time after it.
pub type Span = (Timestamp, Timestamp);

impl Store {
    /// Sums messages and calls by agent and channel, from a time to before another.
    pub async fn sum_traffic(&self, (from, until): Span) -> Result<Vec<Traffic>, StoreError> {
        let sql = self.sql(TRAFFIC);
        Ok(on_reader!(self, |db| sqlx::query_as(sql)
            .bind(from)
            .bind(until)
            .fetch_all(db)
            .await)?)
    }

    /// Counts messages and calls to telephone numbers by their first digits.
    pub async fn count_sent_to_prefixes(&self, (from, until): Span) -> Result<Vec<SentToPrefix>, StoreError> {
        let sql = self.sql(PREFIXES);
        Ok(on_reader!(self, |db| sqlx::query_as(sql)
            .bind(from)
            .bind(until)
            .fetch_all(db)
            .await)?)
    }

    /// Lists blocks of a thousand numbers with at least `min` different recipients of text messages of one agent.
    pub async fn list_sent_to_blocks(
        &self,
        (from, until): Span,
        min: i64,
        limit: u32,
    ) -> Result<Vec<SentToBlock>, StoreError> {
        let sql = self.sql(BLOCKS);
        Ok(on_reader!(self, |db| sqlx::query_as(sql)
            .bind(from)
            .bind(until)
            .bind(min)
            .bind(i64::from(limit))
            .fetch_all(db)
            .await)?)
    }

    /// Lists addresses of people that at least `min` agents of an organization have sent to.
    pub async fn list_shared_recipients(
        &self,
        (from, until): Span,
        min: i64,
        limit: u32,
    ) -> Result<Vec<SharedRecipient>, StoreError> {
        let sql = self.sql(SHARED);
        Ok(on_reader!(self, |db| sqlx::query_as(sql)
            .bind(from)
            .bind(until)
            .bind(min)
            .bind(i64::from(limit))
            .fetch_all(db)
            .await)?)
    }

    /// Lists addresses that an agent has sent at least `min` messages to.
    pub async fn list_sent_to_one(
        &self,
        (from, until): Span,
        min: i64,
        limit: u32,
    ) -> Result<Vec<SentToOne>, StoreError> {
        let sql = self.sql(TO_ONE);
        Ok(on_reader!(self, |db| sqlx::query_as(sql)
            .bind(from)
            .bind(until)
            .bind(min)
            .bind(i64::from(limit))
            .fetch_all(db)
            .await)?)
    }

    /// Lists when an agent has sent to an address, newest first.
    pub async fn list_sent_times(
        &self,
        sent: &SentToOne,
        (from, until): Span,
        limit: u32,
    ) -> Result<Vec<Timestamp>, StoreError> {
        const SQL: &str = "SELECT created_at FROM messages WHERE org_id = $1 AND created_at >= $2 AND created_at < $3
            AND agent_id = $4 AND recipient = $5 ORDER BY created_at DESC LIMIT $6";
        Ok(on_reader!(self, |db| sqlx::query_scalar(SQL)
            .bind(&sent.org_id)
            .bind(from)
            .bind(until)
            .bind(&sent.agent_id)
            .bind(&sent.recipient)
            .bind(i64::from(limit))
            .fetch_all(db)
            .await)?)
    }

    /// Lists when a person has written to an agent since a time, newest first, among the newest 2000 entries of the agent's log.
    /// `contact` is the address as events have it; `None`: all people.
    pub async fn list_received_times(
        &self,
        agent: &AgentId,
        contact: Option<&str>,
        from: Timestamp,
        limit: u32,
    ) -> Result<Vec<Timestamp>, StoreError> {
        const SQL: Sql = Sql {
            postgres: "SELECT created_at FROM (SELECT created_at, contact, type FROM events WHERE agent_id = $1
                    ORDER BY seq DESC LIMIT 2000) AS newest
                WHERE type = 'message.received' AND created_at >= $3 AND ($2::TEXT IS NULL OR contact = $2)
                ORDER BY created_at DESC LIMIT $4",
            sqlite: "SELECT created_at FROM (SELECT created_at, contact, type FROM events WHERE agent_id = $1
                    ORDER BY seq DESC LIMIT 2000) AS newest
                WHERE type = 'message.received' AND created_at >= $3 AND ($2 IS NULL OR contact = $2)
                ORDER BY created_at DESC LIMIT $4",
        };
        let sql = self.sql(SQL);
        Ok(on_reader!(self, |db| sqlx::query_scalar(sql)
            .bind(agent.as_str())
            .bind(contact)
            .bind(from)
            .bind(i64::from(limit))
            .fetch_all(db)
            .await)?)
    }

    /// Counts the calls of agents by direction.
    pub async fn count_calls(&self, (from, until): Span) -> Result<Vec<CallCount>, StoreError> {
        let sql = self.sql(CALLS);
        Ok(on_reader!(self, |db| sqlx::query_as(sql)
            .bind(from)
            .bind(until)
            .fetch_all(db)
            .await)?)
    }
}
