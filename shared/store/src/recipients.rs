//! How an agent wants to be reached: its callback, what it wants to have pushed, and what is to be kept from it.

use butt_dial_domain::{AgentId, Channel, OrgId, clock::Timestamp};
use sqlx::types::Json;

use crate::{
    Store, StoreError,
    engine::{reading, writing},
};

/// What the ladder of delivery needs to know of an agent.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Recipient {
    #[sqlx(rename = "org_id")]
    org: String,
    pub display_name: String,
    pub callback_url: Option<String>,
    /// For what happens in calls, where that is another one.
    pub voice_callback_url: Option<String>,
    channels: Option<Json<Vec<String>>>,
    contacts: Option<Json<Vec<String>>>,
}

/// What an agent wants to have pushed. Empty lists stand for everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subscription {
    pub channels: Vec<String>,
    pub contacts: Vec<String>,
}

impl Recipient {
    pub fn org(&self) -> OrgId {
        OrgId::from(self.org.as_str())
    }

    /// Where an event of this channel is posted.
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

/// A rule of an agent's about what comes in.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct InboundFilter {
    pub id: String,
    pub kind: String,
    pub pattern: String,
    pub action: String,
    pub tag: Option<String>,
    pub created_at: Timestamp,
}

impl Store {
    pub async fn find_recipient(&self, agent: &AgentId) -> Result<Option<Recipient>, StoreError> {
        const SQL: &str =
            "SELECT org_id, display_name, callback_url, voice_callback_url, s.channels, s.contacts FROM agents
            LEFT JOIN inbound_subscriptions s ON s.agent_id = agents.id WHERE agents.id = $1";
        Ok(reading!(self, |db| sqlx::query_as(SQL)
            .bind(agent.as_str())
            .fetch_optional(db)
            .await)?)
    }

    /// `None` takes the callback away.
    pub async fn set_callback_url(&self, agent: &AgentId, url: Option<&str>) -> Result<(), StoreError> {
        const SQL: &str = "UPDATE agents SET callback_url = $2 WHERE id = $1";
        writing!(self, |db| {
            sqlx::query(SQL)
                .bind(agent.as_str())
                .bind(url)
                .execute(db)
                .await
                .map(drop)
        })?;
        Ok(())
    }

    /// `None` takes it away.
    pub async fn set_voice_callback_url(&self, agent: &AgentId, url: Option<&str>) -> Result<(), StoreError> {
        const SQL: &str = "UPDATE agents SET voice_callback_url = $2 WHERE id = $1";
        writing!(self, |db| {
            sqlx::query(SQL)
                .bind(agent.as_str())
                .bind(url)
                .execute(db)
                .await
                .map(drop)
        })?;
        Ok(())
    }

    /// Takes a callback away that says that it is gone, for whatever it was. False when the agent has another one by now.
    pub async fn remove_callback_url(&self, agent: &AgentId, url: &str) -> Result<bool, StoreError> {
        const SQL: &str = "UPDATE agents SET callback_url = NULLIF(callback_url, $2),
            voice_callback_url = NULLIF(voice_callback_url, $2)
            WHERE id = $1 AND (callback_url = $2 OR voice_callback_url = $2)";
        let done = writing!(self, |db| {
            sqlx::query(SQL)
                .bind(agent.as_str())
                .bind(url)
                .execute(db)
                .await
                .map(|done| done.rows_affected())
        })?;
        Ok(done > 0)
    }

    pub async fn set_subscription(
        &self,
        agent: &AgentId,
        subscription: &Subscription,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        const SQL: &str = "INSERT INTO inbound_subscriptions (agent_id, channels, contacts, created_at)
            VALUES ($1, $2, $3, $4) ON CONFLICT (agent_id) DO UPDATE SET channels = excluded.channels,
                contacts = excluded.contacts, created_at = excluded.created_at";
        writing!(self, |db| {
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

    pub async fn delete_subscription(&self, agent: &AgentId) -> Result<(), StoreError> {
        const SQL: &str = "DELETE FROM inbound_subscriptions WHERE agent_id = $1";
        writing!(self, |db| sqlx::query(SQL)
            .bind(agent.as_str())
            .execute(db)
            .await
            .map(drop))?;
        Ok(())
    }

    pub async fn add_filter(&self, agent: &AgentId, filter: &InboundFilter) -> Result<(), StoreError> {
        const SQL: &str = "INSERT INTO inbound_filters (id, agent_id, kind, pattern, action, tag, created_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7)";
        writing!(self, |db| {
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

    /// Oldest first.
    pub async fn list_filters(&self, agent: &AgentId) -> Result<Vec<InboundFilter>, StoreError> {
        const SQL: &str = "SELECT id, kind, pattern, action, tag, created_at FROM inbound_filters
            WHERE agent_id = $1 ORDER BY created_at, id";
        Ok(reading!(self, |db| sqlx::query_as(SQL)
            .bind(agent.as_str())
            .fetch_all(db)
            .await)?)
    }

    /// False when the agent has no such filter.
    pub async fn delete_filter(&self, agent: &AgentId, id: &str) -> Result<bool, StoreError> {
        const SQL: &str = "DELETE FROM inbound_filters WHERE agent_id = $1 AND id = $2";
        let done = writing!(self, |db| {
            sqlx::query(SQL)
                .bind(agent.as_str())
                .bind(id)
                .execute(db)
                .await
                .map(|done| done.rows_affected())
        })?;
        Ok(done > 0)
    }

    /// The channel blocker, each direction by itself; `None` leaves it as it is. False when the agent has no such channel.
    pub async fn set_channel_block(
        &self,
        agent: &AgentId,
        channel: Channel,
        inbound: Option<bool>,
        outbound: Option<bool>,
    ) -> Result<bool, StoreError> {
        const SQL: &str = "UPDATE channels SET blocks_inbound = coalesce($3, blocks_inbound),
            blocks_outbound = coalesce($4, blocks_outbound) WHERE agent_id = $1 AND channel = $2";
        let done = writing!(self, |db| {
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
