//! What is known about a recipient before something is sent: do-not-contact entries, consent, the WhatsApp window,
//! and whether this very request has been answered before. All in one round trip.

use butt_dial_domain::{AgentId, Channel, ChannelId, MessageId, OrgId, clock::Timestamp};

use crate::{
    Store, StoreError,
    engine::{reading, writing},
};

/// A do-not-contact entry. No channel means all of them.
#[derive(Clone, Debug)]
pub struct Suppression<'a> {
    pub org: &'a OrgId,
    pub channel: Option<Channel>,
    pub address: &'a str,
    pub reason: &'a str,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, sqlx::FromRow)]
pub struct ContactState {
    /// The reason of a do-not-contact entry, if there is one.
    pub suppression: Option<String>,
    /// `granted` or `revoked`, if either was ever recorded.
    pub consent: Option<String>,
    pub last_inbound_at: Option<Timestamp>,
    /// The message that this idempotency key has named before.
    #[sqlx(default)]
    pub earlier: Option<String>,
}

impl ContactState {
    pub fn earlier_message(&self) -> Option<MessageId> {
        self.earlier.as_deref().map(MessageId::from)
    }
}

impl Store {
    pub async fn find_contact_state(
        &self,
        org: &OrgId,
        agent: &AgentId,
        channel: (&ChannelId, Channel),
        address: &str,
        idempotency_key: &str,
    ) -> Result<ContactState, StoreError> {
        const SQL: &str = "SELECT
            (SELECT reason FROM suppressions WHERE org_id = $1 AND address = $2 AND channel IN ('*', $3)
                ORDER BY channel LIMIT 1) AS suppression,
            (SELECT status FROM consents WHERE org_id = $1 AND address = $2 AND channel = $3) AS consent,
            (SELECT last_inbound_at FROM inbound_windows WHERE channel_id = $4 AND address = $2) AS last_inbound_at,
            (SELECT id FROM messages WHERE agent_id = $5 AND idempotency_key = $6) AS earlier";
        Ok(reading!(self, |db| {
            sqlx::query_as(SQL)
                .bind(org.as_str())
                .bind(address)
                .bind(channel.1.as_str())
                .bind(channel.0.as_str())
                .bind(agent.as_str())
                .bind(idempotency_key)
                .fetch_one(db)
                .await
        })?)
    }

    pub async fn suppress(&self, entry: &Suppression<'_>, now: Timestamp) -> Result<(), StoreError> {
        const SQL: &str = "INSERT INTO suppressions (org_id, channel, address, reason, created_at)
            VALUES ($1, $2, $3, $4, $5) ON CONFLICT (org_id, address, channel) DO UPDATE SET reason = excluded.reason";
        writing!(self, |db| {
            sqlx::query(SQL)
                .bind(entry.org.as_str())
                .bind(entry.channel.map_or("*", Channel::as_str))
                .bind(entry.address)
                .bind(entry.reason)
                .bind(now)
                .execute(db)
                .await
                .map(drop)
        })?;
        Ok(())
    }

    /// Records what the contact wants; effective the moment it commits.
    pub async fn record_consent(
        &self,
        org: &OrgId,
        channel: Channel,
        address: &str,
        granted: bool,
        source: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        const SQL: &str = "INSERT INTO consents (org_id, channel, address, status, source, updated_at)
            VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (org_id, address, channel)
            DO UPDATE SET status = excluded.status, source = excluded.source, updated_at = excluded.updated_at";
        writing!(self, |db| {
            sqlx::query(SQL)
                .bind(org.as_str())
                .bind(channel.as_str())
                .bind(address)
                .bind(if granted { "granted" } else { "revoked" })
                .bind(source)
                .bind(now)
                .execute(db)
                .await
                .map(drop)
        })?;
        Ok(())
    }

    /// Notes that the contact wrote to this sender: WhatsApp's window opens. News that come late don't shorten it.
    pub async fn record_inbound(&self, channel: &ChannelId, address: &str, at: Timestamp) -> Result<(), StoreError> {
        const SQL: &str = "INSERT INTO inbound_windows (channel_id, address, last_inbound_at) VALUES ($1, $2, $3)
            ON CONFLICT (channel_id, address) DO UPDATE SET last_inbound_at = excluded.last_inbound_at
            WHERE excluded.last_inbound_at > inbound_windows.last_inbound_at";
        writing!(self, |db| {
            sqlx::query(SQL)
                .bind(channel.as_str())
                .bind(address)
                .bind(at)
                .execute(db)
                .await
                .map(drop)
        })?;
        Ok(())
    }
}
