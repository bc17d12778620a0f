//! Passkeys of people who sign in to the console. Only public keys are stored.

use butt_dial_domain::{OrgId, clock::Timestamp};

use crate::{
    Change, Store, StoreError,
    engine::{Tx, in_tx, on_reader, on_writer, with_timeout},
};

/// A passkey to store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewPasskey {
    /// Base64url.
    pub credential_id: String,
    /// The name of the person towards authenticators, in base64url.
    pub user_handle: String,
    /// The host that the browser has bound it to.
    pub rp_id: String,
    pub name: String,
    /// COSE, in base64url.
    pub public_key: String,
    pub sign_count: i64,
    pub is_backup_eligible: bool,
    pub is_backed_up: bool,
    /// Separated by commas.
    pub transports: String,
}

/// A passkey of a person.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Passkey {
    pub credential_id: String,
    pub user_id: String,
    pub user_handle: String,
    pub rp_id: String,
    pub name: String,
    pub public_key: String,
    pub sign_count: i64,
    pub is_backup_eligible: bool,
    pub is_backed_up: bool,
    pub transports: String,
    pub created_at: Timestamp,
    pub last_used_at: Option<Timestamp>,
}

/// The result of a removal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PasskeyRemoval {
    Removed,
    /// The person has no such passkey.
    Unknown,
    /// The person would have no way in. No row has changed.
    LastWayIn,
    /// Another organization relies on it too. No row has changed.
    OfOthersToo,
}

/// Stores a passkey as part of a transaction. Fails with `Conflict` when any person has one with this id.
pub(crate) async fn insert_in(
    tx: &mut Tx,
    user: &str,
    passkey: &NewPasskey,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    const SQL: &str = "INSERT INTO console_passkeys (credential_id, user_id, user_handle, rp_id, name, public_key,
            sign_count, is_backup_eligible, is_backed_up, transports, created_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
    in_tx!(tx, |db| sqlx::query(SQL)
        .bind(&passkey.credential_id)
        .bind(user)
        .bind(&passkey.user_handle)
        .bind(&passkey.rp_id)
        .bind(&passkey.name)
        .bind(&passkey.public_key)
        .bind(passkey.sign_count)
        .bind(passkey.is_backup_eligible)
        .bind(passkey.is_backed_up)
        .bind(&passkey.transports)
        .bind(now)
        .execute(db)
        .await
        .map(drop))
}

/// Locks the row of a person until the end of the transaction, so that two removals do not leave the person without a way in.
async fn lock_in(tx: &mut Tx, user: &str) -> Result<(), sqlx::Error> {
    const SQL: &str = "UPDATE console_users SET updated_at = updated_at WHERE user_id = $1";
    in_tx!(tx, |db| sqlx::query(SQL).bind(user).execute(db).await.map(drop))
}

/// Removes a passkey as part of a transaction. Anything but `Removed` must not be committed.
async fn remove_in(tx: &mut Tx, user: &str, credential_id: &str, rp_id: &str) -> Result<PasskeyRemoval, sqlx::Error> {
    const DELETE: &str = "DELETE FROM console_passkeys WHERE user_id = $1 AND credential_id = $2";
    const WAYS: &str = "SELECT EXISTS (SELECT 1 FROM console_users WHERE user_id = $1 AND password_hash <> '')
        OR EXISTS (SELECT 1 FROM console_passkeys WHERE user_id = $1 AND rp_id = $2)";
    lock_in(tx, user).await?;
    let removed = in_tx!(tx, |db| sqlx::query(DELETE)
        .bind(user)
        .bind(credential_id)
        .execute(db)
        .await?
        .rows_affected());
    if removed == 0 {
        return Ok(PasskeyRemoval::Unknown);
    }
    let is_left: bool = in_tx!(tx, |db| sqlx::query_scalar(WAYS)
        .bind(user)
        .bind(rp_id)
        .fetch_one(db)
        .await?);
    Ok(match is_left {
        true => PasskeyRemoval::Removed,
        false => PasskeyRemoval::LastWayIn,
    })
}

impl Store {
    /// Stores a further passkey of a person. Returns false, and stores nothing, when the person has `limit` already. Fails with
    /// `Conflict` when any person has one with this id.
    pub async fn add_passkey(
        &self,
        user: &str,
        passkey: &NewPasskey,
        limit: u32,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        const COUNT: &str = "SELECT COUNT(*) FROM console_passkeys WHERE user_id = $1";
        with_timeout(async {
            let mut tx = self.begin().await?;
            lock_in(&mut tx, user).await?;
            let count: i64 = in_tx!(&mut tx, |db| sqlx::query_scalar(COUNT).bind(user).fetch_one(db).await?);
            if count >= i64::from(limit) {
                return Ok(false);
            }
            insert_in(&mut tx, user, passkey, now).await?;
            tx.commit().await?;
            Ok(true)
        })
        .await
    }

    /// Finds a passkey of any person.
    pub async fn find_passkey(&self, credential_id: &str) -> Result<Option<Passkey>, StoreError> {
        const SQL: &str = "SELECT credential_id, user_id, user_handle, rp_id, name, public_key, sign_count,
                is_backup_eligible, is_backed_up, transports, created_at, last_used_at
            FROM console_passkeys WHERE credential_id = $1";
        Ok(on_reader!(self, |db| sqlx::query_as(SQL)
            .bind(credential_id)
            .fetch_optional(db)
            .await)?)
    }

    /// Lists the passkeys of a person, the oldest first.
    pub async fn list_passkeys(&self, user: &str) -> Result<Vec<Passkey>, StoreError> {
        const SQL: &str = "SELECT credential_id, user_id, user_handle, rp_id, name, public_key, sign_count,
                is_backup_eligible, is_backed_up, transports, created_at, last_used_at
            FROM console_passkeys WHERE user_id = $1 ORDER BY created_at, credential_id LIMIT 100";
        Ok(on_reader!(self, |db| sqlx::query_as(SQL)
            .bind(user)
            .fetch_all(db)
            .await)?)
    }

    /// Notes the use of a passkey. Returns false when it was removed, or when its counter does not grow: then another device
    /// has the same key. Authenticators without a counter always give zero.
    pub async fn use_passkey(
        &self,
        credential_id: &str,
        sign_count: i64,
        is_backed_up: bool,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        const SQL: &str = "UPDATE console_passkeys SET sign_count = $2, is_backed_up = $3, last_used_at = $4
            WHERE credential_id = $1 AND (sign_count < $2 OR (sign_count = 0 AND $2 = 0))";
        Ok(on_writer!(self, |db| {
            let used = sqlx::query(SQL)
                .bind(credential_id)
                .bind(sign_count)
                .bind(is_backed_up)
                .bind(now);
            used.execute(db).await.map(|done| done.rows_affected())
        })? > 0)
    }

    /// Removes a passkey of a person, unless neither a password nor another passkey of the host `rp_id` is left.
    pub async fn remove_passkey(
        &self,
        user: &str,
        credential_id: &str,
        rp_id: &str,
    ) -> Result<PasskeyRemoval, StoreError> {
        with_timeout(async {
            let mut tx = self.begin().await?;
            let removal = remove_in(&mut tx, user, credential_id, rp_id).await?;
            if removal == PasskeyRemoval::Removed {
                tx.commit().await?;
            }
            Ok::<_, StoreError>(removal)
        })
        .await
    }

    /// Lists the passkeys of an organization's member, by the normalized address, the oldest first.
    pub async fn list_member_passkeys(&self, org: &OrgId, email_key: &str) -> Result<Vec<Passkey>, StoreError> {
        const SQL: &str =
            "SELECT p.credential_id, p.user_id, p.user_handle, p.rp_id, p.name, p.public_key, p.sign_count,
                p.is_backup_eligible, p.is_backed_up, p.transports, p.created_at, p.last_used_at
            FROM users u JOIN memberships m ON m.user_id = u.id AND m.org_id = $1
            JOIN console_passkeys p ON p.user_id = u.id
            WHERE u.email_key = $2 ORDER BY p.created_at, p.credential_id LIMIT 100";
        Ok(on_reader!(self, |db| sqlx::query_as(SQL)
            .bind(org.as_str())
            .bind(email_key)
            .fetch_all(db)
            .await)?)
    }
}

impl Change {
    /// Removes a passkey of an organization's member, as its administrator. The rules of `Store::remove_passkey` hold, and the person
    /// must belong to no other organization.
    pub async fn remove_member_passkey(
        &self,
        org: &OrgId,
        passkey: &Passkey,
        rp_id: &str,
    ) -> Result<PasskeyRemoval, StoreError> {
        const ORGS: &str = "SELECT org_id FROM memberships WHERE user_id = $1 ORDER BY org_id LIMIT 2";
        with_timeout(async {
            let mut tx = self.begin().await?;
            let orgs: Vec<String> = in_tx!(&mut tx, |db| sqlx::query_scalar(ORGS)
                .bind(&passkey.user_id)
                .fetch_all(db)
                .await?);
            if !orgs.iter().any(|other| other == org.as_str()) {
                return Ok(PasskeyRemoval::Unknown);
            }
            if orgs.len() > 1 {
                return Ok(PasskeyRemoval::OfOthersToo);
            }
            let removal = remove_in(&mut tx, &passkey.user_id, &passkey.credential_id, rp_id).await?;
            if removal == PasskeyRemoval::Removed {
                self.commit(tx).await?;
            }
            Ok(removal)
        })
        .await
    }
}
