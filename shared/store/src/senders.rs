//! Senders: the rows of `channels` as an administrator sees them.

use butt_dial_domain::{AgentId, Channel, ChannelId, Micros, OrgId, ProviderAccountId, clock::Timestamp};
use chrono::Months;

use crate::{
    AuditEntry, Change, Store, StoreError,
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
    /// Whether a bought US number is registered for texts in the US. `None`: it needs no registration, or its owner did it.
    pub is_us_registered: Option<bool>,
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
pub(crate) struct SenderRow {
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
    us_registration: Option<String>,
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
            is_us_registered: row.us_registration.map(|state| state == "done"),
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

impl NewSender<'_> {
    /// Numbers that were bought here and send texts in the US are registered by this program.
    fn needs_us_registration(&self) -> bool {
        self.channel == Channel::Sms && self.number_id.is_some() && self.country == Some("US")
    }
}

/// A change of a sender. `None` leaves a value as it is.
#[derive(Clone, Copy, Default)]
pub struct SenderChange<'a> {
    pub label: Option<&'a str>,
    pub paused: Option<bool>,
    pub primary: Option<bool>,
}

impl Store {
    /// Lists the senders of an agent, or of the pool without one, released ones left out, oldest first.
    pub async fn list_senders(&self, org: &OrgId, agent: Option<&AgentId>) -> Result<Vec<Sender>, StoreError> {
        const SQL: Sql = Sql {
            postgres: "SELECT id, org_id, agent_id, channel, address, status, label, is_primary, account_id,
                number_id, country, registration_id, registration, us_registration, created_at, released_at
                FROM channels WHERE org_id = $1 AND agent_id IS NOT DISTINCT FROM $2 AND released_at IS NULL
                ORDER BY created_at, id",
            sqlite: "SELECT id, org_id, agent_id, channel, address, status, label, is_primary, account_id, number_id,
                country, registration_id, registration, us_registration, created_at, released_at
                FROM channels WHERE org_id = $1 AND agent_id IS $2 AND released_at IS NULL ORDER BY created_at, id",
        };
        let sql = self.sql(SQL);
        let rows: Vec<SenderRow> = on_reader!(self, |db| sqlx::query_as(sql)
            .bind(org.as_str())
            .bind(agent.map(AgentId::as_str))
            .fetch_all(db)
            .await)?;
        rows.into_iter().map(Sender::try_from).collect()
    }

    /// Lists up to `limit` senders of an organization, of its agents and of its pool, released ones left out, oldest first.
    pub async fn list_senders_of_org(&self, org: &OrgId, limit: u32) -> Result<Vec<Sender>, StoreError> {
        const SQL: &str = "SELECT id, org_id, agent_id, channel, address, status, label, is_primary, account_id,
            number_id, country, registration_id, registration, us_registration, created_at, released_at
            FROM channels WHERE org_id = $1 AND released_at IS NULL ORDER BY created_at, id LIMIT $2";
        let rows: Vec<SenderRow> = on_reader!(self, |db| sqlx::query_as(SQL)
            .bind(org.as_str())
            .bind(i64::from(limit))
            .fetch_all(db)
            .await)?;
        rows.into_iter().map(Sender::try_from).collect()
    }

    /// Finds a sender of the organization by its id, released ones included.
    pub async fn find_sender(&self, org: &OrgId, id: &ChannelId) -> Result<Option<Sender>, StoreError> {
        const SQL: &str = "SELECT id, org_id, agent_id, channel, address, status, label, is_primary, account_id,
            number_id, country, registration_id, registration, us_registration, created_at, released_at
            FROM channels WHERE org_id = $1 AND id = $2";
        let row: Option<SenderRow> = on_reader!(self, |db| sqlx::query_as(SQL)
            .bind(org.as_str())
            .bind(id.as_str())
            .fetch_optional(db)
            .await)?;
        row.map(Sender::try_from).transpose()
    }

    /// Lists the organization's senders with this address on any channel, released ones included.
    pub async fn list_senders_by_address(&self, org: &OrgId, address: &str) -> Result<Vec<Sender>, StoreError> {
        const SQL: &str = "SELECT id, org_id, agent_id, channel, address, status, label, is_primary, account_id,
            number_id, country, registration_id, registration, us_registration, created_at, released_at
            FROM channels WHERE org_id = $1 AND address = $2 ORDER BY channel";
        let rows: Vec<SenderRow> = on_reader!(self, |db| sqlx::query_as(SQL)
            .bind(org.as_str())
            .bind(address)
            .fetch_all(db)
            .await)?;
        rows.into_iter().map(Sender::try_from).collect()
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

    /// Lists senders of all organizations with a pending registration, oldest first.
    pub async fn list_registering_senders(&self, limit: u32) -> Result<Vec<Sender>, StoreError> {
        const SQL: &str =
            "SELECT id, org_id, agent_id, channel, address, status, label, is_primary, account_id, number_id, country,
                registration_id, registration, us_registration, created_at, released_at
                FROM channels WHERE registration = 'pending' AND released_at IS NULL ORDER BY created_at, id LIMIT $1";
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

    /// Finds the organization that has senders in a mail domain, with the vendor's id of the domain and the account.
    pub async fn find_mail_domain(&self, domain: &str) -> Result<Option<Sender>, StoreError> {
        const SQL: &str = "SELECT id, org_id, agent_id, channel, address, status, label, is_primary, account_id,
            number_id, country, registration_id, registration, us_registration, created_at, released_at
            FROM channels WHERE channel = 'email' AND address LIKE '%@' || $1 AND registration_id IS NOT NULL
            ORDER BY id LIMIT 1";
        let row: Option<SenderRow> = on_reader!(self, |db| sqlx::query_as(SQL).bind(domain).fetch_optional(db).await)?;
        row.map(Sender::try_from).transpose()
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
}

impl Change {
    /// Stores senders, all or none. The first sender of an agent on a channel becomes its primary one. Fails with `Conflict`
    /// if an address has an owner.
    pub async fn create_senders(
        &self,
        senders: &[NewSender<'_>],
        now: Timestamp,
    ) -> Result<Vec<ChannelId>, StoreError> {
        // The first month is charged with the purchase.
        let first_month_end = now.checked_add_months(Months::new(1));
        const SQL: &str =
            "INSERT INTO channels (id, org_id, agent_id, channel, address, status, created_at, label, account_id,
                number_id, country, monthly_price, registration_id, registration, rent_paid_until,
                us_registration, is_primary)
            VALUES ($1, $2, $3, $4, $5, $12, $6, $7, $8, $9, $10, $11, $13, $14, $15, $16,
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
                    .bind(sender.monthly_price.and(first_month_end))
                    .bind(sender.needs_us_registration().then_some("needed"))
                    .execute(db)
                    .await
                    .map(drop))?;
                ids.push(id);
            }
            let name = |entry: &mut AuditEntry| {
                entry.note("senders", ids.iter().map(ChannelId::as_str).collect::<Vec<_>>());
                if let Some(first) = ids.first().filter(|_| entry.target.is_empty()) {
                    entry.target = first.to_string();
                }
            };
            self.commit_with(tx, name).await?;
            Ok(ids)
        })
        .await
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
            if changed > 0 {
                self.commit(tx).await?;
            }
            Ok(changed > 0)
        })
        .await
    }
}
