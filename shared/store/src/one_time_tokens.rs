//! One-time tokens: secrets of mailed links, of polling clients, of onboarding sessions, and invite codes. They are stored by
//! the hash of their secret. The secret itself must never reach this module.

use butt_dial_domain::{OrgId, clock::Timestamp};

use crate::{
    Store, StoreError,
    column::text_column,
    engine::{Tx, in_tx, on_reader, on_writer, with_timeout},
};

/// The purpose of a one-time token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::Display, strum::EnumString, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum OneTimeKind {
    /// The link of a verification mail.
    Verification,
    /// Reads the status of a registration.
    Poll,
    /// A verified owner who has to accept the terms.
    Onboarding,
    /// Confirms the erasure of an organization.
    Erasure,
    /// Permits a registration.
    Invite,
}

text_column!(OneTimeKind, "one_time_tokens", "kind");

/// A one-time token to store.
pub struct NewOneTimeToken<'a> {
    /// Lower-case hex of the SHA-256 of the secret.
    pub hash: &'a str,
    pub kind: OneTimeKind,
    pub org: Option<&'a OrgId>,
    /// JSON.
    pub detail: Option<&'a str>,
    pub expires_at: Timestamp,
}

/// A stored one-time token.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct OneTimeToken {
    pub hash: String,
    pub kind: OneTimeKind,
    org_id: Option<String>,
    pub detail: Option<String>,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
    pub used_at: Option<Timestamp>,
}

impl OneTimeToken {
    pub fn org(&self) -> Option<OrgId> {
        self.org_id.as_deref().map(OrgId::from)
    }
}

/// Stores a token as part of a transaction.
pub(crate) async fn insert_in(tx: &mut Tx, new: &NewOneTimeToken<'_>, now: Timestamp) -> Result<(), StoreError> {
    const SQL: &str = "INSERT INTO one_time_tokens (hash, kind, org_id, detail, created_at, expires_at)
        VALUES ($1, $2, $3, $4, $5, $6)";
    in_tx!(tx, |db| sqlx::query(SQL)
        .bind(new.hash)
        .bind(<&str>::from(new.kind))
        .bind(new.org.map(OrgId::as_str))
        .bind(new.detail)
        .bind(now)
        .bind(new.expires_at)
        .execute(db)
        .await
        .map(drop)?);
    Ok(())
}

/// Uses a token up as part of a transaction. Returns false when it was used, has expired or does not exist.
pub(crate) async fn consume_in(tx: &mut Tx, hash: &str, kind: OneTimeKind, now: Timestamp) -> Result<bool, StoreError> {
    const SQL: &str = "UPDATE one_time_tokens SET used_at = $3
        WHERE hash = $1 AND kind = $2 AND used_at IS NULL AND expires_at > $3";
    let done = in_tx!(tx, |db| sqlx::query(SQL)
        .bind(hash)
        .bind(<&str>::from(kind))
        .bind(now)
        .execute(db)
        .await?
        .rows_affected());
    Ok(done == 1)
}

/// Deletes the organization's tokens of this kind as part of a transaction.
pub(crate) async fn delete_in(tx: &mut Tx, org: &OrgId, kind: OneTimeKind) -> Result<(), StoreError> {
    const SQL: &str = "DELETE FROM one_time_tokens WHERE org_id = $1 AND kind = $2";
    in_tx!(tx, |db| sqlx::query(SQL)
        .bind(org.as_str())
        .bind(<&str>::from(kind))
        .execute(db)
        .await
        .map(drop)?);
    Ok(())
}

impl Store {
    /// Stores a token.
    pub async fn create_one_time_token(&self, new: &NewOneTimeToken<'_>, now: Timestamp) -> Result<(), StoreError> {
        with_timeout(async {
            let mut tx = self.begin().await?;
            insert_in(&mut tx, new, now).await?;
            tx.commit().await?;
            Ok(())
        })
        .await
    }

    /// Finds a token, also a used or expired one.
    pub async fn find_one_time_token(&self, hash: &str, kind: OneTimeKind) -> Result<Option<OneTimeToken>, StoreError> {
        const SQL: &str = "SELECT hash, kind, org_id, detail, created_at, expires_at, used_at
            FROM one_time_tokens WHERE hash = $1 AND kind = $2";
        Ok(on_reader!(self, |db| sqlx::query_as(SQL)
            .bind(hash)
            .bind(<&str>::from(kind))
            .fetch_optional(db)
            .await)?)
    }

    /// Finds the organization's newest token of this kind, also a used or expired one.
    pub async fn find_newest_one_time_token(
        &self,
        org: &OrgId,
        kind: OneTimeKind,
    ) -> Result<Option<OneTimeToken>, StoreError> {
        const SQL: &str = "SELECT hash, kind, org_id, detail, created_at, expires_at, used_at
            FROM one_time_tokens WHERE org_id = $1 AND kind = $2 ORDER BY created_at DESC, hash LIMIT 1";
        Ok(on_reader!(self, |db| sqlx::query_as(SQL)
            .bind(org.as_str())
            .bind(<&str>::from(kind))
            .fetch_optional(db)
            .await)?)
    }

    /// Uses a token up. Returns false when it was used, has expired or does not exist: one of several callers wins.
    pub async fn consume_one_time_token(
        &self,
        hash: &str,
        kind: OneTimeKind,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        with_timeout(async {
            let mut tx = self.begin().await?;
            let is_used = consume_in(&mut tx, hash, kind, now).await?;
            tx.commit().await?;
            Ok(is_used)
        })
        .await
    }

    /// Deletes tokens that expired before this time. Returns how many. At most 1,000.
    pub async fn delete_expired_tokens(&self, before: Timestamp) -> Result<u64, StoreError> {
        const SQL: &str = "DELETE FROM one_time_tokens WHERE hash IN
            (SELECT hash FROM one_time_tokens WHERE expires_at < $1 ORDER BY expires_at LIMIT 1000)";
        Ok(on_writer!(self, |db| sqlx::query(SQL)
            .bind(before)
            .execute(db)
            .await
            .map(|done| done.rows_affected()))?)
    }
}
