//! The encryption of this database: the fingerprint of the operator's key, the root of derived keys, and the form of contents.

use butt_dial_domain::clock::Timestamp;

use crate::{
    Store, StoreError,
    engine::{on_reader, on_writer},
};

/// The registered key of the database, and the form of its contents.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct DatabaseKey {
    pub fingerprint: String,
    /// Encrypted with the operator's key. `None`: no key has been replaced yet.
    pub root: Option<Vec<u8>>,
    /// Contents have keys of their own. False in a database of an older release, which may run beside this one.
    pub has_content_keys: bool,
}

impl Store {
    /// Returns the registered key. Registers `fingerprint` when there is none.
    pub async fn register_key(&self, fingerprint: &str, now: Timestamp) -> Result<DatabaseKey, StoreError> {
        const FIND: &str = "SELECT fingerprint, root, has_content_keys FROM encryption_key WHERE id = 1";
        const NOTE: &str =
            "INSERT INTO encryption_key (id, fingerprint, noted_at, has_content_keys) VALUES (1, $1, $2, TRUE)
            ON CONFLICT DO NOTHING";
        let known: Option<DatabaseKey> = on_reader!(self, |db| sqlx::query_as(FIND).fetch_optional(db).await)?;
        if let Some(known) = known {
            return Ok(known);
        }
        on_writer!(self, |db| sqlx::query(NOTE)
            .bind(fingerprint)
            .bind(now)
            .execute(db)
            .await
            .map(drop))?;
        Ok(on_reader!(self, |db| sqlx::query_as(FIND).fetch_one(db).await)?)
    }

    /// Lets contents have keys of their own. No older release may run beside this one any more.
    pub async fn allow_content_keys(&self) -> Result<(), StoreError> {
        const SQL: &str = "UPDATE encryption_key SET has_content_keys = TRUE WHERE id = 1";
        on_writer!(self, |db| sqlx::query(SQL).execute(db).await.map(drop))?;
        Ok(())
    }

    /// Registers another key, with which the root is encrypted from now on.
    pub async fn replace_key(&self, fingerprint: &str, root: &[u8], now: Timestamp) -> Result<(), StoreError> {
        const SQL: &str = "UPDATE encryption_key SET fingerprint = $1, root = $2, noted_at = $3 WHERE id = 1";
        on_writer!(self, |db| sqlx::query(SQL)
            .bind(fingerprint)
            .bind(root)
            .bind(now)
            .execute(db)
            .await
            .map(drop))?;
        Ok(())
    }
}
