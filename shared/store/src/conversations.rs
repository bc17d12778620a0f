//! Conversations: their state, the contacts by which messages find them, and what was written in them.

use std::collections::HashMap;

use butt_dial_domain::{AgentId, Channel, OrgId, clock::Timestamp};
use serde_json::json;

use crate::{
    AgentEvent, Store, StoreError,
    column::text_column,
    engine::{Sql, in_tx, on_reader, with_timeout},
    inbound::json,
};

#[derive(
    Clone, Copy, Debug, PartialEq, Eq, strum::Display, strum::EnumString, strum::IntoStaticStr, strum::VariantNames,
)]
#[strum(serialize_all = "snake_case")]
pub enum ConversationStatus {
    Active,
    Paused,
    Closed,
}

impl ConversationStatus {
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

text_column!(ConversationStatus, "conversations", "status");

/// A conversation to store. It is active.
pub struct NewConversation<'a> {
    pub id: &'a str,
    pub org: &'a OrgId,
    pub agent: &'a AgentId,
    pub channel: Option<Channel>,
    /// Encrypted.
    pub details: &'a [u8],
    /// The keys of its people.
    pub contacts: &'a [String],
}

/// A stored conversation.
#[derive(Clone, sqlx::FromRow)]
pub struct Conversation {
    pub id: String,
    pub status: ConversationStatus,
    pub channel: Option<String>,
    /// Encrypted.
    pub details: Vec<u8>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub closed_at: Option<Timestamp>,
}

/// A sent message of a conversation. Its text is deleted once it is settled.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct SentEntry {
    pub id: String,
    pub channel: String,
    pub recipient: String,
    pub status: String,
    pub created_at: Timestamp,
}

/// Agent, contact, conversation, takeover and its end.
type OpenRow = (String, String, Option<String>, Option<String>, Option<Timestamp>);

/// The conversation that messages of a contact belong to, and the person who answers them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenContact {
    /// The newest open conversation.
    pub conversation: Option<String>,
    /// The takeover by a person, and until when it is. It may be over.
    pub takeover: Option<(String, Timestamp)>,
}

const FIND_OPEN: Sql = Sql {
    postgres: "SELECT c.agent_id, c.contact, MAX(c.conversation_id) AS conversation, NULL::TEXT AS takeover, NULL::TIMESTAMPTZ AS until_at
        FROM jsonb_array_elements($1::JSONB) AS item (value)
        CROSS JOIN LATERAL (SELECT agent_id, contact, conversation_id FROM conversation_contacts
            WHERE agent_id = item.value ->> 0 AND contact = item.value ->> 1) AS c
        GROUP BY c.agent_id, c.contact
        UNION ALL SELECT p.agent_id, p.contact, NULL, p.id, p.until_at
        FROM jsonb_array_elements($1::JSONB) AS item (value)
        CROSS JOIN LATERAL (SELECT agent_id, contact, id, until_at FROM contact_pauses
            WHERE agent_id = item.value ->> 0 AND contact = item.value ->> 1 AND taken_by IS NOT NULL) AS p",
    sqlite: "SELECT c.agent_id, c.contact, MAX(c.conversation_id) AS conversation, NULL AS takeover, NULL AS until_at
        FROM json_each($1) AS item
        JOIN conversation_contacts c ON c.agent_id = item.value ->> 0 AND c.contact = item.value ->> 1
        GROUP BY c.agent_id, c.contact
        UNION ALL SELECT p.agent_id, p.contact, NULL, p.id, p.until_at FROM json_each($1) AS item
        JOIN contact_pauses p ON p.agent_id = item.value ->> 0 AND p.contact = item.value ->> 1 AND p.taken_by IS NOT NULL",
};

impl Store {
    /// Stores a conversation. Returns false when the agent has `max` open ones.
    pub async fn create_conversation(
        &self,
        new: &NewConversation<'_>,
        max: u32,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        const SQL: &str = "INSERT INTO conversations
                (id, org_id, agent_id, status, channel, details, created_at, updated_at)
            SELECT $1, $2, $3, 'active', $4, $5, $6, $6
            WHERE (SELECT COUNT(*) FROM conversations WHERE agent_id = $3 AND status = 'active') < $7";
        const ADD: &str = "INSERT INTO conversation_contacts (agent_id, contact, conversation_id) VALUES ($1, $2, $3)
            ON CONFLICT DO NOTHING";
        with_timeout(async {
            let mut tx = self.begin().await?;
            let added = in_tx!(&mut tx, |db| sqlx::query(SQL)
                .bind(new.id)
                .bind(new.org.as_str())
                .bind(new.agent.as_str())
                .bind(new.channel.map(Channel::as_str))
                .bind(new.details)
                .bind(now)
                .bind(i64::from(max))
                .execute(db)
                .await?
                .rows_affected());
            if added == 0 {
                return Ok(false);
            }
            for contact in new.contacts {
                in_tx!(&mut tx, |db| sqlx::query(ADD)
                    .bind(new.agent.as_str())
                    .bind(contact)
                    .bind(new.id)
                    .execute(db)
                    .await?
                    .rows_affected());
            }
            tx.commit().await?;
            Ok(true)
        })
        .await
    }

    /// Finds a conversation of the agent.
    pub async fn find_conversation(&self, agent: &AgentId, id: &str) -> Result<Option<Conversation>, StoreError> {
        const SQL: &str = "SELECT id, status, channel, details, created_at, updated_at, closed_at FROM conversations
            WHERE id = $2 AND agent_id = $1";
        Ok(on_reader!(self, |db| {
            sqlx::query_as(SQL)
                .bind(agent.as_str())
                .bind(id)
                .fetch_optional(db)
                .await
        })?)
    }

    /// Lists the agent's conversations in this state, newest first.
    pub async fn list_conversations(
        &self,
        agent: &AgentId,
        status: ConversationStatus,
        limit: u32,
    ) -> Result<Vec<Conversation>, StoreError> {
        const SQL: &str = "SELECT id, status, channel, details, created_at, updated_at, closed_at FROM conversations
            WHERE agent_id = $1 AND status = $2 ORDER BY id DESC LIMIT $3";
        Ok(on_reader!(self, |db| {
            sqlx::query_as(SQL)
                .bind(agent.as_str())
                .bind(status.as_str())
                .bind(i64::from(limit))
                .fetch_all(db)
                .await
        })?)
    }

    /// Closes a conversation: later messages do not belong to it. Returns false when it is closed already, or not the agent's.
    pub async fn close_conversation(
        &self,
        agent: &AgentId,
        id: &str,
        details: Option<&[u8]>,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        const CLOSE: &str = "UPDATE conversations
            SET status = 'closed', closed_at = $3, updated_at = $3, details = coalesce($4, details)
            WHERE id = $2 AND agent_id = $1 AND status <> 'closed'";
        const FORGET: &str = "DELETE FROM conversation_contacts WHERE conversation_id = $1";
        with_timeout(async {
            let mut tx = self.begin().await?;
            let closed = in_tx!(&mut tx, |db| sqlx::query(CLOSE)
                .bind(agent.as_str())
                .bind(id)
                .bind(now)
                .bind(details)
                .execute(db)
                .await?
                .rows_affected());
            if closed == 0 {
                return Ok(false);
            }
            in_tx!(&mut tx, |db| sqlx::query(FORGET)
                .bind(id)
                .execute(db)
                .await?
                .rows_affected());
            tx.commit().await?;
            Ok(true)
        })
        .await
    }

    /// Finds the newest open conversation and the takeover of each agent with each contact, by its key. Most have none.
    pub async fn find_open_contacts(
        &self,
        contacts: &[(&AgentId, String)],
    ) -> Result<HashMap<(AgentId, String), OpenContact>, StoreError> {
        if contacts.is_empty() {
            return Ok(HashMap::new());
        }
        let pairs: Vec<_> = contacts
            .iter()
            .map(|(agent, contact)| json!([agent, contact]))
            .collect();
        let (sql, text) = (self.sql(FIND_OPEN), json::text(&pairs)?);
        let rows: Vec<OpenRow> = on_reader!(self, |db| sqlx::query_as(sql).bind(&text).fetch_all(db).await)?;
        let mut found: HashMap<_, OpenContact> = HashMap::new();
        for (agent, contact, conversation, takeover, until) in rows {
            let open = found.entry((AgentId::from(agent), contact)).or_default();
            open.conversation = conversation.or(open.conversation.take());
            open.takeover = takeover.zip(until).or(open.takeover.take());
        }
        Ok(found)
    }

    /// Lists the messages that the agent has sent in a conversation, newest first.
    pub async fn list_sent_in(&self, agent: &AgentId, id: &str, limit: u32) -> Result<Vec<SentEntry>, StoreError> {
        const SQL: &str = "SELECT id, channel, recipient, coalesce(stage, status) AS status, created_at FROM messages
            WHERE thread_id = $2 AND agent_id = $1 ORDER BY id DESC LIMIT $3";
        Ok(on_reader!(self, |db| {
            sqlx::query_as(SQL)
                .bind(agent.as_str())
                .bind(id)
                .bind(i64::from(limit))
                .fetch_all(db)
                .await
        })?)
    }

    /// Lists the messages that the agent has received in a conversation, newest first, among its last 1,000 events.
    pub async fn list_received_in(&self, agent: &AgentId, id: &str, limit: u32) -> Result<Vec<AgentEvent>, StoreError> {
        // The limit within bounds the rows that are read.
        const SQL: &str = "SELECT seq, id, type, channel, state, reason, data, content, tries, created_at FROM (
                SELECT seq, id, type, channel, state, reason, data, content, tries, created_at FROM events
                WHERE agent_id = $1 ORDER BY seq DESC LIMIT 1000) AS recent
            WHERE type = 'message.received' AND data ->> 'sessionId' = $2 ORDER BY seq DESC LIMIT $3";
        Ok(on_reader!(self, |db| {
            sqlx::query_as(SQL)
                .bind(agent.as_str())
                .bind(id)
                .bind(i64::from(limit))
                .fetch_all(db)
                .await
        })?)
    }
}
