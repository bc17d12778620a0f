//! Inbound routes: the agent that an address belongs to.

use butt_dial_domain::{AgentId, Channel, ChannelId, OrgId, call::VoiceSettings};

use crate::{Store, StoreError, engine::on_reader, voice_settings};

/// An address with its agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InboundRoute {
    pub channel: Channel,
    pub address: String,
    pub channel_id: ChannelId,
    pub agent: AgentId,
    pub org: OrgId,
    /// The display name of the agent.
    pub agent_name: String,
    /// Inbound messages are acknowledged and dropped.
    pub blocked: bool,
    /// How the agent speaks on the phone.
    pub voice: VoiceSettings,
}

#[derive(sqlx::FromRow)]
struct RouteRow {
    id: String,
    channel: String,
    address: String,
    agent_id: String,
    org_id: String,
    display_name: String,
    blocks_inbound: bool,
    voice_settings: Option<String>,
}

impl TryFrom<RouteRow> for InboundRoute {
    type Error = StoreError;

    fn try_from(row: RouteRow) -> Result<Self, StoreError> {
        Ok(Self {
            channel: Channel::parse(&row.channel).ok_or_else(|| StoreError::Corrupt {
                table: "channels",
                column: "channel",
                row: row.id.clone(),
                value: row.channel.clone(),
            })?,
            address: row.address,
            channel_id: row.id.into(),
            agent: row.agent_id.into(),
            org: row.org_id.into(),
            agent_name: row.display_name,
            blocked: row.blocks_inbound,
            voice: voice_settings::parse(row.voice_settings.as_deref()),
        })
    }
}

impl Store {
    /// Lists the routes after the id `after`, in the order of their ids.
    pub async fn list_routes(&self, after: Option<&ChannelId>, limit: u32) -> Result<Vec<InboundRoute>, StoreError> {
        const SQL: &str =
            "SELECT c.id, channel, address, agent_id, c.org_id, display_name, blocks_inbound, voice_settings
            FROM channels c JOIN agents a ON a.id = c.agent_id WHERE c.id > $1 ORDER BY c.id LIMIT $2";
        let rows: Vec<RouteRow> = on_reader!(self, |db| {
            sqlx::query_as(SQL)
                .bind(after.map_or("", ChannelId::as_str))
                .bind(i64::from(limit))
                .fetch_all(db)
                .await
        })?;
        rows.into_iter().map(InboundRoute::try_from).collect()
    }

    /// Finds the route of an address.
    pub async fn find_route(&self, channel: Channel, address: &str) -> Result<Option<InboundRoute>, StoreError> {
        const SQL: &str =
            "SELECT c.id, channel, address, agent_id, c.org_id, display_name, blocks_inbound, voice_settings
            FROM channels c JOIN agents a ON a.id = c.agent_id WHERE channel = $1 AND address = $2";
        let row: Option<RouteRow> = on_reader!(self, |db| {
            sqlx::query_as(SQL)
                .bind(channel.as_str())
                .bind(address)
                .fetch_optional(db)
                .await
        })?;
        row.map(InboundRoute::try_from).transpose()
    }
}
