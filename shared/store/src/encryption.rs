//! The fingerprint of the encryption key that this database was created with.

use butt_dial_domain::clock::Timestamp;

use crate::{
    Store, StoreError,
    engine::{on_reader, on_writer},
};

impl Store {
    /// Returns the registered fingerprint. Registers `shown` when there is none.
    pub async fn register_key_fingerprint(&self, shown: &str, now: Timestamp) -> Result<String, StoreError> {
        const FIND: &str = "SELECT fingerprint FROM encryption_key WHERE id = 1";
        const NOTE: &str =
            "INSERT INTO encryption_key (id, fingerprint, noted_at) VALUES (1, $1, $2) ON CONFLICT DO NOTHING";
        let known: Option<String> = on_reader!(self, |db| sqlx::query_scalar(FIND).fetch_optional(db).await)?;
        if let Some(known) = known {
            return Ok(known);
        }
        on_writer!(self, |db| sqlx::query(NOTE)
            .bind(shown)
            .bind(now)
            .execute(db)
            .await
            .map(drop))?;
        Ok(on_reader!(self, |db| sqlx::query_scalar(FIND).fetch_one(db).await)?)
    }
}
