//! Senders: the rows of `channels` as an administrator sees them, the pool of an organization, and which agent a sender of the
//! pool serves for a contact.

use butt_dial_domain::{
    AgentId, Channel, ChannelId, Micros, OrgId, ProviderAccountId,
    clock::Timestamp,
    senders::{Candidate, IdentityMode, IsolationMode},
};

use crate::{
    Store, StoreError,
    column::text_column,
    engine::{Sql, in_tx, on_reader, on_writer, with_timeout},
};

/// A sender of an organization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sender {
    pub id: ChannelId,
    pub org: OrgId,
    /// `None`: of the pool.
    pub agent: Option<AgentId>,
    pub channel: Channel,
    pub address: String,
    pub paused: bool,
    pub label: Option<String>,
    pub is_primary: bool,
    /// `None`: the installation's account.
    pub account: Option<ProviderAccountId>,
    /// The vendor's id of a bought number.
    pub number_id: Option<String>,
    pub country: Option<String>,
    /// The vendor's id of the registration of a WhatsApp sender.
    pub registration_id: Option<String>,
    pub registration: Option<Registration>,
    pub created_at: Timestamp,
    pub released_at: Option<Timestamp>,
}

/// How far the registration of a sender at its vendor is. A sender that is not registered is paused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::Display, strum::EnumString, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Registration {
    Pending,
    Done,
    Failed,
}

text_column!(Registration, "channels", "registration");

#[derive(sqlx::FromRow)]
struct SenderRow {
    id: String,
    org_id: String,
    agent_id: Option<String>,
    channel: String,
    address: String,
    status: String,
    label: Option<String>,
    is_primary: bool,
    account_id: Option<String>,
    number_id: Option<String>,
    country: Option<String>,
    registration_id: Option<String>,
    registration: Option<Registration>,
    created_at: Timestamp,
    released_at: Option<Timestamp>,
}

impl TryFrom<SenderRow> for Sender {
    type Error = StoreError;

    fn try_from(row: SenderRow) -> Result<Self, StoreError> {
        Ok(Self {
            channel: Channel::parse(&row.channel).ok_or_else(|| StoreError::Corrupt {
                table: "channels",
                column: "channel",
                row: row.id.clone(),
                value: row.channel.clone(),
            })?,
            id: row.id.into(),
            org: row.org_id.into(),
            agent: row.agent_id.map(AgentId::from),
            address: row.address,
            paused: row.status == "paused",
            label: row.label,
            is_primary: row.is_primary,
            account: row.account_id.map(ProviderAccountId::from),
            number_id: row.number_id,
            country: row.country,
            registration_id: row.registration_id,
            registration: row.registration,
            created_at: row.created_at,
            released_at: row.released_at,
        })
    }
}

/// A sender to store.
#[derive(Clone)]
pub struct NewSender<'a> {
    pub org: &'a OrgId,
    pub agent: Option<&'a AgentId>,
    pub channel: Channel,
    pub address: &'a str,
    pub label: Option<&'a str>,
    pub account: Option<&'a ProviderAccountId>,
    pub number_id: Option<&'a str>,
    pub country: Option<&'a str>,
    /// Micro-units.
    pub monthly_price: Option<i64>,
    /// The vendor's id of a registration, and how far it is. While it is pending, the sender is paused.
    pub registration: Option<(&'a str, Registration)>,
}

/// A change of a sender. `None` leaves a value as it is.
#[derive(Clone, Copy, Default)]
pub struct SenderChange<'a> {
    pub label: Option<&'a str>,
    pub paused: Option<bool>,
    pub primary: Option<bool>,
}

/// How an organization identifies its agents, and whose accounts it uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SenderModes {
    /// `None`: the installation's mode.
    pub identity: Option<IdentityMode>,
    pub isolation: Option<IsolationMode>,
}

/// Builds a query over the columns of a sender.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, org_id, agent_id, channel, address, status, label, is_primary, account_id, number_id, country,
                registration_id, registration, created_at, released_at FROM channels ",
            $rest
        )
    };
}

#[derive(sqlx::FromRow)]
struct CandidateRow {
    id: String,
    address: String,
    country: Option<String>,
    account_id: Option<String>,
    account_version: Option<i64>,
    status: String,
    blocks_outbound: bool,
    bound_to: Option<String>,
}

impl Store {
    /// Stores senders, all or none. The first sender of an agent on a channel becomes its primary one. Fails with `Conflict`
    /// if an address has an owner.
    pub async fn create_senders(
        &self,
        senders: &[NewSender<'_>],
        now: Timestamp,
    ) -> Result<Vec<ChannelId>, StoreError> {
        const SQL: &str =
            "INSERT INTO channels (id, org_id, agent_id, channel, address, status, created_at, label, account_id,
                number_id, country, monthly_price, registration_id, registration, is_primary)
            VALUES ($1, $2, $3, $4, $5, $12, $6, $7, $8, $9, $10, $11, $13, $14,
                NOT EXISTS (SELECT 1 FROM channels c WHERE c.agent_id = $3 AND c.channel = $4 AND c.is_primary))";
        with_timeout(async {
            let mut tx = self.begin().await?;
            let mut ids = Vec::with_capacity(senders.len());
            for sender in senders {
                let id = ChannelId::generate();
                in_tx!(&mut tx, |db| sqlx::query(SQL)
                    .bind(id.as_str())
                    .bind(sender.org.as_str())
                    .bind(sender.agent.map(AgentId::as_str))
                    .bind(sender.channel.as_str())
                    .bind(sender.address)
                    .bind(now)
                    .bind(sender.label)
                    .bind(sender.account.map(ProviderAccountId::as_str))
                    .bind(sender.number_id)
                    .bind(sender.country)
                    .bind(sender.monthly_price)
                    .bind(match sender.registration {
                        None | Some((_, Registration::Done)) => "active",
                        Some(_) => "paused",
                    })
                    .bind(sender.registration.map(|(id, _)| id))
                    .bind(sender.registration.map(|(_, registration)| <&str>::from(registration)))
                    .execute(db)
                    .await
                    .map(drop))?;
                ids.push(id);
            }
            tx.commit().await?;
            Ok(ids)
        })
        .await
    }

    /// Lists the senders of an agent, or of the pool without one, released ones left out, oldest first.
    pub async fn list_senders(&self, org: &OrgId, agent: Option<&AgentId>) -> Result<Vec<Sender>, StoreError> {
        const SQL: Sql = Sql {
            postgres: select!(
                "WHERE org_id = $1 AND agent_id IS NOT DISTINCT FROM $2 AND released_at IS NULL ORDER BY created_at, id"
            ),
            sqlite: select!("WHERE org_id = $1 AND agent_id IS $2 AND released_at IS NULL ORDER BY created_at, id"),
        };
        let sql = self.sql(SQL);
        let rows: Vec<SenderRow> = on_reader!(self, |db| sqlx::query_as(sql)
            .bind(org.as_str())
            .bind(agent.map(AgentId::as_str))
            .fetch_all(db)
            .await)?;
        rows.into_iter().map(Sender::try_from).collect()
    }

    /// Finds a sender of the organization by its id, released ones included.
    pub async fn find_sender(&self, org: &OrgId, id: &ChannelId) -> Result<Option<Sender>, StoreError> {
        const SQL: &str = select!("WHERE org_id = $1 AND id = $2");
        let row: Option<SenderRow> = on_reader!(self, |db| sqlx::query_as(SQL)
            .bind(org.as_str())
            .bind(id.as_str())
            .fetch_optional(db)
            .await)?;
        row.map(Sender::try_from).transpose()
    }

    /// Lists the organization's senders with this address on any channel, released ones included.
    pub async fn list_senders_by_address(&self, org: &OrgId, address: &str) -> Result<Vec<Sender>, StoreError> {
        const SQL: &str = select!("WHERE org_id = $1 AND address = $2 ORDER BY channel");
        let rows: Vec<SenderRow> = on_reader!(self, |db| sqlx::query_as(SQL)
            .bind(org.as_str())
            .bind(address)
            .fetch_all(db)
            .await)?;
        rows.into_iter().map(Sender::try_from).collect()
    }

    /// Changes senders of the organization: those with the address of `id`, because one number carries texts and calls. A new
    /// primary sender replaces the former one. Returns whether the sender exists.
    pub async fn change_sender(
        &self,
        org: &OrgId,
        sender: &Sender,
        change: SenderChange<'_>,
    ) -> Result<bool, StoreError> {
        const DEMOTE: &str = "UPDATE channels SET is_primary = FALSE WHERE org_id = $1 AND is_primary AND agent_id = $2
            AND channel IN (SELECT c.channel FROM channels c WHERE c.org_id = $1 AND c.address = $3 AND c.released_at IS NULL)";
        const CHANGE: &str = "UPDATE channels SET label = coalesce($3, label), status = coalesce($4, status),
                is_primary = CASE WHEN $5 IS NULL THEN is_primary ELSE $5 END
            WHERE org_id = $1 AND address = $2 AND released_at IS NULL
                AND (channel = $6 OR (channel IN ('sms', 'voice') AND $6 IN ('sms', 'voice')))";
        let status = change.paused.map(|paused| if paused { "paused" } else { "active" });
        with_timeout(async {
            let mut tx = self.begin().await?;
            if change.primary == Some(true) {
                in_tx!(&mut tx, |db| sqlx::query(DEMOTE)
                    .bind(org.as_str())
                    .bind(sender.agent.as_ref().map(AgentId::as_str))
                    .bind(&sender.address)
                    .execute(db)
                    .await
                    .map(drop))?;
            }
            let changed = in_tx!(&mut tx, |db| sqlx::query(CHANGE)
                .bind(org.as_str())
                .bind(&sender.address)
                .bind(change.label)
                .bind(status)
                .bind(change.primary)
                .bind(sender.channel.as_str())
                .execute(db)
                .await?
                .rows_affected());
            tx.commit().await?;
            Ok(changed > 0)
        })
        .await
    }

    /// Takes senders out of use: no route and no agent has them any more. Their addresses stay reserved for the organization
    /// until they are deleted. Returns how many were in use.
    pub async fn release_senders(&self, org: &OrgId, ids: &[ChannelId], now: Timestamp) -> Result<u64, StoreError> {
        const RELEASE: &str = "UPDATE channels SET released_at = $3, is_primary = FALSE
            WHERE org_id = $1 AND id = $2 AND released_at IS NULL";
        with_timeout(async {
            let mut tx = self.begin().await?;
            let mut released = 0;
            for id in ids {
                released += in_tx!(&mut tx, |db| sqlx::query(RELEASE)
                    .bind(org.as_str())
                    .bind(id.as_str())
                    .bind(now)
                    .execute(db)
                    .await?
                    .rows_affected());
            }
            tx.commit().await?;
            Ok(released)
        })
        .await
    }

    /// Gives a released sender of the organization to an agent, or to the pool, before its hold has ended. Returns false if
    /// it is in use, or gone.
    pub async fn take_back_sender(
        &self,
        org: &OrgId,
        id: &ChannelId,
        agent: Option<&AgentId>,
    ) -> Result<bool, StoreError> {
        const SQL: &str = "UPDATE channels SET released_at = NULL, status = 'active', agent_id = $3,
                is_primary = NOT EXISTS (SELECT 1 FROM channels c WHERE c.agent_id = $3 AND c.channel = channels.channel
                    AND c.is_primary)
            WHERE org_id = $1 AND id = $2 AND released_at IS NOT NULL";
        let done = on_writer!(self, |db| sqlx::query(SQL)
            .bind(org.as_str())
            .bind(id.as_str())
            .bind(agent.map(AgentId::as_str))
            .execute(db)
            .await
            .map(|done| done.rows_affected()))?;
        Ok(done == 1)
    }

    /// Gives a sender of the pool to an agent, with the bindings that it has. Returns false if it is not in the pool.
    pub async fn assign_pooled_sender(&self, org: &OrgId, id: &ChannelId, agent: &AgentId) -> Result<bool, StoreError> {
        const ASSIGN: &str = "UPDATE channels SET agent_id = $3,
                is_primary = NOT EXISTS (SELECT 1 FROM channels c WHERE c.agent_id = $3 AND c.channel = channels.channel
                    AND c.is_primary)
            WHERE org_id = $1 AND id = $2 AND agent_id IS NULL AND released_at IS NULL";
        const UNBIND: &str = "DELETE FROM sender_bindings WHERE channel_id = $1";
        with_timeout(async {
            let mut tx = self.begin().await?;
            let assigned = in_tx!(&mut tx, |db| sqlx::query(ASSIGN)
                .bind(org.as_str())
                .bind(id.as_str())
                .bind(agent.as_str())
                .execute(db)
                .await?
                .rows_affected());
            in_tx!(&mut tx, |db| sqlx::query(UNBIND)
                .bind(id.as_str())
                .execute(db)
                .await
                .map(drop))?;
            if assigned == 1 {
                tx.commit().await?;
            }
            Ok(assigned == 1)
        })
        .await
    }

    /// Takes all senders of an organization out of use since `since`, and lists them, in pages.
    pub async fn release_organization(
        &self,
        org: &OrgId,
        since: Timestamp,
        limit: u32,
    ) -> Result<Vec<Sender>, StoreError> {
        const RELEASE: &str = "UPDATE channels SET released_at = $2, is_primary = FALSE
            WHERE org_id = $1 AND (released_at IS NULL OR released_at > $2)";
        const LIST: &str = select!("WHERE org_id = $1 ORDER BY id LIMIT $2");
        on_writer!(self, |db| sqlx::query(RELEASE)
            .bind(org.as_str())
            .bind(since)
            .execute(db)
            .await
            .map(drop))?;
        let rows: Vec<SenderRow> = on_reader!(self, |db| sqlx::query_as(LIST)
            .bind(org.as_str())
            .bind(i64::from(limit))
            .fetch_all(db)
            .await)?;
        rows.into_iter().map(Sender::try_from).collect()
    }

    /// Ends the hold of released senders: it counts from `since`. Returns whether one was released.
    pub async fn end_hold(&self, org: &OrgId, ids: &[ChannelId], since: Timestamp) -> Result<bool, StoreError> {
        const SQL: &str =
            "UPDATE channels SET released_at = $3 WHERE org_id = $1 AND id = $2 AND released_at IS NOT NULL";
        let mut ended = 0;
        for id in ids {
            ended += on_writer!(self, |db| sqlx::query(SQL)
                .bind(org.as_str())
                .bind(id.as_str())
                .bind(since)
                .execute(db)
                .await
                .map(|done| done.rows_affected()))?;
        }
        Ok(ended > 0)
    }

    /// Returns what a bought number costs each month.
    pub async fn find_monthly_price(&self, id: &ChannelId) -> Result<Option<Micros>, StoreError> {
        const SQL: &str = "SELECT monthly_price FROM channels WHERE id = $1";
        let found: Option<Option<i64>> = on_reader!(self, |db| sqlx::query_scalar(SQL)
            .bind(id.as_str())
            .fetch_optional(db)
            .await)?;
        Ok(found.flatten().map(Micros))
    }

    /// Lists senders of all organizations whose registration is pending, oldest first.
    pub async fn list_registering_senders(&self, limit: u32) -> Result<Vec<Sender>, StoreError> {
        const SQL: &str =
            select!("WHERE registration = 'pending' AND released_at IS NULL ORDER BY created_at, id LIMIT $1");
        let rows: Vec<SenderRow> = on_reader!(self, |db| sqlx::query_as(SQL)
            .bind(i64::from(limit))
            .fetch_all(db)
            .await)?;
        rows.into_iter().map(Sender::try_from).collect()
    }

    /// Concludes a pending registration. A registered sender is resumed. Returns whether it was pending.
    pub async fn conclude_registration(&self, id: &ChannelId, is_done: bool) -> Result<bool, StoreError> {
        const SQL: &str =
            "UPDATE channels SET registration = $2, status = CASE WHEN $2 = 'done' THEN 'active' ELSE status END
            WHERE id = $1 AND registration = 'pending'";
        let outcome = if is_done {
            Registration::Done
        } else {
            Registration::Failed
        };
        let done = on_writer!(self, |db| sqlx::query(SQL)
            .bind(id.as_str())
            .bind(<&str>::from(outcome))
            .execute(db)
            .await
            .map(|done| done.rows_affected()))?;
        Ok(done == 1)
    }

    /// Lists senders of all organizations that were released before `before`, oldest first.
    pub async fn list_released_senders(&self, before: Timestamp, limit: u32) -> Result<Vec<Sender>, StoreError> {
        const SQL: &str =
            select!("WHERE released_at IS NOT NULL AND released_at <= $1 ORDER BY released_at, id LIMIT $2");
        let rows: Vec<SenderRow> = on_reader!(self, |db| sqlx::query_as(SQL)
            .bind(before)
            .bind(i64::from(limit))
            .fetch_all(db)
            .await)?;
        rows.into_iter().map(Sender::try_from).collect()
    }

    /// Deletes a released sender with its windows and bindings. Returns whether it was released.
    pub async fn delete_released_sender(&self, id: &ChannelId) -> Result<bool, StoreError> {
        const WINDOWS: &str = "DELETE FROM inbound_windows WHERE channel_id = $1";
        const BINDINGS: &str = "DELETE FROM sender_bindings WHERE channel_id = $1";
        const SENDER: &str = "DELETE FROM channels WHERE id = $1 AND released_at IS NOT NULL";
        with_timeout(async {
            let mut tx = self.begin().await?;
            for sql in [WINDOWS, BINDINGS] {
                in_tx!(&mut tx, |db| sqlx::query(sql)
                    .bind(id.as_str())
                    .execute(db)
                    .await
                    .map(drop))?;
            }
            let deleted = in_tx!(&mut tx, |db| sqlx::query(SENDER)
                .bind(id.as_str())
                .execute(db)
                .await?
                .rows_affected());
            if deleted == 1 {
                tx.commit().await?;
            }
            Ok(deleted == 1)
        })
        .await
    }

    /// Lists the organization's pool on a channel, with the agent that each sender serves for the contact. Bindings that were
    /// last used before `expired` do not count.
    pub async fn list_pool(
        &self,
        org: &OrgId,
        channel: Channel,
        contact: &str,
        expired: Timestamp,
    ) -> Result<Vec<Candidate>, StoreError> {
        const SQL: &str = "SELECT c.id, c.address, c.country, c.account_id, c.status, c.blocks_outbound,
                (SELECT p.version FROM provider_accounts p WHERE p.id = c.account_id) AS account_version,
                (SELECT b.agent_id FROM sender_bindings b WHERE b.channel_id = c.id AND b.contact = $3 AND b.used_at > $4)
                    AS bound_to
            FROM channels c WHERE c.org_id = $1 AND c.channel = $2 AND c.agent_id IS NULL AND c.released_at IS NULL
            ORDER BY c.id";
        let rows: Vec<CandidateRow> = on_reader!(self, |db| sqlx::query_as(SQL)
            .bind(org.as_str())
            .bind(channel.as_str())
            .bind(contact)
            .bind(expired)
            .fetch_all(db)
            .await)?;
        let candidate = |row: CandidateRow| Candidate {
            id: row.id.into(),
            address: row.address,
            country: row.country,
            account: row.account_id.map(ProviderAccountId::from).zip(row.account_version),
            is_pooled: true,
            is_primary: false,
            is_paused: row.status == "paused" || row.blocks_outbound,
            bound_to: row.bound_to.map(AgentId::from),
        };
        Ok(rows.into_iter().map(candidate).collect())
    }

    /// Binds a sender of the pool to an agent for a contact, or renews the binding. Returns false if it serves another agent;
    /// bindings that were last used before `expired` do not count.
    pub async fn bind_sender(
        &self,
        sender: &ChannelId,
        contact: &str,
        (org, agent): (&OrgId, &AgentId),
        now: Timestamp,
        expired: Timestamp,
    ) -> Result<bool, StoreError> {
        const SQL: &str = "INSERT INTO sender_bindings (channel_id, contact, org_id, agent_id, used_at)
            VALUES ($1, $2, $3, $4, $5)
            ON CONFLICT (channel_id, contact) DO UPDATE SET agent_id = excluded.agent_id, used_at = excluded.used_at
            WHERE sender_bindings.agent_id = excluded.agent_id OR sender_bindings.used_at <= $6";
        let done = on_writer!(self, |db| sqlx::query(SQL)
            .bind(sender.as_str())
            .bind(contact)
            .bind(org.as_str())
            .bind(agent.as_str())
            .bind(now)
            .bind(expired)
            .execute(db)
            .await
            .map(|done| done.rows_affected()))?;
        Ok(done == 1)
    }

    /// Finds the account of the sender with this address; `None`: the installation's account, or no such sender.
    pub async fn find_sender_account(
        &self,
        channel: Channel,
        address: &str,
    ) -> Result<Option<ProviderAccountId>, StoreError> {
        const SQL: &str = "SELECT account_id FROM channels WHERE channel = $1 AND address = $2";
        let found: Option<Option<String>> = on_reader!(self, |db| sqlx::query_scalar(SQL)
            .bind(channel.as_str())
            .bind(address)
            .fetch_optional(db)
            .await)?;
        Ok(found.flatten().map(ProviderAccountId::from))
    }

    /// Returns the modes that are set for the organization, and for the agent in it.
    pub async fn find_sender_modes(&self, org: &OrgId, agent: Option<&AgentId>) -> Result<SenderModes, StoreError> {
        const SQL: &str = "SELECT coalesce((SELECT a.identity_mode FROM agents a WHERE a.id = $2 AND a.org_id = $1),
                o.identity_mode), o.isolation_mode FROM organizations o WHERE o.id = $1";
        let found: Option<(Option<String>, Option<String>)> = on_reader!(self, |db| sqlx::query_as(SQL)
            .bind(org.as_str())
            .bind(agent.map(AgentId::as_str))
            .fetch_optional(db)
            .await)?;
        let (identity, isolation) = found.unwrap_or_default();
        Ok(SenderModes {
            identity: identity.and_then(|text| text.parse().ok()),
            isolation: isolation.and_then(|text| text.parse().ok()),
        })
    }

    /// Sets the modes of an organization. `None` leaves a mode as it is.
    pub async fn set_sender_modes(&self, org: &OrgId, modes: SenderModes) -> Result<(), StoreError> {
        const SQL: &str = "UPDATE organizations SET identity_mode = coalesce($2, identity_mode),
            isolation_mode = coalesce($3, isolation_mode) WHERE id = $1";
        on_writer!(self, |db| sqlx::query(SQL)
            .bind(org.as_str())
            .bind(modes.identity.map(<&str>::from))
            .bind(modes.isolation.map(<&str>::from))
            .execute(db)
            .await
            .map(drop))?;
        Ok(())
    }

    /// Sets who an agent of the organization sends as.
    pub async fn set_agent_identity(&self, org: &OrgId, agent: &AgentId, mode: IdentityMode) -> Result<(), StoreError> {
        const SQL: &str = "UPDATE agents SET identity_mode = $3 WHERE org_id = $1 AND id = $2";
        on_writer!(self, |db| sqlx::query(SQL)
            .bind(org.as_str())
            .bind(agent.as_str())
            .bind(<&str>::from(mode))
            .execute(db)
            .await
            .map(drop))?;
        Ok(())
    }

    /// Returns how many agents the organization has, and how many it may have. `None`: no limit.
    pub async fn find_agent_quota(&self, org: &OrgId) -> Result<(u32, Option<u32>), StoreError> {
        const SQL: &str =
            "SELECT (SELECT COUNT(*) FROM agents WHERE org_id = $1), max_agents FROM organizations WHERE id = $1";
        let found: Option<(i64, Option<i64>)> = on_reader!(self, |db| sqlx::query_as(SQL)
            .bind(org.as_str())
            .fetch_optional(db)
            .await)?;
        let (count, max) = found.unwrap_or_default();
        let number = |value: i64| u32::try_from(value).unwrap_or(u32::MAX);
        Ok((number(count), max.map(number)))
    }

    /// Sets how many agents the organization may have.
    pub async fn set_agent_quota(&self, org: &OrgId, max: u32) -> Result<(), StoreError> {
        const SQL: &str = "UPDATE organizations SET max_agents = $2 WHERE id = $1";
        on_writer!(self, |db| sqlx::query(SQL)
            .bind(org.as_str())
            .bind(i64::from(max))
            .execute(db)
            .await
            .map(drop))?;
        Ok(())
    }
}
