//! Which agent an address of ours belongs to: all that is needed to take a person's message in.

use butt_dial_domain::{AgentId, Channel, ChannelId, OrgId};

use crate::{Store, StoreError, engine::reading};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InboundRoute {
    pub channel: Channel,
    pub address: String,
    pub channel_id: ChannelId,
    pub agent: AgentId,
    pub org: OrgId,
    /// What the agent is called.
    pub agent_name: String,
    /// What comes in is acknowledged and dropped.
    pub blocked: bool,
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
}

impl TryFrom<RouteRow> for InboundRoute {
    type Error = StoreError;

    fn try_from(row: RouteRow) -> Result<Self, StoreError> {
        Ok(Self {
            channel: Channel::parse(&row.channel).ok_or_else(|| StoreError::Corrupt {
                table: "channels",
                column: "channel",
                row: row.id.clone(),
            })?,
            address: row.address,
            channel_id: row.id.into(),
            agent: row.agent_id.into(),
            org: row.org_id.into(),
            agent_name: row.display_name,
            blocked: row.blocks_inbound,
        })
    }
}

impl Store {
    /// Addresses in use, in the order of their ids, after the id `after`.
    pub async fn list_routes(&self, after: Option<&ChannelId>, limit: u32) -> Result<Vec<InboundRoute>, StoreError> {
        const SQL: &str = "SELECT c.id, channel, address, agent_id, c.org_id, display_name, blocks_inbound
            FROM channels c JOIN agents a ON a.id = c.agent_id WHERE c.id > $1 ORDER BY c.id LIMIT $2";
        let rows: Vec<RouteRow> = reading!(self, |db| {
            sqlx::query_as(SQL)
                .bind(after.map_or("", ChannelId::as_str))
                .bind(i64::from(limit))
                .fetch_all(db)
                .await
        })?;
        rows.into_iter().map(InboundRoute::try_from).collect()
    }

    pub async fn find_route(&self, channel: Channel, address: &str) -> Result<Option<InboundRoute>, StoreError> {
        const SQL: &str = "SELECT c.id, channel, address, agent_id, c.org_id, display_name, blocks_inbound
            FROM channels c JOIN agents a ON a.id = c.agent_id WHERE channel = $1 AND address = $2";
        let row: Option<RouteRow> = reading!(self, |db| {
            sqlx::query_as(SQL)
                .bind(channel.as_str())
                .bind(address)
                .fetch_optional(db)
                .await
        })?;
        row.map(InboundRoute::try_from).transpose()
    }
}
