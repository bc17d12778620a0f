//! Legal holds: while one is in force, nothing of the organization or the person is erased or expires.

use butt_dial_domain::{OrgId, clock::Timestamp};

use crate::{
    Change, Store, StoreError,
    change::on_change,
    engine::{Sql, on_reader},
    inbound::json,
};

/// The row of a hold of a whole organization.
pub const WHOLE_ORGANIZATION: &str = "*";

/// A hold. It never holds an address.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct LegalHold {
    pub id: String,
    /// `*`: the organization. Otherwise a keyed hash of a person's key.
    pub contact_hash: String,
    pub reason: String,
    pub actor: String,
    pub created_at: Timestamp,
}

impl Store {
    /// Finds a hold of the organization, or of a person by these keyed hashes.
    pub async fn find_hold(&self, org: &OrgId, hashes: &[String]) -> Result<Option<LegalHold>, StoreError> {
        const SQL: Sql = Sql {
            postgres: "SELECT id, contact_hash, reason, actor, created_at FROM legal_holds
                WHERE org_id = $1 AND (contact_hash = '*' OR contact_hash IN (SELECT jsonb_array_elements_text($2::JSONB)))
                ORDER BY contact_hash LIMIT 1",
            sqlite: "SELECT id, contact_hash, reason, actor, created_at FROM legal_holds
                WHERE org_id = $1 AND (contact_hash = '*' OR contact_hash IN (SELECT value FROM json_each($2)))
                ORDER BY contact_hash LIMIT 1",
        };
        let (sql, text) = (self.sql(SQL), json::text(hashes)?);
        Ok(on_reader!(self, |db| sqlx::query_as(sql)
            .bind(org.as_str())
            .bind(&text)
            .fetch_optional(db)
            .await)?)
    }

    /// Lists the holds of an organization, each once.
    pub async fn list_holds(&self, org: &OrgId) -> Result<Vec<LegalHold>, StoreError> {
        const SQL: &str = "SELECT id, MIN(contact_hash) AS contact_hash, reason, actor, created_at FROM legal_holds
            WHERE org_id = $1 GROUP BY id, reason, actor, created_at ORDER BY id LIMIT 1000";
        Ok(on_reader!(self, |db| sqlx::query_as(SQL)
            .bind(org.as_str())
            .fetch_all(db)
            .await)?)
    }

    /// Lists the organizations with holds.
    pub async fn list_held_organizations(&self) -> Result<Vec<OrgId>, StoreError> {
        const SQL: &str = "SELECT DISTINCT org_id FROM legal_holds ORDER BY org_id";
        let found: Vec<String> = on_reader!(self, |db| sqlx::query_scalar(SQL).fetch_all(db).await)?;
        Ok(found.into_iter().map(OrgId::from).collect())
    }
}

impl Change {
    /// Puts a hold on the organization (`*`) or on a person, by the keyed hashes of all addresses. Returns false when one is in force
    /// on all of them.
    pub async fn put_hold(&self, org: &OrgId, hashes: &[String], hold: &LegalHold) -> Result<bool, StoreError> {
        const SQL: Sql = Sql {
            postgres: "INSERT INTO legal_holds (org_id, contact_hash, id, reason, actor, created_at)
                SELECT $1, value, $3, $4, $5, $6 FROM jsonb_array_elements_text($2::JSONB) AS item (value) ORDER BY value
                ON CONFLICT DO NOTHING",
            sqlite: "INSERT INTO legal_holds (org_id, contact_hash, id, reason, actor, created_at)
                SELECT $1, value, $3, $4, $5, $6 FROM json_each($2) WHERE true ORDER BY value ON CONFLICT DO NOTHING",
        };
        let (sql, text) = (self.store.sql(SQL), json::text(hashes)?);
        let done = on_change!(self, |db| {
            sqlx::query(sql)
                .bind(org.as_str())
                .bind(&text)
                .bind(&hold.id)
                .bind(&hold.reason)
                .bind(&hold.actor)
                .bind(hold.created_at)
                .execute(db)
                .await
                .map(|done| done.rows_affected())
        })?;
        Ok(done > 0)
    }

    /// Releases a hold. Returns false if there is none with this id.
    pub async fn release_hold(&self, org: &OrgId, id: &str) -> Result<bool, StoreError> {
        const SQL: &str = "DELETE FROM legal_holds WHERE org_id = $1 AND id = $2";
        let done = on_change!(self, |db| {
            sqlx::query(SQL)
                .bind(org.as_str())
                .bind(id)
                .execute(db)
                .await
                .map(|done| done.rows_affected())
        })?;
        Ok(done > 0)
    }
}
