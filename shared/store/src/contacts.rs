//! What is known about a recipient before something is sent: do-not-contact entries, consent, the WhatsApp window,
//! and whether this very request has been answered before. All in one round trip.

use std::sync::Arc;

use butt_dial_domain::{AgentId, Channel, ChannelId, MessageId, OrgId, clock::Timestamp};
use serde::Serialize;
use sqlx::{PgPool, SqlitePool, types::Json};

use crate::{Store, StoreError, engine::writing};

/// The reason of an entry that a carrier brought about: nothing reaches this address.
pub const UNREACHABLE: &str = "unreachable";

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
    /// The agent of the same organization whose address it is, if it is one; it may be the sender itself.
    #[sqlx(default)]
    pub recipient_agent: Option<String>,
    /// The message that this idempotency key has named before.
    #[sqlx(default)]
    pub prior_request: Option<String>,
}

impl ContactState {
    pub fn prior_request(&self) -> Option<MessageId> {
        self.prior_request.as_deref().map(MessageId::from)
    }
}

/// What is asked before a send. Callers of the same moment share a round trip.
#[derive(Clone, Serialize)]
pub(crate) struct ContactQuestion {
    org_id: OrgId,
    agent_id: AgentId,
    channel_id: ChannelId,
    channel: Channel,
    address: String,
    idempotency_key: String,
}

/// The same on both engines but for how a row of the questions is named.
macro_rules! contact_sql {
    ($from:literal, $order:literal, $org:literal, $address:literal, $channel:literal, $channel_id:literal, $agent:literal, $key:literal) => {
        concat!(
            "SELECT (SELECT reason FROM suppressions s WHERE s.org_id = ",
            $org,
            " AND s.address = ",
            $address,
            " AND s.channel IN ('*', ",
            $channel,
            ") ORDER BY s.channel LIMIT 1) AS suppression,
            (SELECT status FROM consents c WHERE c.org_id = ",
            $org,
            " AND c.address = ",
            $address,
            " AND c.channel = ",
            $channel,
            ") AS consent,
            (SELECT last_inbound_at FROM inbound_windows w WHERE w.channel_id = ",
            $channel_id,
            " AND w.address = ",
            $address,
            ") AS last_inbound_at,
            (SELECT k.agent_id FROM channels k WHERE k.channel = ",
            $channel,
            " AND k.address = ",
            $address,
            " AND k.org_id = ",
            $org,
            ") AS recipient_agent,
            (SELECT id FROM messages m WHERE m.agent_id = ",
            $agent,
            " AND m.idempotency_key = ",
            $key,
            ") AS prior_request
            FROM ",
            $from,
            " ORDER BY ",
            $order
        )
    };
}

pub(crate) async fn answer_in_postgres(
    db: PgPool,
    questions: Arc<[ContactQuestion]>,
) -> Result<Vec<ContactState>, StoreError> {
    const SQL: &str =
        contact_sql!(
        "ROWS FROM (jsonb_to_recordset($1) AS (org_id TEXT, address TEXT, channel TEXT, channel_id TEXT, agent_id TEXT,
            idempotency_key TEXT)) WITH ORDINALITY AS i (org_id, address, channel, channel_id, agent_id, key, n)",
        "i.n", "i.org_id", "i.address", "i.channel", "i.channel_id", "i.agent_id", "i.key"
    );
    Ok(sqlx::query_as(SQL).bind(Json(&*questions)).fetch_all(&db).await?)
}

pub(crate) async fn answer_in_sqlite(
    db: SqlitePool,
    questions: Arc<[ContactQuestion]>,
) -> Result<Vec<ContactState>, StoreError> {
    const SQL: &str = contact_sql!(
        "jsonb_each($1) AS i",
        "i.key",
        "i.value ->> 'org_id'",
        "i.value ->> 'address'",
        "i.value ->> 'channel'",
        "i.value ->> 'channel_id'",
        "i.value ->> 'agent_id'",
        "i.value ->> 'idempotency_key'"
    );
    Ok(sqlx::query_as(SQL).bind(Json(&*questions)).fetch_all(&db).await?)
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
        let question = ContactQuestion {
            org_id: org.clone(),
            agent_id: agent.clone(),
            channel_id: channel.0.clone(),
            channel: channel.1,
            address: address.to_owned(),
            idempotency_key: idempotency_key.to_owned(),
        };
        self.groups.contact.submit(question).await
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
