//! Inbound routes: the agent that an address belongs to, or the pool of an organization.

use std::sync::Arc;

use butt_dial_domain::{AgentId, Channel, ChannelId, OrgId, ProviderAccountId, call::VoiceSettings, clock::Timestamp};

use crate::{Store, StoreError, engine::on_reader, voice_settings};

/// An address with its agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InboundRoute {
    pub channel: Channel,
    pub address: String,
    pub channel_id: ChannelId,
    pub agent: AgentId,
    pub org: OrgId,
    /// `None`: the installation's account.
    pub account: Option<ProviderAccountId>,
    /// The display name of the agent.
    pub agent_name: String,
    /// Inbound messages are acknowledged and dropped.
    pub blocked: bool,
    /// Calls to it may be connected with another number.
    pub has_bridges: bool,
    /// How the agent speaks on the phone.
    pub voice: VoiceSettings,
}

/// An address of an organization's pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolRoute {
    pub channel: Channel,
    pub address: String,
    pub channel_id: ChannelId,
    pub org: OrgId,
    pub account: Option<ProviderAccountId>,
    pub blocked: bool,
}

/// The owner of an address. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SenderRoute {
    Agent(Arc<InboundRoute>),
    Pool(Arc<PoolRoute>),
}

impl SenderRoute {
    pub fn channel(&self) -> Channel {
        match self {
            Self::Agent(route) => route.channel,
            Self::Pool(pool) => pool.channel,
        }
    }

    pub fn address(&self) -> &str {
        match self {
            Self::Agent(route) => &route.address,
            Self::Pool(pool) => &pool.address,
        }
    }

    pub fn channel_id(&self) -> &ChannelId {
        match self {
            Self::Agent(route) => &route.channel_id,
            Self::Pool(pool) => &pool.channel_id,
        }
    }

    /// Returns the agent, unless it depends on the contact.
    pub fn agent(&self) -> Option<&Arc<InboundRoute>> {
        match self {
            Self::Agent(route) => Some(route),
            Self::Pool(_) => None,
        }
    }
}

#[derive(sqlx::FromRow)]
struct RouteRow {
    id: String,
    channel: String,
    address: String,
    agent_id: Option<String>,
    org_id: String,
    account_id: Option<String>,
    display_name: Option<String>,
    blocks_inbound: bool,
    has_bridges: bool,
    voice_settings: Option<String>,
}

#[derive(sqlx::FromRow)]
struct AgentRow {
    id: String,
    display_name: String,
    voice_settings: Option<String>,
}

impl TryFrom<RouteRow> for SenderRoute {
    type Error = StoreError;

    fn try_from(row: RouteRow) -> Result<Self, StoreError> {
        let channel = Channel::parse(&row.channel).ok_or_else(|| StoreError::Corrupt {
            table: "channels",
            column: "channel",
            row: row.id.clone(),
            value: row.channel.clone(),
        })?;
        let account = row.account_id.map(ProviderAccountId::from);
        Ok(match row.agent_id {
            Some(agent) => Self::Agent(Arc::new(InboundRoute {
                channel,
                address: row.address,
                channel_id: row.id.into(),
                agent: agent.into(),
                org: row.org_id.into(),
                account,
                agent_name: row.display_name.unwrap_or_default(),
                blocked: row.blocks_inbound,
                has_bridges: row.has_bridges,
                voice: voice_settings::parse(row.voice_settings.as_deref()),
            })),
            None => Self::Pool(Arc::new(PoolRoute {
                channel,
                address: row.address,
                channel_id: row.id.into(),
                org: row.org_id.into(),
                account,
                blocked: row.blocks_inbound,
            })),
        })
    }
}

// Subqueries, not joins: with outdated statistics Postgres reads all agents for a join.
impl Store {
    /// Lists the routes after the id `after`, in the order of their ids.
    // Without statistics, Postgres assumes that `IS NULL` is rare, and sorts all routes for each page. `coalesce` hides it.
    pub async fn list_routes(&self, after: Option<&ChannelId>, limit: u32) -> Result<Vec<SenderRoute>, StoreError> {
        const SQL: &str = "SELECT c.id, channel, address, agent_id, c.org_id, account_id, blocks_inbound,
                (SELECT a.display_name FROM agents a WHERE a.id = c.agent_id) AS display_name,
                (SELECT a.voice_settings FROM agents a WHERE a.id = c.agent_id) AS voice_settings,
                EXISTS (SELECT 1 FROM call_bridges b WHERE c.channel = 'voice' AND b.org_id = c.org_id
                    AND b.local_number = c.address) AS has_bridges
            FROM channels c WHERE c.id > $1 AND coalesce(c.released_at IS NULL, FALSE)
            ORDER BY c.id LIMIT $2";
        let rows: Vec<RouteRow> = on_reader!(self, |db| {
            sqlx::query_as(SQL)
                .bind(after.map_or("", ChannelId::as_str))
                .bind(i64::from(limit))
                .fetch_all(db)
                .await
        })?;
        rows.into_iter().map(SenderRoute::try_from).collect()
    }

    /// Finds the route of an address.
    pub async fn find_route(&self, channel: Channel, address: &str) -> Result<Option<SenderRoute>, StoreError> {
        const SQL: &str = "SELECT c.id, channel, address, agent_id, c.org_id, account_id, blocks_inbound,
                (SELECT a.display_name FROM agents a WHERE a.id = c.agent_id) AS display_name,
                (SELECT a.voice_settings FROM agents a WHERE a.id = c.agent_id) AS voice_settings,
                EXISTS (SELECT 1 FROM call_bridges b WHERE c.channel = 'voice' AND b.org_id = c.org_id
                    AND b.local_number = c.address) AS has_bridges
            FROM channels c WHERE channel = $1 AND address = $2 AND c.released_at IS NULL";
        let row: Option<RouteRow> = on_reader!(self, |db| {
            sqlx::query_as(SQL)
                .bind(channel.as_str())
                .bind(address)
                .fetch_optional(db)
                .await
        })?;
        row.map(SenderRoute::try_from).transpose()
    }

    /// Finds the agent that a sender of the pool serves for a contact: the one that is bound to it since `expired`; without one,
    /// the default agent of the organization; without one, its oldest active agent. `None`: the organization has no agent.
    pub async fn find_pool_owner(
        &self,
        pool: &PoolRoute,
        contact: &str,
        expired: Timestamp,
    ) -> Result<Option<InboundRoute>, StoreError> {
        const SQL: &str = "SELECT id, display_name, voice_settings FROM agents WHERE org_id = $2 AND id = coalesce(
                (SELECT agent_id FROM sender_bindings WHERE channel_id = $1 AND contact = $3 AND used_at > $4),
                (SELECT default_agent_id FROM organizations WHERE id = $2),
                (SELECT a.id FROM agents a WHERE a.org_id = $2 AND a.status = 'active' ORDER BY a.created_at, a.id LIMIT 1))";
        let found: Option<AgentRow> = on_reader!(self, |db| sqlx::query_as(SQL)
            .bind(pool.channel_id.as_str())
            .bind(pool.org.as_str())
            .bind(contact)
            .bind(expired)
            .fetch_optional(db)
            .await)?;
        Ok(found.map(|agent| InboundRoute {
            channel: pool.channel,
            address: pool.address.clone(),
            channel_id: pool.channel_id.clone(),
            agent: agent.id.into(),
            org: pool.org.clone(),
            account: pool.account.clone(),
            agent_name: agent.display_name,
            blocked: pool.blocked,
            has_bridges: false,
            voice: voice_settings::parse(agent.voice_settings.as_deref()),
        }))
    }
}
