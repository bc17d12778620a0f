//! Accounts of organizations at vendors, with their encrypted credentials.

use butt_dial_domain::{AgentId, OrgId, ProviderAccountId, clock::Timestamp};

use crate::{
    Change, Store, StoreError,
    change::on_change,
    column::text_column,
    engine::{on_reader, on_writer},
};

/// Whether an account is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::Display, strum::EnumString, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum AccountStatus {
    /// Stored without a check; not used.
    Unverified,
    Active,
    /// The vendor refuses the credentials. Sends are tried, so that the account recovers.
    Failing,
    Suspended,
    Closed,
}

text_column!(AccountStatus, "provider_accounts", "status");

/// A stored account.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct ProviderAccount {
    #[sqlx(try_from = "String")]
    pub id: ProviderAccountId,
    #[sqlx(try_from = "String")]
    pub org_id: OrgId,
    pub agent_id: Option<String>,
    pub vendor: String,
    /// The vendor's own id of the account.
    pub external_id: String,
    pub label: String,
    /// Encrypted.
    pub credentials: Vec<u8>,
    pub version: i64,
    pub status: AccountStatus,
    /// Why it is failing, without a secret.
    pub failure: Option<String>,
    pub is_subaccount: bool,
    pub checked_at: Option<Timestamp>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// An account to store.
pub struct NewProviderAccount<'a> {
    pub id: &'a ProviderAccountId,
    pub org: &'a OrgId,
    pub agent: Option<&'a AgentId>,
    pub vendor: &'a str,
    pub external_id: &'a str,
    pub label: &'a str,
    pub credentials: &'a [u8],
    pub status: AccountStatus,
    pub is_subaccount: bool,
}

impl Store {
    /// Notes that the vendor accepts the account. Returns whether it was failing.
    pub async fn note_working_account(&self, id: &ProviderAccountId, now: Timestamp) -> Result<bool, StoreError> {
        const SQL: &str = "UPDATE provider_accounts SET status = 'active', failure = NULL, checked_at = $2,
            updated_at = $2, version = version + 1 WHERE id = $1 AND status = 'failing'";
        let done = on_writer!(self, |db| {
            sqlx::query(SQL)
                .bind(id.as_str())
                .bind(now)
                .execute(db)
                .await
                .map(|done| done.rows_affected())
        })?;
        Ok(done == 1)
    }

    pub async fn find_provider_account(&self, id: &ProviderAccountId) -> Result<Option<ProviderAccount>, StoreError> {
        const SQL: &str =
            "SELECT id, org_id, agent_id, vendor, external_id, label, credentials, version, status, failure,
                is_subaccount, checked_at, created_at, updated_at
                FROM provider_accounts WHERE id = $1";
        Ok(on_reader!(self, |db| sqlx::query_as(SQL)
            .bind(id.as_str())
            .fetch_optional(db)
            .await)?)
    }

    /// Lists the organization's accounts, oldest first.
    pub async fn list_provider_accounts(&self, org: &OrgId) -> Result<Vec<ProviderAccount>, StoreError> {
        const SQL: &str = "SELECT id, org_id, agent_id, vendor, external_id, label, credentials, version, status,
            failure, is_subaccount, checked_at, created_at, updated_at
            FROM provider_accounts WHERE org_id = $1 ORDER BY created_at, id";
        Ok(on_reader!(self, |db| sqlx::query_as(SQL)
            .bind(org.as_str())
            .fetch_all(db)
            .await)?)
    }

    /// Lists accounts of all organizations that are failing, those first that were checked longest ago.
    pub async fn list_failing_accounts(&self, limit: u32) -> Result<Vec<ProviderAccount>, StoreError> {
        const SQL: &str = "SELECT id, org_id, agent_id, vendor, external_id, label, credentials, version, status,
            failure, is_subaccount, checked_at, created_at, updated_at
            FROM provider_accounts WHERE status = 'failing' ORDER BY checked_at, id LIMIT $1";
        Ok(on_reader!(self, |db| sqlx::query_as(SQL)
            .bind(i64::from(limit))
            .fetch_all(db)
            .await)?)
    }

    /// Lists subaccounts that are in use although their organization is suspended, and suspended ones of active organizations, in the
    /// order of their ids, after an id.
    pub async fn list_unaligned_subaccounts(
        &self,
        after: &str,
        limit: u32,
    ) -> Result<Vec<ProviderAccount>, StoreError> {
        const SQL: &str =
            "SELECT a.id, a.org_id, a.agent_id, a.vendor, a.external_id, a.label, a.credentials, a.version,
                a.status, a.failure, a.is_subaccount, a.checked_at, a.created_at, a.updated_at
            FROM organizations o JOIN provider_accounts a ON a.org_id = o.id
            WHERE o.status = 'suspended' AND a.is_subaccount AND a.status IN ('active', 'failing') AND a.id > $1
            UNION ALL
            SELECT a.id, a.org_id, a.agent_id, a.vendor, a.external_id, a.label, a.credentials, a.version,
                a.status, a.failure, a.is_subaccount, a.checked_at, a.created_at, a.updated_at
            FROM provider_accounts a
            WHERE a.status = 'suspended' AND a.is_subaccount AND a.id > $1
                AND (SELECT o.status FROM organizations o WHERE o.id = a.org_id) = 'active'
            ORDER BY id LIMIT $2";
        Ok(on_reader!(self, |db| sqlx::query_as(SQL)
            .bind(after)
            .bind(i64::from(limit))
            .fetch_all(db)
            .await)?)
    }

    /// Lists the accounts of all organizations with this id of the vendor, except closed ones: several organizations can have
    /// registered one account of a vendor.
    pub async fn list_accounts_by_external_id(
        &self,
        vendor: &str,
        external_id: &str,
    ) -> Result<Vec<ProviderAccount>, StoreError> {
        const SQL: &str =
            "SELECT id, org_id, agent_id, vendor, external_id, label, credentials, version, status, failure,
                is_subaccount, checked_at, created_at, updated_at
                FROM provider_accounts WHERE vendor = $1 AND external_id = $2 AND status <> 'closed'
                ORDER BY created_at, id LIMIT 10";
        Ok(on_reader!(self, |db| sqlx::query_as(SQL)
            .bind(vendor)
            .bind(external_id)
            .fetch_all(db)
            .await)?)
    }
}

impl Change {
    /// Stores an account. Fails with `Conflict` if the organization has registered this account of the vendor.
    pub async fn create_provider_account(
        &self,
        account: &NewProviderAccount<'_>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        const SQL: &str =
            "INSERT INTO provider_accounts (id, org_id, agent_id, vendor, external_id, label, credentials,
                version, status, is_subaccount, checked_at, created_at, updated_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7, 1, $10, $8, $9, $9, $9)";
        on_change!(self, |db| {
            sqlx::query(SQL)
                .bind(account.id.as_str())
                .bind(account.org.as_str())
                .bind(account.agent.map(AgentId::as_str))
                .bind(account.vendor)
                .bind(account.external_id)
                .bind(account.label)
                .bind(account.credentials)
                .bind(account.is_subaccount)
                .bind(now)
                .bind(<&str>::from(account.status))
                .execute(db)
                .await
                .map(|done| done.rows_affected())
        })?;
        Ok(())
    }

    /// Replaces the credentials, if the account still has the version that the caller read. Returns whether it had.
    pub async fn replace_credentials(
        &self,
        id: &ProviderAccountId,
        version: i64,
        credentials: &[u8],
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        const SQL: &str = "UPDATE provider_accounts SET credentials = $3, version = version + 1, status = 'active',
            failure = NULL, checked_at = $4, updated_at = $4 WHERE id = $1 AND version = $2";
        let done = on_change!(self, |db| {
            sqlx::query(SQL)
                .bind(id.as_str())
                .bind(version)
                .bind(credentials)
                .bind(now)
                .execute(db)
                .await
                .map(|done| done.rows_affected())
        })?;
        Ok(done == 1)
    }

    /// Sets the status of an account, with the reason of a failure. Returns whether it changed.
    pub async fn set_account_status(
        &self,
        id: &ProviderAccountId,
        status: AccountStatus,
        failure: Option<&str>,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        const SQL: &str = "UPDATE provider_accounts SET status = $2, failure = $3, checked_at = $4, updated_at = $4,
            version = version + 1 WHERE id = $1 AND status <> $2 AND status <> 'closed'";
        let done = on_change!(self, |db| {
            sqlx::query(SQL)
                .bind(id.as_str())
                .bind(<&str>::from(status))
                .bind(failure)
                .bind(now)
                .execute(db)
                .await
                .map(|done| done.rows_affected())
        })?;
        Ok(done == 1)
    }

    /// Deletes an account without senders, orders and registrations. Returns whether it did.
    pub async fn delete_provider_account(&self, org: &OrgId, id: &ProviderAccountId) -> Result<bool, StoreError> {
        const SQL: &str = "DELETE FROM provider_accounts WHERE org_id = $1 AND id = $2
            AND NOT EXISTS (SELECT 1 FROM channels WHERE account_id = $2)
            AND NOT EXISTS (SELECT 1 FROM sender_orders WHERE account_id = $2)
            AND NOT EXISTS (SELECT 1 FROM number_registrations WHERE account_id = $2)";
        let done = on_change!(self, |db| {
            sqlx::query(SQL)
                .bind(org.as_str())
                .bind(id.as_str())
                .execute(db)
                .await
                .map(|done| done.rows_affected())
        })?;
        Ok(done == 1)
    }
}
