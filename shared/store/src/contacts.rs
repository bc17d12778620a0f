//! Contacts: suppressions, consent and the WhatsApp window.

use butt_dial_domain::{AgentId, Channel, ChannelId, OrgId, address::contact_key, clock::Timestamp};

use crate::{
    ConsentBasis, Store, StoreError,
    consents::{self, Consent, Scope},
    contact_state::{ContactQuery, ContactState},
    engine::{on_reader, on_writer, with_timeout},
};

/// A suppression (do-not-contact entry). `channel: None` stands for all channels.
#[derive(Clone, Debug)]
pub struct Suppression<'a> {
    pub org: &'a OrgId,
    pub channel: Option<Channel>,
    pub address: &'a str,
    pub reason: &'a str,
}

impl Store {
    /// Reads the state of the contact `address` for a send on `channel` with this idempotency key.
    pub async fn find_contact_state(
        &self,
        org: &OrgId,
        agent: &AgentId,
        channel: (&ChannelId, Channel),
        address: &str,
        idempotency_key: &str,
    ) -> Result<ContactState, StoreError> {
        let contact = contact_key(address);
        let query = ContactQuery {
            erased: self.contact_digest(org, &contact)?,
            org_id: org.clone(),
            agent_id: agent.clone(),
            channel_id: channel.0.clone(),
            channel: channel.1,
            contact,
            address: address.to_owned(),
            idempotency_key: idempotency_key.to_owned(),
        };
        self.batchers.contact.submit(query).await
    }

    /// Counts the marketing messages of an organization to an address since a time: those that may have been sent.
    pub async fn count_marketing(&self, org: &OrgId, address: &str, since: Timestamp) -> Result<u32, StoreError> {
        const SQL: &str = "SELECT COUNT(*) FROM messages WHERE org_id = $1 AND recipient = $2
            AND send_purpose = 'marketing' AND created_at > $3 AND status <> 'failed'";
        let count: i64 = on_reader!(self, |db| {
            sqlx::query_scalar(SQL)
                .bind(org.as_str())
                .bind(address)
                .bind(since)
                .fetch_one(db)
                .await
        })?;
        Ok(u32::try_from(count).unwrap_or(u32::MAX))
    }

    /// Stores a suppression; replaces the reason of an existing one.
    pub async fn suppress(&self, entry: &Suppression<'_>, now: Timestamp) -> Result<(), StoreError> {
        const SQL: &str = "INSERT INTO suppressions (org_id, channel, address, reason, created_at)
            VALUES ($1, $2, $3, $4, $5) ON CONFLICT (org_id, address, channel) DO UPDATE SET reason = excluded.reason";
        let contact = contact_key(entry.address);
        on_writer!(self, |db| {
            sqlx::query(SQL)
                .bind(entry.org.as_str())
                .bind(entry.channel.map_or("*", Channel::as_str))
                .bind(&contact)
                .bind(entry.reason)
                .bind(now)
                .execute(db)
                .await
                .map(drop)
        })?;
        Ok(())
    }

    /// Records the consent of a person, on every channel that shares the address. It applies to every send that starts
    /// after the commit; a revocation also cancels what is scheduled.
    pub async fn record_consent<'a>(
        &self,
        org: &OrgId,
        channel: Channel,
        address: &str,
        granted: bool,
        basis: impl Into<ConsentBasis<'a>>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let consent = Consent {
            org: org.as_str(),
            address,
            channel,
            granted,
            scope: Scope::All,
            basis: basis.into(),
        };
        let source = consent.basis.source;
        with_timeout(async {
            let mut tx = self.begin().await?;
            consents::set_consents(&mut tx, &[consent], source, now).await?;
            tx.commit().await?;
            Ok(())
        })
        .await
    }

    /// Records the consent of a person to marketing messages on WhatsApp.
    pub async fn record_marketing_consent<'a>(
        &self,
        org: &OrgId,
        address: &str,
        granted: bool,
        basis: impl Into<ConsentBasis<'a>>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let consent = Consent {
            org: org.as_str(),
            address,
            channel: Channel::Whatsapp,
            granted,
            scope: Scope::Marketing,
            basis: basis.into(),
        };
        let source = consent.basis.source;
        with_timeout(async {
            let mut tx = self.begin().await?;
            consents::set_consents(&mut tx, &[consent], source, now).await?;
            tx.commit().await?;
            Ok(())
        })
        .await
    }

    /// Opens WhatsApp's service window: the contact wrote to this sender at `at`. A late report does not shorten the window.
    pub async fn record_inbound(&self, channel: &ChannelId, address: &str, at: Timestamp) -> Result<(), StoreError> {
        const SQL: &str = "INSERT INTO inbound_windows (channel_id, address, last_inbound_at) VALUES ($1, $2, $3)
            ON CONFLICT (channel_id, address) DO UPDATE SET last_inbound_at = excluded.last_inbound_at
            WHERE excluded.last_inbound_at > inbound_windows.last_inbound_at";
        let contact = contact_key(address);
        on_writer!(self, |db| {
            sqlx::query(SQL)
                .bind(channel.as_str())
                .bind(&contact)
                .bind(at)
                .execute(db)
                .await
                .map(drop)
        })?;
        Ok(())
    }
}
