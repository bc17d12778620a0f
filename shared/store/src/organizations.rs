//! Organizations, the tenants. Their registration is in `registrations.rs`, their end in `erasure.rs`.

use butt_dial_domain::{OrgId, clock::Timestamp};

use crate::{Change, Store, StoreError, change::on_change, column::text_column, engine::on_reader};

/// Whether an organization may act.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::Display, strum::EnumString, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum OrgStatus {
    /// The owner has not confirmed the registration. It has no tokens.
    Pending,
    Active,
    Suspended,
    /// Erased for its owner; its rows are purged later.
    Erasing,
    Erased,
}

text_column!(OrgStatus, "organizations", "status");

impl OrgStatus {
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// The carriers that an organization reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::Display, strum::EnumString, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum OrgMode {
    /// Simulated ones only.
    Sandbox,
    Live,
}

text_column!(OrgMode, "organizations", "mode");

impl OrgMode {
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// A stored organization.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Organization {
    #[sqlx(try_from = "String")]
    pub id: OrgId,
    pub name: String,
    pub slug: String,
    pub status: OrgStatus,
    pub mode: OrgMode,
    pub owner_email: Option<String>,
    /// Receives the codes that rotate the team token.
    pub admin_phone: Option<String>,
    pub terms_version: Option<String>,
    pub return_url: Option<String>,
    pub webhook_url: Option<String>,
    pub webhook_salt: Option<String>,
    /// JSON.
    pub branding: Option<String>,
    pub verified_at: Option<Timestamp>,
    pub expires_at: Option<Timestamp>,
    pub created_at: Timestamp,
}

/// The choices of an organization about compliance.
#[derive(Clone, Debug, Default, PartialEq, Eq, sqlx::FromRow)]
pub struct ComplianceChoices {
    /// A message outside its allowed hours is refused. Otherwise it is scheduled for them.
    pub refuses_waiting: bool,
    /// For the footer of marketing mails.
    pub postal_address: Option<String>,
    /// Whether first messages say that an AI assistant writes. `None`: as the operator chose.
    pub discloses: Option<bool>,
    /// The words of this disclosure. `None`: those of the operator.
    pub disclosure_text: Option<String>,
    /// The messages of an agent need an approval for a time after it has read a text that resembles instructions.
    pub confirms_tainted: bool,
}

/// An organization to create for an administrator of the installation.
pub struct NewTeam<'a> {
    pub name: &'a str,
    pub slug: &'a str,
    pub mode: OrgMode,
    pub owner_email: Option<&'a str>,
    /// JSON.
    pub settings: Option<&'a str>,
}

/// An organization in the list of all of them.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct TeamEntry {
    #[sqlx(flatten)]
    pub org: Organization,
    pub agents: i64,
}

impl Store {
    /// Lists organizations that are not erased in the order of their ids, after `after`, with the number of their agents.
    pub async fn list_teams(&self, after: Option<&OrgId>, limit: u32) -> Result<Vec<TeamEntry>, StoreError> {
        const SQL: &str =
            "SELECT id, name, slug, status, mode, owner_email, admin_phone, terms_version, return_url, webhook_url,
                webhook_salt, branding, verified_at, expires_at, created_at,
                (SELECT COUNT(*) FROM agents a WHERE a.org_id = organizations.id) AS agents
            FROM organizations WHERE id > $1 AND status NOT IN ('erasing', 'erased') ORDER BY id LIMIT $2";
        Ok(on_reader!(self, |db| sqlx::query_as(SQL)
            .bind(after.map_or("", OrgId::as_str))
            .bind(i64::from(limit))
            .fetch_all(db)
            .await)?)
    }

    /// Finds the choices of an organization about compliance.
    pub async fn find_compliance_choices(&self, id: &OrgId) -> Result<Option<ComplianceChoices>, StoreError> {
        const SQL: &str = "SELECT refuses_waiting, postal_address, discloses, disclosure_text, confirms_tainted
            FROM organizations WHERE id = $1";
        Ok(on_reader!(self, |db| sqlx::query_as(SQL)
            .bind(id.as_str())
            .fetch_optional(db)
            .await)?)
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

    pub async fn find_organization(&self, id: &OrgId) -> Result<Option<Organization>, StoreError> {
        const SQL: &str =
            "SELECT id, name, slug, status, mode, owner_email, admin_phone, terms_version, return_url, webhook_url,
                webhook_salt, branding, verified_at, expires_at, created_at
            FROM organizations WHERE id = $1";
        Ok(on_reader!(self, |db| sqlx::query_as(SQL)
            .bind(id.as_str())
            .fetch_optional(db)
            .await)?)
    }

    pub async fn find_organization_by_slug(&self, slug: &str) -> Result<Option<Organization>, StoreError> {
        const SQL: &str =
            "SELECT id, name, slug, status, mode, owner_email, admin_phone, terms_version, return_url, webhook_url,
                webhook_salt, branding, verified_at, expires_at, created_at
            FROM organizations WHERE slug = $1";
        Ok(on_reader!(self, |db| sqlx::query_as(SQL)
            .bind(slug)
            .fetch_optional(db)
            .await)?)
    }
}

impl Change {
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
        on_change!(self.about(&id), |db| {
            sqlx::query(SQL)
                .bind(id.as_str())
                .bind(name)
                .bind(slug)
                .bind(now)
                .execute(db)
                .await
                .map(|done| done.rows_affected())
        })?;
        self.store
            .find_organization_by_slug(slug)
            .await?
            .ok_or(StoreError::Conflict)
    }

    /// Stores an active organization. Fails with `Conflict` when the slug exists.
    pub async fn create_team(&self, new: &NewTeam<'_>, now: Timestamp) -> Result<OrgId, StoreError> {
        const SQL: &str = "INSERT INTO organizations (id, name, slug, mode, owner_email, settings, created_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7)";
        let id = OrgId::generate();
        on_change!(self.about(&id), |db| {
            sqlx::query(SQL)
                .bind(id.as_str())
                .bind(new.name)
                .bind(new.slug)
                .bind(new.mode.as_str())
                .bind(new.owner_email)
                .bind(new.settings)
                .bind(now)
                .execute(db)
                .await
                .map(|done| done.rows_affected())
        })?;
        Ok(id)
    }

    /// Suspends an active organization, or activates a suspended one. Returns false when it has neither status.
    pub async fn set_organization_status(&self, id: &OrgId, is_active: bool) -> Result<bool, StoreError> {
        const SQL: &str = "UPDATE organizations SET status = $2 WHERE id = $1 AND status IN ('active', 'suspended')";
        let status = if is_active {
            OrgStatus::Active
        } else {
            OrgStatus::Suspended
        };
        let done = on_change!(self, |db| sqlx::query(SQL)
            .bind(id.as_str())
            .bind(status.as_str())
            .execute(db)
            .await
            .map(|done| done.rows_affected()))?;
        Ok(done > 0)
    }

    /// Sets the telephone number that receives the codes of the organization's administrator.
    pub async fn set_admin_phone(&self, id: &OrgId, phone: &str) -> Result<(), StoreError> {
        const SQL: &str = "UPDATE organizations SET admin_phone = $2 WHERE id = $1";
        on_change!(self, |db| sqlx::query(SQL)
            .bind(id.as_str())
            .bind(phone)
            .execute(db)
            .await
            .map(|done| done.rows_affected()))?;
        Ok(())
    }

    /// Sets the choices of an organization about compliance.
    pub async fn set_compliance_choices(&self, id: &OrgId, choices: &ComplianceChoices) -> Result<(), StoreError> {
        const SQL: &str =
            "UPDATE organizations SET refuses_waiting = $2, postal_address = $3, discloses = $4, disclosure_text = $5,
                confirms_tainted = $6
            WHERE id = $1";
        on_change!(self, |db| sqlx::query(SQL)
            .bind(id.as_str())
            .bind(choices.refuses_waiting)
            .bind(&choices.postal_address)
            .bind(choices.discloses)
            .bind(&choices.disclosure_text)
            .bind(choices.confirms_tainted)
            .execute(db)
            .await
            .map(|done| done.rows_affected()))?;
        Ok(())
    }

    /// Sets whether recordings for the organization are transcribed.
    pub async fn set_transcription(&self, id: &OrgId, enabled: bool) -> Result<(), StoreError> {
        const SQL: &str = "UPDATE organizations SET transcribes = $2 WHERE id = $1";
        on_change!(self, |db| sqlx::query(SQL)
            .bind(id.as_str())
            .bind(enabled)
            .execute(db)
            .await
            .map(|done| done.rows_affected()))?;
        Ok(())
    }
}
