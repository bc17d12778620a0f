//! Organizations as the operator of an installation manages them: created, listed, suspended.

use butt_dial_domain::{Code, Failure, OrgId, Scope};
use butt_dial_identity::{
    Caller,
    token::{self, TokenRequest},
};
use butt_dial_store::{AuditEntry, NewTeam, StoreError, TeamEntry};
use serde_json::{Value, json};

use crate::{
    Accounts,
    audit::SYSTEM,
    installation::SLUG,
    profile::{Mailbox, clean_name},
};

const MAX_SLUG_LENGTH: usize = butt_dial_domain::bounds::SLUG;
const MAX_SETTINGS_BYTES: usize = 16 * 1024;
const PAGE: u32 = 1_000;

/// A request to create an organization.
pub struct NewTeamRequest<'a> {
    pub name: &'a str,
    /// Lower-case letters, digits and hyphens.
    pub slug: &'a str,
    pub owner_email: Option<&'a str>,
    pub settings: Option<&'a Value>,
}

/// A new organization with the token of its administrators, which is shown once.
pub struct CreatedTeam {
    pub org: OrgId,
    pub team_token: String,
}

impl Accounts {
    /// Creates an active organization. Fails with `AlreadyExists` when the slug is in use.
    pub async fn create_team(&self, caller: &Caller, new: NewTeamRequest<'_>) -> Result<CreatedTeam, Failure> {
        caller.require(Scope::SuperAdmin)?;
        let name = clean_name("name", new.name)?;
        let is_slug = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if new.slug.is_empty() || new.slug.len() > MAX_SLUG_LENGTH || !new.slug.bytes().all(is_slug) {
            let message = format!("slug is 1 to {MAX_SLUG_LENGTH} lower-case letters, digits or hyphens");
            return Err(Failure::new(Code::InvalidArgument, message).detail("fields", vec!["slug"]));
        }
        let taken =
            || Failure::new(Code::AlreadyExists, "another organization has this slug").hint("choose another slug");
        if new.slug == SLUG {
            return Err(taken());
        }
        let owner = new
            .owner_email
            .map(|email| Mailbox::parse("ownerEmail", email))
            .transpose()?;
        let settings = new.settings.map(Value::to_string);
        if settings
            .as_ref()
            .is_some_and(|settings| settings.len() > MAX_SETTINGS_BYTES)
        {
            return Err(Failure::new(Code::InvalidArgument, "settings are larger than 16 KB"));
        }
        let now = self.clock.now();
        let team = NewTeam {
            name: &name,
            slug: new.slug,
            mode: self.settings.mode,
            owner_email: owner.as_ref().map(|owner| owner.address.as_str()),
            settings: settings.as_deref(),
        };
        let actor = caller.principal.token.as_str();
        // The organization gets its id, which is its target as well, with the change.
        let entry = AuditEntry::new(None, actor, "organization.create", new.slug, now);
        let change = self.store.change(entry.with_detail(json!({ "slug": new.slug })));
        let org = change.create_team(&team, now).await.map_err(|error| match error {
            StoreError::Conflict => taken(),
            other => other.into(),
        })?;
        let change = self.audit.change(&org, actor, "token.create", "", json!({}));
        let minted = token::mint(&change, &TokenRequest::new(&org, None, Scope::OrgAdmin), now).await?;
        Ok(CreatedTeam {
            org,
            team_token: minted.secret,
        })
    }

    /// Lists organizations with the number of their agents, in the order of their ids, after `after`. At most 1,000.
    pub async fn list_teams(&self, caller: &Caller, after: Option<&OrgId>) -> Result<Vec<TeamEntry>, Failure> {
        caller.require(Scope::SuperAdmin)?;
        let mut teams = self.store.list_teams(after, PAGE).await?;
        teams.retain(|team| team.org.slug != SLUG);
        Ok(teams)
    }

    /// Returns the internal organization of the installation, for its operator.
    pub async fn installation_org(&self, caller: &Caller) -> Result<OrgId, Failure> {
        caller.require(Scope::SuperAdmin)?;
        let now = self.clock.now();
        let entry = AuditEntry::new(None, SYSTEM, "organization.create", SLUG, now);
        let org = self
            .store
            .change(entry)
            .create_organization("Installation", SLUG, now)
            .await?;
        Ok(org.id)
    }

    /// Suspends an organization, or activates it again. Takes effect on every replica within a second.
    pub async fn set_team_status(&self, caller: &Caller, org: &OrgId, is_active: bool) -> Result<(), Failure> {
        caller.require(Scope::SuperAdmin)?;
        let actor = caller.principal.token.as_str();
        let change = self.audit.change(
            org,
            actor,
            "organization.status",
            org.as_str(),
            json!({ "active": is_active }),
        );
        if !change.set_organization_status(org, is_active).await? {
            return Err(Failure::new(
                Code::NotFound,
                "there is no active or suspended organization with this id",
            ));
        }
        Ok(())
    }
}
