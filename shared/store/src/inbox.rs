//! Conversations of an organization with people, for people who read them: the newest messages of both directions. Each query reads a
//! bounded number of rows by an index, so the inbox shows the newest ones and says how far it looked.

use butt_dial_domain::{AgentId, OrgId, clock::Timestamp};
use serde_json::Value;
use sqlx::types::Json;

use crate::{
    Store, StoreError,
    engine::{Sql, on_reader},
};

/// The newest events of each agent that are looked at for a list, and for one contact.
const EVENTS_OF_LIST: i64 = 50;
const EVENTS_OF_CONTACT: i64 = 500;

/// The received messages of one agent. The numbers of an agent's events have no gaps, so they bound the rows that are read. Postgres
/// gets a subquery for each agent: with outdated statistics it would read all events for a join.
const RECEIVED_BY_AGENT: Sql = Sql {
    postgres: "SELECT agent_id, e.id, contact, channel, data, state = 'delivered' AS is_delivered, delivered_at, tries, created_at,
            coalesce(content, kept) AS text
        FROM (SELECT id, event_seq FROM agents WHERE org_id || '' = $1 AND id = $2) AS a
        CROSS JOIN LATERAL (SELECT agent_id, id, contact, channel, data, state, delivered_at, tries, created_at, content, kept, type
            FROM events WHERE agent_id = a.id AND seq > a.event_seq - $3 ORDER BY agent_id DESC, seq DESC LIMIT $3) AS e
        WHERE type = 'message.received' AND ($4 IS NULL OR contact = $4)
        ORDER BY created_at DESC, e.id DESC LIMIT $5",
    sqlite: "SELECT e.agent_id, e.id, e.contact, e.channel, e.data, e.state = 'delivered' AS is_delivered, e.delivered_at, e.tries,
            e.created_at, coalesce(e.content, e.kept) AS text
        FROM (SELECT id, event_seq FROM agents WHERE org_id || '' = $1 AND id = $2) AS a
        CROSS JOIN events e ON e.agent_id = a.id AND e.seq > a.event_seq - $3
        WHERE e.type = 'message.received' AND ($4 IS NULL OR e.contact = $4)
        ORDER BY e.created_at DESC, e.id DESC LIMIT $5",
};

/// The received messages of the newest agents of an organization, bounded in the same way.
const RECEIVED: Sql = Sql {
    postgres: "SELECT agent_id, e.id, contact, channel, data, state = 'delivered' AS is_delivered, delivered_at, tries, created_at,
            coalesce(content, kept) AS text
        FROM (SELECT id, event_seq FROM agents WHERE org_id = $1 AND $2 IS NULL ORDER BY created_at DESC LIMIT 200) AS a
        CROSS JOIN LATERAL (SELECT agent_id, id, contact, channel, data, state, delivered_at, tries, created_at, content, kept, type
            FROM events WHERE agent_id = a.id AND seq > a.event_seq - $3 ORDER BY agent_id DESC, seq DESC LIMIT $3) AS e
        WHERE type = 'message.received' AND ($4 IS NULL OR contact = $4)
        ORDER BY created_at DESC, e.id DESC LIMIT $5",
    sqlite: "SELECT e.agent_id, e.id, e.contact, e.channel, e.data, e.state = 'delivered' AS is_delivered, e.delivered_at, e.tries,
            e.created_at, coalesce(e.content, e.kept) AS text
        FROM (SELECT id, event_seq FROM agents WHERE org_id = $1 AND $2 IS NULL ORDER BY created_at DESC LIMIT 200) AS a
        CROSS JOIN events e ON e.agent_id = a.id AND e.seq > a.event_seq - $3
        WHERE e.type = 'message.received' AND ($4 IS NULL OR e.contact = $4)
        ORDER BY e.created_at DESC, e.id DESC LIMIT $5",
};

/// A message that a person has written.
#[derive(Clone, sqlx::FromRow)]
pub struct ReceivedMessage {
    agent_id: String,
    pub id: String,
    /// The key of the person. `None`: of a former release, or erased.
    pub contact: Option<String>,
    pub channel: Option<String>,
    #[sqlx(json)]
    pub data: Value,
    /// The agent has it.
    pub is_delivered: bool,
    pub delivered_at: Option<Timestamp>,
    /// Failed requests to the callback.
    pub tries: i64,
    pub created_at: Timestamp,
    /// Encrypted: the kept text, or the one that waits for the agent.
    pub text: Option<Vec<u8>>,
}

/// A message that an agent has sent.
#[derive(Clone, sqlx::FromRow)]
pub struct SentMessage {
    agent_id: String,
    pub id: String,
    pub channel: String,
    pub sender: String,
    pub recipient: String,
    /// The label of the status, as agents read it.
    pub status: String,
    pub failure: Option<String>,
    pub created_at: Timestamp,
    /// Encrypted: the kept text. Not the content of a message without an outcome, which may be a one-time code.
    pub text: Option<Vec<u8>>,
}

impl ReceivedMessage {
    pub fn agent(&self) -> AgentId {
        AgentId::from(self.agent_id.as_str())
    }
}

impl SentMessage {
    pub fn agent(&self) -> AgentId {
        AgentId::from(self.agent_id.as_str())
    }
}

impl Store {
    /// Lists the newest messages of people to an agent, or to the newest 200 agents of the organization, newest first. `contact` is
    /// the key of a person.
    pub async fn list_received(
        &self,
        org: &OrgId,
        agent: Option<&AgentId>,
        contact: Option<&str>,
        limit: u32,
    ) -> Result<Vec<ReceivedMessage>, StoreError> {
        let sql = self.sql(if agent.is_some() { RECEIVED_BY_AGENT } else { RECEIVED });
        let window = if contact.is_some() {
            EVENTS_OF_CONTACT
        } else {
            EVENTS_OF_LIST
        };
        Ok(on_reader!(self, |db| sqlx::query_as(sql)
            .bind(org.as_str())
            .bind(agent.map(AgentId::as_str))
            .bind(window)
            .bind(contact)
            .bind(i64::from(limit))
            .fetch_all(db)
            .await)?)
    }

    /// Lists the newest messages of an organization's agents to these addresses, or to all, newest first. Calls are left out.
    pub async fn list_sent(
        &self,
        org: &OrgId,
        agent: Option<&AgentId>,
        recipients: Option<&[String]>,
        limit: u32,
    ) -> Result<Vec<SentMessage>, StoreError> {
        const SQL: Sql = Sql {
            postgres: "SELECT agent_id, id, channel, sender, recipient,
                    CASE WHEN stage IN ('sent', 'delivered', 'read') THEN stage
                        WHEN stage IN ('failed', 'undelivered') THEN 'failed'
                        WHEN status IN ('sending', 'unknown') THEN 'pending' ELSE status END AS status,
                    failure, created_at, kept AS text
                FROM (SELECT agent_id, id, channel, sender, recipient, stage, status, failure, created_at, kept
                    FROM messages WHERE org_id = $1 ORDER BY created_at DESC, id DESC LIMIT 2000) AS looked_at
                WHERE channel <> 'voice' AND ($2 IS NULL OR agent_id = $2)
                    AND ($3 IS NULL OR recipient = ANY (ARRAY(SELECT jsonb_array_elements_text($3))))
                ORDER BY created_at DESC, id DESC LIMIT $4",
            sqlite: "SELECT agent_id, id, channel, sender, recipient,
                    CASE WHEN stage IN ('sent', 'delivered', 'read') THEN stage
                        WHEN stage IN ('failed', 'undelivered') THEN 'failed'
                        WHEN status IN ('sending', 'unknown') THEN 'pending' ELSE status END AS status,
                    failure, created_at, kept AS text
                FROM (SELECT agent_id, id, channel, sender, recipient, stage, status, failure, created_at, kept
                    FROM messages WHERE org_id = $1 ORDER BY created_at DESC, id DESC LIMIT 2000) AS looked_at
                WHERE channel <> 'voice' AND ($2 IS NULL OR agent_id = $2)
                    AND ($3 IS NULL OR recipient IN (SELECT value FROM json_each($3)))
                ORDER BY created_at DESC, id DESC LIMIT $4",
        };
        let sql = self.sql(SQL);
        Ok(on_reader!(self, |db| sqlx::query_as(sql)
            .bind(org.as_str())
            .bind(agent.map(AgentId::as_str))
            .bind(recipients.map(Json))
            .bind(i64::from(limit))
            .fetch_all(db)
            .await)?)
    }
}
