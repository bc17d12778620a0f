//! Registrations of US numbers at vendors. Each is stored before its request, and a sweep continues it: a process that dies leaves it
//! to the next one.

use butt_dial_domain::{
    ChannelId, NumberRegistrationId, OrgId, ProviderAccountId, clock::Timestamp, ports::registrations::RegistrationKind,
};

use crate::{
    Sender, Store, StoreError,
    column::text_column,
    engine::{Sql, on_reader, on_writer},
    senders::SenderRow,
};

/// How far a registration is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::Display, strum::EnumString, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum ReviewStatus {
    /// The vendor may not have it yet.
    Submitting,
    Pending,
    InReview,
    Approved,
    Failed,
}

text_column!(ReviewStatus, "number_registrations", "state");

/// A stored registration.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct NumberRegistration {
    #[sqlx(try_from = "String")]
    pub id: NumberRegistrationId,
    #[sqlx(try_from = "String")]
    pub org_id: OrgId,
    pub account_id: Option<String>,
    #[sqlx(try_from = "String")]
    pub kind: RegistrationKind,
    /// The account, or the number of a toll-free verification: each is registered once.
    pub subject: String,
    pub state: ReviewStatus,
    /// The vendor's id.
    pub external_id: Option<String>,
    /// The vendor's id of the messaging service of a campaign.
    pub service_id: Option<String>,
    pub failure: Option<String>,
    /// Encrypted.
    pub data: Vec<u8>,
    /// Claims of the sweep.
    pub attempts: i64,
    pub check_at: Option<Timestamp>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

impl NumberRegistration {
    pub fn account(&self) -> Option<ProviderAccountId> {
        self.account_id.as_deref().map(ProviderAccountId::from)
    }
}

impl Store {
    /// Stores a registration. Fails with `Conflict` if the organization has one of the same subject.
    pub async fn create_number_registration(&self, new: &NumberRegistration) -> Result<(), StoreError> {
        const SQL: &str =
            "INSERT INTO number_registrations (id, org_id, account_id, kind, subject, state, service_id, data,
                attempts, check_at, created_at, updated_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11)";
        on_writer!(self, |db| sqlx::query(SQL)
            .bind(new.id.as_str())
            .bind(new.org_id.as_str())
            .bind(new.account_id.as_deref())
            .bind(<&str>::from(new.kind))
            .bind(&new.subject)
            .bind(<&str>::from(new.state))
            .bind(new.service_id.as_deref())
            .bind(&new.data)
            .bind(new.attempts)
            .bind(new.check_at)
            .bind(new.created_at)
            .execute(db)
            .await
            .map(drop))?;
        Ok(())
    }

    /// Stores the progress of a registration. Returns false if it is gone, or if another process has claimed it meanwhile: `attempts`
    /// is then another one.
    pub async fn update_number_registration(
        &self,
        changed: &NumberRegistration,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        const SQL: &str = "UPDATE number_registrations SET state = $2, external_id = $3, service_id = $4, failure = $5,
            data = $6, check_at = $7, updated_at = $8 WHERE id = $1 AND attempts = $9";
        let done = on_writer!(self, |db| sqlx::query(SQL)
            .bind(changed.id.as_str())
            .bind(<&str>::from(changed.state))
            .bind(changed.external_id.as_deref())
            .bind(changed.service_id.as_deref())
            .bind(changed.failure.as_deref())
            .bind(&changed.data)
            .bind(changed.check_at)
            .bind(now)
            .bind(changed.attempts)
            .execute(db)
            .await
            .map(|done| done.rows_affected()))?;
        Ok(done == 1)
    }

    /// Claims registrations of all organizations that are due, until `lease_until`. If this process dies, another one claims them
    /// after that.
    pub async fn claim_number_registrations(
        &self,
        limit: u32,
        now: Timestamp,
        lease_until: Timestamp,
    ) -> Result<Vec<NumberRegistration>, StoreError> {
        const SQL: Sql = Sql {
            postgres: "UPDATE number_registrations SET check_at = $2, attempts = attempts + 1
                WHERE id IN (SELECT id FROM number_registrations WHERE check_at <= $1 ORDER BY check_at LIMIT $3
                    FOR UPDATE SKIP LOCKED)
                RETURNING id, org_id, account_id, kind, subject, state, external_id, service_id, failure, data, attempts,
                    check_at, created_at, updated_at",
            sqlite: "UPDATE number_registrations SET check_at = $2, attempts = attempts + 1
                WHERE id IN (SELECT id FROM number_registrations WHERE check_at <= $1 ORDER BY check_at LIMIT $3)
                RETURNING id, org_id, account_id, kind, subject, state, external_id, service_id, failure, data, attempts,
                    check_at, created_at, updated_at",
        };
        let sql = self.sql(SQL);
        Ok(on_writer!(self, |db| sqlx::query_as(sql)
            .bind(now)
            .bind(lease_until)
            .bind(i64::from(limit))
            .fetch_all(db)
            .await)?)
    }

    /// Lists the organization's registrations, oldest first.
    pub async fn list_number_registrations(&self, org: &OrgId) -> Result<Vec<NumberRegistration>, StoreError> {
        const SQL: &str = "SELECT id, org_id, account_id, kind, subject, state, external_id, service_id, failure,
            data, attempts, check_at, created_at, updated_at
            FROM number_registrations WHERE org_id = $1 ORDER BY created_at, id";
        Ok(on_reader!(self, |db| sqlx::query_as(SQL)
            .bind(org.as_str())
            .fetch_all(db)
            .await)?)
    }

    /// Finds a registration of the organization.
    pub async fn find_number_registration(
        &self,
        org: &OrgId,
        id: &NumberRegistrationId,
    ) -> Result<Option<NumberRegistration>, StoreError> {
        const SQL: &str = "SELECT id, org_id, account_id, kind, subject, state, external_id, service_id, failure,
            data, attempts, check_at, created_at, updated_at
            FROM number_registrations WHERE org_id = $1 AND id = $2";
        Ok(on_reader!(self, |db| sqlx::query_as(SQL)
            .bind(org.as_str())
            .bind(id.as_str())
            .fetch_optional(db)
            .await)?)
    }

    /// Deletes a registration that no process has claimed since it was read. Returns whether it did.
    pub async fn delete_number_registration(&self, read: &NumberRegistration) -> Result<bool, StoreError> {
        const SQL: &str = "DELETE FROM number_registrations WHERE id = $1 AND attempts = $2";
        let done = on_writer!(self, |db| sqlx::query(SQL)
            .bind(read.id.as_str())
            .bind(read.attempts)
            .execute(db)
            .await
            .map(|done| done.rows_affected()))?;
        Ok(done == 1)
    }

    /// Deletes the verification of a toll-free number that the organization has returned to its vendor.
    pub async fn forget_returned_number(&self, org: &OrgId, number_id: &str) -> Result<(), StoreError> {
        const SQL: &str = "DELETE FROM number_registrations WHERE org_id = $1 AND kind = 'tollfree' AND subject = $2";
        on_writer!(self, |db| sqlx::query(SQL)
            .bind(org.as_str())
            .bind(number_id)
            .execute(db)
            .await
            .map(drop))?;
        Ok(())
    }

    /// Lists senders of the organization and account that wait for the registration of their number, released ones left out.
    pub async fn list_unregistered_senders(
        &self,
        org: &OrgId,
        account: Option<&ProviderAccountId>,
    ) -> Result<Vec<Sender>, StoreError> {
        const SQL: Sql = Sql {
            postgres: "SELECT id, org_id, agent_id, channel, address, status, label, is_primary, account_id,
                number_id, country, registration_id, registration, us_registration, created_at, released_at
                FROM channels WHERE org_id = $1 AND account_id IS NOT DISTINCT FROM $2 AND us_registration = 'needed'
                AND released_at IS NULL ORDER BY created_at, id",
            sqlite: "SELECT id, org_id, agent_id, channel, address, status, label, is_primary, account_id, number_id,
                country, registration_id, registration, us_registration, created_at, released_at
                FROM channels WHERE org_id = $1 AND account_id IS $2 AND us_registration = 'needed'
                AND released_at IS NULL ORDER BY created_at, id",
        };
        let sql = self.sql(SQL);
        let rows: Vec<SenderRow> = on_reader!(self, |db| sqlx::query_as(sql)
            .bind(org.as_str())
            .bind(account.map(ProviderAccountId::as_str))
            .fetch_all(db)
            .await)?;
        rows.into_iter().map(Sender::try_from).collect()
    }

    /// Lists the bought numbers of the organization, each as a sender of texts, released ones left out.
    pub async fn list_bought_senders(&self, org: &OrgId) -> Result<Vec<Sender>, StoreError> {
        const SQL: &str = "SELECT id, org_id, agent_id, channel, address, status, label, is_primary, account_id,
            number_id, country, registration_id, registration, us_registration, created_at, released_at
            FROM channels WHERE org_id = $1 AND channel = 'sms' AND number_id IS NOT NULL AND released_at IS NULL
            ORDER BY created_at, id";
        let rows: Vec<SenderRow> = on_reader!(self, |db| sqlx::query_as(SQL).bind(org.as_str()).fetch_all(db).await)?;
        rows.into_iter().map(Sender::try_from).collect()
    }

    /// Lets the sweep look at the organization's approved registrations now, because it has a new number.
    pub async fn hasten_approved_registrations(&self, org: &OrgId, now: Timestamp) -> Result<(), StoreError> {
        const SQL: &str = "UPDATE number_registrations SET check_at = $2
            WHERE org_id = $1 AND state = 'approved' AND check_at > $2";
        on_writer!(self, |db| sqlx::query(SQL)
            .bind(org.as_str())
            .bind(now)
            .execute(db)
            .await
            .map(drop))?;
        Ok(())
    }

    /// Stores whether the number of a sender is registered. Returns whether that is new.
    pub async fn set_us_registration(&self, id: &ChannelId, is_done: bool) -> Result<bool, StoreError> {
        const SQL: &str = "UPDATE channels SET us_registration = $2 WHERE id = $1 AND us_registration IS NOT NULL AND us_registration <> $2";
        let done = on_writer!(self, |db| sqlx::query(SQL)
            .bind(id.as_str())
            .bind(if is_done { "done" } else { "needed" })
            .execute(db)
            .await
            .map(|done| done.rows_affected()))?;
        Ok(done == 1)
    }
}
