//! Which encryption key belongs to this database.

use butt_dial_domain::clock::Timestamp;

use crate::{
    Store, StoreError,
    engine::{reading, writing},
};

impl Store {
    /// The fingerprint of the key that this database belongs to: the first one that was ever shown to it.
    pub async fn register_key_fingerprint(&self, shown: &str, now: Timestamp) -> Result<String, StoreError> {
        const FIND: &str = "SELECT fingerprint FROM encryption_key WHERE id = 1";
        const NOTE: &str =
            "INSERT INTO encryption_key (id, fingerprint, noted_at) VALUES (1, $1, $2) ON CONFLICT DO NOTHING";
        let known: Option<String> = reading!(self, |db| sqlx::query_scalar(FIND).fetch_optional(db).await)?;
        if let Some(known) = known {
            return Ok(known);
        }
        writing!(self, |db| sqlx::query(NOTE)
            .bind(shown)
            .bind(now)
            .execute(db)
            .await
            .map(drop))?;
        Ok(reading!(self, |db| sqlx::query_scalar(FIND).fetch_one(db).await)?)
    }
}
