//! Team tokens of an organization: listed, created with a label and an expiry, rotated with overlap, revoked one by one.

use butt_dial_domain::{AgentId, Clock, Code, Failure, OrgId, Scope, TokenId, clock::Timestamp, redacted::redacted};
use butt_dial_identity::{
    Caller,
    token::{self, Minted, TokenRequest},
};
use butt_dial_store::{Store, Token};
use chrono::TimeDelta;
use serde_json::json;

use crate::audit::AuditLog;

/// Characters of a label.
const MAX_LABEL_LENGTH: usize = butt_dial_domain::bounds::TOKEN_LABEL;
const MAX_LIFETIME_DAYS: u32 = butt_dial_domain::bounds::TOKEN_DAYS;
/// The longest time for which a rotated token still works: a week.
const MAX_OVERLAP_SECONDS: u32 = butt_dial_domain::bounds::OVERLAP_SECONDS;

/// Manages the team tokens of organizations. Cheap to clone.
#[derive(Clone)]
pub struct TeamTokens {
    store: Store,
    audit: AuditLog,
    clock: Clock,
}

impl TeamTokens {
    pub fn new(store: Store, clock: Clock) -> Self {
        Self {
            audit: AuditLog::new(store.clone(), clock.clone()),
            store,
            clock,
        }
    }

    /// Lists the organization's team tokens without their secrets, newest first. Revoked ones are left out.
    pub async fn list(&self, caller: &Caller) -> Result<Vec<Token>, Failure> {
        caller.require(Scope::OrgAdmin)?;
        Ok(self.store.list_team_tokens(caller.org()?).await?)
    }

    /// Creates a team token. `expires_in_days` is 1 to 3,650; `None`: it does not expire.
    pub async fn create(
        &self,
        caller: &Caller,
        label: Option<&str>,
        expires_in_days: Option<u32>,
    ) -> Result<(Minted, Option<Timestamp>), Failure> {
        let org = self.require_team(caller)?;
        let label = label.map(clean_label).transpose()?;
        let now = self.clock.now();
        let expires_at = expires_in_days.map(|days| expiry(now, days)).transpose()?;
        let minted = self.mint(caller, org, label.as_deref(), expires_at, now).await?;
        Ok((minted, expires_at))
    }

    /// Creates a token with the label and expiry of `id`, which stops working after `overlap_seconds` (0 to 604,800). Without
    /// overlap it is refused within a second. Returns the new token and when the old one ends.
    pub async fn rotate(
        &self,
        caller: &Caller,
        id: &TokenId,
        overlap_seconds: u32,
    ) -> Result<(Minted, Timestamp), Failure> {
        let org = self.require_team(caller)?;
        if overlap_seconds > MAX_OVERLAP_SECONDS {
            return Err(invalid(format!("overlapSeconds is 0 to {MAX_OVERLAP_SECONDS}")));
        }
        let old = self.find(org, id).await?;
        let now = self.clock.now();
        let minted = self
            .mint(caller, org, old.label.as_deref(), old.expires_at, now)
            .await?;
        let ends_at = now + TimeDelta::seconds(overlap_seconds.into());
        let detail = json!({ "replacedBy": minted.id, "overlapSeconds": overlap_seconds });
        let actor = caller.principal.token.as_str();
        let change = self.audit.change(org, actor, "token.rotate", id.as_str(), detail);
        // The new token is stored first: after a failure in between, the old one still works.
        if overlap_seconds == 0 {
            change.revoke_team_token(org, id, now).await?;
        } else {
            change.expire_team_token(org, id, ends_at).await?;
        }
        Ok((minted, ends_at))
    }

    /// Revokes a team token. It is refused on every replica within a second.
    pub async fn revoke(&self, caller: &Caller, id: &TokenId) -> Result<(), Failure> {
        let org = self.require_team(caller)?;
        let actor = caller.principal.token.as_str();
        let change = self.audit.change(org, actor, "token.revoke", id.as_str(), json!({}));
        match change.revoke_team_token(org, id, self.clock.now()).await? {
            true => Ok(()),
            false => Err(no_such_token()),
        }
    }

    /// Returns the organization. Refuses agents: a team token is more than an agent of scope org-admin has.
    fn require_team<'a>(&self, caller: &'a Caller) -> Result<&'a OrgId, Failure> {
        caller.require(Scope::OrgAdmin)?;
        if caller.principal.agent.is_some() {
            return Err(
                Failure::new(Code::AuthForbidden, "an agent can't create or change team tokens")
                    .hint("use a team token"),
            );
        }
        caller.org()
    }

    async fn find(&self, org: &OrgId, id: &TokenId) -> Result<Token, Failure> {
        let found = self.store.find_team_token(org, id).await?;
        found
            .filter(|token| token.revoked_at.is_none())
            .ok_or_else(no_such_token)
    }

    async fn mint(
        &self,
        caller: &Caller,
        org: &OrgId,
        label: Option<&str>,
        expires_at: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Minted, Failure> {
        let request = TokenRequest {
            expires_at,
            label,
            created_by: Some(&caller.principal.token),
            ..TokenRequest::new(org, None::<&AgentId>, Scope::OrgAdmin)
        };
        let actor = caller.principal.token.as_str();
        let change = self
            .audit
            .change(org, actor, "token.create", "", json!({ "label": label.map(redacted) }));
        token::mint(&change, &request, now).await
    }
}

pub(crate) fn clean_label(label: &str) -> Result<String, Failure> {
    let label = label.trim();
    if label.is_empty() || label.chars().count() > MAX_LABEL_LENGTH || label.chars().any(char::is_control) {
        return Err(invalid(format!(
            "label is one line of 1 to {MAX_LABEL_LENGTH} characters"
        )));
    }
    Ok(label.to_owned())
}

pub(crate) fn expiry(now: Timestamp, days: u32) -> Result<Timestamp, Failure> {
    if !(1..=MAX_LIFETIME_DAYS).contains(&days) {
        return Err(invalid(format!("expiresInDays is 1 to {MAX_LIFETIME_DAYS}")));
    }
    Ok(now + TimeDelta::days(days.into()))
}

fn invalid(text: String) -> Failure {
    Failure::new(Code::InvalidArgument, text)
}

fn no_such_token() -> Failure {
    Failure::new(Code::NotFound, "your organization has no team token with this id")
        .hint("GET /api/v1/tokens lists the team tokens")
}
