//! Organizations, the tenants.

use butt_dial_domain::{OrgId, clock::Timestamp};

use crate::{
    Store, StoreError,
    engine::{on_reader, on_writer},
};

/// A stored organization.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Organization {
    #[sqlx(try_from = "String")]
    pub id: OrgId,
    pub name: String,
    pub slug: String,
    pub created_at: Timestamp,
}

impl Store {
    /// Stores an organization, or finds the one with this slug.
    pub async fn create_organization(
        &self,
        name: &str,
        slug: &str,
        now: Timestamp,
    ) -> Result<Organization, StoreError> {
        const SQL: &str = "INSERT INTO organizations (id, name, slug, created_at) VALUES ($1, $2, $3, $4)
            ON CONFLICT (slug) DO NOTHING";
        let id = OrgId::generate();
        on_writer!(self, |db| {
            sqlx::query(SQL)
                .bind(id.as_str())
                .bind(name)
                .bind(slug)
                .bind(now)
                .execute(db)
                .await
                .map(drop)
        })?;
        self.find_organization_by_slug(slug).await?.ok_or(StoreError::Conflict)
    }

    /// Returns whether recordings for the organization are transcribed.
    pub async fn find_transcription(&self, id: &OrgId) -> Result<bool, StoreError> {
        const SQL: &str = "SELECT transcribes FROM organizations WHERE id = $1";
        let found: Option<bool> = on_reader!(self, |db| sqlx::query_scalar(SQL)
            .bind(id.as_str())
            .fetch_optional(db)
            .await)?;
        Ok(found.unwrap_or(false))
    }

    /// Sets whether recordings for the organization are transcribed.
    pub async fn set_transcription(&self, id: &OrgId, enabled: bool) -> Result<(), StoreError> {
        const SQL: &str = "UPDATE organizations SET transcribes = $2 WHERE id = $1";
        on_writer!(self, |db| sqlx::query(SQL)
            .bind(id.as_str())
            .bind(enabled)
            .execute(db)
            .await
            .map(drop))?;
        Ok(())
    }

    pub async fn find_organization(&self, id: &OrgId) -> Result<Option<Organization>, StoreError> {
        const SQL: &str = "SELECT id, name, slug, created_at FROM organizations WHERE id = $1";
        Ok(on_reader!(self, |db| sqlx::query_as(SQL)
            .bind(id.as_str())
            .fetch_optional(db)
            .await)?)
    }

    pub async fn find_organization_by_slug(&self, slug: &str) -> Result<Option<Organization>, StoreError> {
        const SQL: &str = "SELECT id, name, slug, created_at FROM organizations WHERE slug = $1";
        Ok(on_reader!(self, |db| sqlx::query_as(SQL)
            .bind(slug)
            .fetch_optional(db)
            .await)?)
    }
}
