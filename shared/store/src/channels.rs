//! Channels: the addresses that agents send from. An address belongs to one agent on one channel.

use butt_dial_domain::{AgentId, Channel, ChannelId, OrgId, ProviderAccountId, clock::Timestamp};

use crate::{Change, Store, StoreError, change::on_change, engine::on_reader};

/// The address of an agent on a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnedChannel {
    pub id: ChannelId,
    pub channel: Channel,
    pub address: String,
    /// `None`: the installation's account.
    pub account: Option<AccountRef>,
    /// The one of several senders on the channel that is used first.
    pub is_primary: bool,
    /// Two letters; `None` for addresses without a country.
    pub country: Option<String>,
    /// False: a US number that its vendor has not registered yet. Carriers in the US block its texts.
    pub is_registered: bool,
    /// No sends: paused by an administrator, or outbound is blocked.
    pub paused: bool,
    pub blocks_inbound: bool,
    pub blocks_outbound: bool,
}

/// The account of a sender, as it was when the sender was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountRef {
    pub id: ProviderAccountId,
    pub version: i64,
}

/// The column `channels.status`.
#[derive(Clone, Copy, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
enum ChannelStatus {
    Active,
    Paused,
}

impl Store {
    /// Returns whether the agent's sender on this channel has been used by the installation's own account at the carrier: it
    /// has sent, or has received what no other account reported.
    pub async fn is_own_sender(&self, agent: &AgentId, channel: Channel) -> Result<bool, StoreError> {
        const SQL: &str = "SELECT EXISTS (SELECT 1 FROM usage WHERE agent_id = $1 AND channel = $2 AND messages > 0)
            OR EXISTS (SELECT 1 FROM (SELECT data FROM events WHERE agent_id = $1 AND type = 'message.received'
                AND channel = $2 ORDER BY seq DESC LIMIT 200) AS latest WHERE data ->> 'account' IS NULL)";
        Ok(on_reader!(self, |db| sqlx::query_scalar(SQL)
            .bind(agent.as_str())
            .bind(channel.as_str())
            .fetch_one(db)
            .await)?)
    }
}

impl Change {
    /// Assigns an address to the agent as its primary sender; replaces its former primary address on the channel. Fails with `Conflict` when another agent
    /// has the address.
    pub async fn assign_channel(
        &self,
        org: &OrgId,
        agent: &AgentId,
        channel: Channel,
        address: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        const SQL: &str = "INSERT INTO channels (id, org_id, agent_id, channel, address, status, created_at)
            VALUES ($1, $2, $3, $4, $5, 'active', $6)
            ON CONFLICT (agent_id, channel) WHERE is_primary DO UPDATE SET address = excluded.address";
        on_change!(self, |db| {
            sqlx::query(SQL)
                .bind(ChannelId::generate().as_str())
                .bind(org.as_str())
                .bind(agent.as_str())
                .bind(channel.as_str())
                .bind(address)
                .bind(now)
                .execute(db)
                .await
                .map(|done| done.rows_affected())
        })?;
        Ok(())
    }

    /// Pauses or resumes a channel.
    pub async fn pause_channel(&self, agent: &AgentId, channel: Channel, paused: bool) -> Result<(), StoreError> {
        const SQL: &str = "UPDATE channels SET status = $3 WHERE agent_id = $1 AND channel = $2";
        let status: &str = if paused {
            ChannelStatus::Paused
        } else {
            ChannelStatus::Active
        }
        .into();
        on_change!(self, |db| {
            sqlx::query(SQL)
                .bind(agent.as_str())
                .bind(channel.as_str())
                .bind(status)
                .execute(db)
                .await
                .map(|done| done.rows_affected())
        })?;
        Ok(())
    }
}
