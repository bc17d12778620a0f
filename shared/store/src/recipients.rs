//! Delivery preferences of an agent: callbacks, subscription, inbound filters and channel blocks.

use butt_dial_domain::{AgentId, Channel, OrgId, clock::Timestamp};
use sqlx::types::Json;

use crate::{
    Change, Store, StoreError,
    change::on_change,
    engine::{Sql, on_reader, on_writer},
    inbound::json,
};

/// The delivery preferences that the delivery worker reads.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Recipient {
    id: String,
    #[sqlx(rename = "org_id")]
    org: String,
    pub display_name: String,
    pub callback_url: Option<String>,
    /// The callback for call events, where it differs.
    pub voice_callback_url: Option<String>,
    /// The generation of the key that signs callbacks.
    pub callback_key_generation: i64,
    /// Until then, the former generation signs as well.
    pub callback_key_overlap_until: Option<Timestamp>,
    /// Of the secret of the organization's webhook. `None`: it has none.
    pub webhook_salt: Option<String>,
    channels: Option<Json<Vec<String>>>,
    contacts: Option<Json<Vec<String>>>,
}

/// The events that are pushed to an agent. Empty lists stand for all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subscription {
    pub channels: Vec<String>,
    pub contacts: Vec<String>,
}

impl Recipient {
    pub fn agent(&self) -> AgentId {
        AgentId::from(self.id.as_str())
    }

    pub fn org(&self) -> OrgId {
        OrgId::from(self.org.as_str())
    }

    /// Returns the callback for events of a channel.
    pub fn callback_for(&self, channel: Option<&str>) -> Option<&str> {
        let own = self.voice_callback_url.as_deref();
        own.filter(|_| channel == Some(Channel::Voice.as_str()))
            .or(self.callback_url.as_deref())
    }

    pub fn subscription(&self) -> Option<Subscription> {
        let (channels, contacts) = (self.channels.as_ref()?, self.contacts.as_ref()?);
        Some(Subscription {
            channels: channels.0.clone(),
            contacts: contacts.0.clone(),
        })
    }
}

/// An agent's rule for inbound messages.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct InboundFilter {
    pub id: String,
    pub kind: String,
    pub pattern: String,
    pub action: String,
    pub tag: Option<String>,
    pub created_at: Timestamp,
}

/// The rules of an agent for inbound messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InboundRules {
    pub agent: AgentId,
    /// `None`: everything is pushed.
    pub subscription: Option<Subscription>,
    /// Oldest first.
    pub filters: Vec<InboundFilter>,
}

/// An agent with its subscription and one of its filters.
#[derive(sqlx::FromRow)]
struct RuleRow {
    agent: String,
    channels: Option<Json<Vec<String>>>,
    contacts: Option<Json<Vec<String>>>,
    id: Option<String>,
    kind: Option<String>,
    pattern: Option<String>,
    action: Option<String>,
    tag: Option<String>,
    created_at: Option<Timestamp>,
}

impl RuleRow {
    fn filter(&mut self) -> Option<InboundFilter> {
        Some(InboundFilter {
            id: self.id.take()?,
            kind: self.kind.take()?,
            pattern: self.pattern.take()?,
            action: self.action.take()?,
            tag: self.tag.take(),
            created_at: self.created_at?,
        })
    }
}

// An array on Postgres: with `IN`, the planner prefers a scan while it believes the table to be small.
const LIST_RULES: Sql = Sql {
    postgres:
        "SELECT agents.id AS agent, s.channels, s.contacts, f.id, f.kind, f.pattern, f.action, f.tag, f.created_at
        FROM agents LEFT JOIN inbound_subscriptions s ON s.agent_id = agents.id
        LEFT JOIN inbound_filters f ON f.agent_id = agents.id
        WHERE agents.id = ANY (ARRAY(SELECT jsonb_array_elements_text($1::JSONB)))
        ORDER BY agents.id, f.created_at, f.id",
    sqlite: "SELECT agents.id AS agent, s.channels, s.contacts, f.id, f.kind, f.pattern, f.action, f.tag, f.created_at
        FROM agents LEFT JOIN inbound_subscriptions s ON s.agent_id = agents.id
        LEFT JOIN inbound_filters f ON f.agent_id = agents.id
        WHERE agents.id IN (SELECT value FROM json_each($1))
        ORDER BY agents.id, f.created_at, f.id",
};

impl Store {
    /// Lists the rules of these agents for inbound messages, in one statement. Unknown agents are left out.
    pub async fn list_inbound_rules(&self, agents: &[AgentId]) -> Result<Vec<InboundRules>, StoreError> {
        let (sql, agents) = (self.sql(LIST_RULES), json::text(agents)?);
        let rows: Vec<RuleRow> = on_reader!(self, |db| sqlx::query_as(sql).bind(&agents).fetch_all(db).await)?;
        let mut rules: Vec<InboundRules> = Vec::new();
        for mut row in rows {
            let filter = row.filter();
            match rules.last_mut().filter(|last| last.agent.as_str() == row.agent) {
                Some(last) => last.filters.extend(filter),
                None => rules.push(InboundRules {
                    agent: AgentId::from(row.agent),
                    subscription: row.channels.zip(row.contacts).map(|(channels, contacts)| Subscription {
                        channels: channels.0,
                        contacts: contacts.0,
                    }),
                    filters: filter.into_iter().collect(),
                }),
            }
        }
        Ok(rules)
    }

    /// Finds the delivery preferences of an agent.
    pub async fn find_recipient(&self, agent: &AgentId) -> Result<Option<Recipient>, StoreError> {
        const SQL: &str =
            "SELECT agents.id, org_id, display_name, callback_url, voice_callback_url, callback_key_generation,
                callback_key_overlap_until, (SELECT o.webhook_salt FROM organizations o WHERE o.id = agents.org_id) AS webhook_salt,
                s.channels, s.contacts FROM agents
            LEFT JOIN inbound_subscriptions s ON s.agent_id = agents.id WHERE agents.id = $1";
        Ok(on_reader!(self, |db| sqlx::query_as(SQL)
            .bind(agent.as_str())
            .fetch_optional(db)
            .await)?)
    }

    /// Sets the callback. `None` removes it.
    pub async fn set_callback_url(&self, agent: &AgentId, url: Option<&str>) -> Result<(), StoreError> {
        const SQL: &str = "UPDATE agents SET callback_url = $2 WHERE id = $1";
        on_writer!(self, |db| {
            sqlx::query(SQL)
                .bind(agent.as_str())
                .bind(url)
                .execute(db)
                .await
                .map(drop)
        })?;
        Ok(())
    }

    /// Sets the callback for call events. `None` removes it.
    pub async fn set_voice_callback_url(&self, agent: &AgentId, url: Option<&str>) -> Result<(), StoreError> {
        const SQL: &str = "UPDATE agents SET voice_callback_url = $2 WHERE id = $1";
        on_writer!(self, |db| {
            sqlx::query(SQL)
                .bind(agent.as_str())
                .bind(url)
                .execute(db)
                .await
                .map(drop)
        })?;
        Ok(())
    }

    /// Starts the next generation of the key that signs the agent's callbacks; the former one signs as well until this time.
    pub async fn rotate_callback_key(&self, agent: &AgentId, overlap_until: Timestamp) -> Result<(), StoreError> {
        const SQL: &str = "UPDATE agents SET callback_key_generation = callback_key_generation + 1,
            callback_key_overlap_until = $2 WHERE id = $1";
        on_writer!(self, |db| {
            sqlx::query(SQL)
                .bind(agent.as_str())
                .bind(overlap_until)
                .execute(db)
                .await
                .map(drop)
        })?;
        Ok(())
    }

    /// Removes a callback that answered 410, wherever it is used. Returns false when the agent does not use it any more.
    pub async fn remove_callback_url(&self, agent: &AgentId, url: &str) -> Result<bool, StoreError> {
        const SQL: &str = "UPDATE agents SET callback_url = NULLIF(callback_url, $2),
            voice_callback_url = NULLIF(voice_callback_url, $2)
            WHERE id = $1 AND (callback_url = $2 OR voice_callback_url = $2)";
        let done = on_writer!(self, |db| {
            sqlx::query(SQL)
                .bind(agent.as_str())
                .bind(url)
                .execute(db)
                .await
                .map(|done| done.rows_affected())
        })?;
        Ok(done > 0)
    }

    /// Stores the subscription; replaces an existing one.
    pub async fn set_subscription(
        &self,
        agent: &AgentId,
        subscription: &Subscription,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        const SQL: &str = "INSERT INTO inbound_subscriptions (agent_id, channels, contacts, created_at)
            VALUES ($1, $2, $3, $4) ON CONFLICT (agent_id) DO UPDATE SET channels = excluded.channels,
                contacts = excluded.contacts, created_at = excluded.created_at";
        on_writer!(self, |db| {
            sqlx::query(SQL)
                .bind(agent.as_str())
                .bind(Json(&subscription.channels))
                .bind(Json(&subscription.contacts))
                .bind(now)
                .execute(db)
                .await
                .map(drop)
        })?;
        Ok(())
    }

    /// Deletes the subscription.
    pub async fn delete_subscription(&self, agent: &AgentId) -> Result<(), StoreError> {
        const SQL: &str = "DELETE FROM inbound_subscriptions WHERE agent_id = $1";
        on_writer!(self, |db| sqlx::query(SQL)
            .bind(agent.as_str())
            .execute(db)
            .await
            .map(drop))?;
        Ok(())
    }

    /// Stores a filter.
    pub async fn add_filter(&self, agent: &AgentId, filter: &InboundFilter) -> Result<(), StoreError> {
        const SQL: &str = "INSERT INTO inbound_filters (id, agent_id, kind, pattern, action, tag, created_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7)";
        on_writer!(self, |db| {
            sqlx::query(SQL)
                .bind(&filter.id)
                .bind(agent.as_str())
                .bind(&filter.kind)
                .bind(&filter.pattern)
                .bind(&filter.action)
                .bind(filter.tag.as_deref())
                .bind(filter.created_at)
                .execute(db)
                .await
                .map(drop)
        })?;
        Ok(())
    }

    /// Lists the agent's filters, oldest first.
    pub async fn list_filters(&self, agent: &AgentId) -> Result<Vec<InboundFilter>, StoreError> {
        const SQL: &str = "SELECT id, kind, pattern, action, tag, created_at FROM inbound_filters
            WHERE agent_id = $1 ORDER BY created_at, id";
        Ok(on_reader!(self, |db| sqlx::query_as(SQL)
            .bind(agent.as_str())
            .fetch_all(db)
            .await)?)
    }

    /// Deletes a filter. Returns false when the agent has no such filter.
    pub async fn delete_filter(&self, agent: &AgentId, id: &str) -> Result<bool, StoreError> {
        const SQL: &str = "DELETE FROM inbound_filters WHERE agent_id = $1 AND id = $2";
        let done = on_writer!(self, |db| {
            sqlx::query(SQL)
                .bind(agent.as_str())
                .bind(id)
                .execute(db)
                .await
                .map(|done| done.rows_affected())
        })?;
        Ok(done > 0)
    }
}

impl Change {
    /// Blocks or unblocks each direction of a channel; `None` leaves it unchanged. Returns false when the agent has no such
    /// channel.
    pub async fn set_channel_block(
        &self,
        agent: &AgentId,
        channel: Channel,
        inbound: Option<bool>,
        outbound: Option<bool>,
    ) -> Result<bool, StoreError> {
        const SQL: &str = "UPDATE channels SET blocks_inbound = coalesce($3, blocks_inbound),
            blocks_outbound = coalesce($4, blocks_outbound) WHERE agent_id = $1 AND channel = $2";
        let done = on_change!(self, |db| {
            sqlx::query(SQL)
                .bind(agent.as_str())
                .bind(channel.as_str())
                .bind(inbound)
                .bind(outbound)
                .execute(db)
                .await
                .map(|done| done.rows_affected())
        })?;
        Ok(done > 0)
    }
}
