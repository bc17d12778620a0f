//! Verification: the owner has opened the link of the mail. The organization becomes active, or its owner has to accept the
//! terms first.

use std::sync::Arc;

use butt_dial_domain::{Code, Failure, OrgId, Scope, clock::Timestamp};
use butt_dial_identity::token::{TokenRequest, Unstored};
use butt_dial_store::{
    Activation, NewNotice, NewOneTimeToken, NextStep, OneTimeKind, OneTimeToken, OrgStatus, Organization,
    RegistrationDetails, RegistrationStep,
};
use chrono::TimeDelta;
use serde_json::json;

use crate::{
    Accounts, Branding, Profile,
    audit::SYSTEM,
    notices::{self, ACCOUNT_VERIFIED},
    secrets::{self, Secret},
};

/// How long an owner may take to accept the terms.
const SESSION_LIFETIME: TimeDelta = TimeDelta::hours(24);

/// The result of a verification.
pub struct Verified {
    pub org: OrgId,
    pub verified_at: Timestamp,
    pub outcome: VerifiedOutcome,
}

pub enum VerifiedOutcome {
    Active {
        team_token: String,
        /// The URL at which the owner's browser continues.
        redirect: Option<String>,
        /// The token is sent to the organization's webhook.
        webhook_notified: bool,
    },
    /// The terms have to be accepted.
    NeedsTerms {
        session: String,
        expires_at: Timestamp,
        url: Option<String>,
        version: String,
    },
}

impl Accounts {
    /// Verifies the owner of the link's token, which is used up. Fails with `VerificationTokenInvalid` or
    /// `VerificationTokenExpired`.
    pub async fn verify(self: &Arc<Self>, token: &str) -> Result<Verified, Failure> {
        let hash = secrets::hash(token);
        let found = self.store.find_one_time_token(&hash, OneTimeKind::Verification).await?;
        let (token, org) = self.check_link(found).await?;
        let profile = Profile::parse(token.detail.as_deref())?;
        let now = self.clock.now();
        let branding = profile.branding.as_ref();
        let branding = branding.and_then(|branding| serde_json::to_string(branding).ok());
        let details = RegistrationDetails {
            name: &profile.name,
            return_url: profile.return_url.as_deref(),
            webhook_url: profile.webhook_url.as_deref(),
            webhook_salt: &profile.webhook_salt,
            branding: branding.as_deref(),
        };
        let Some(terms) = &self.settings.terms else {
            let access = Access {
                return_url: profile.return_url.as_deref(),
                webhook_url: profile.webhook_url.as_deref(),
                verified_at: now,
                terms_version: None,
            };
            let used = (hash.as_str(), OneTimeKind::Verification);
            return self.activate(&org, used, Some(details), access).await;
        };
        let session = Secret::short();
        let expires_at = now + SESSION_LIFETIME;
        let step = RegistrationStep {
            hash: &hash,
            kind: OneTimeKind::Verification,
            org: &org.id,
            details: Some(details),
            then: NextStep::AwaitTerms(NewOneTimeToken {
                hash: &session.hash,
                kind: OneTimeKind::Onboarding,
                org: Some(&org.id),
                detail: None,
                expires_at,
            }),
        };
        let change = self.audit.change(
            &org.id,
            SYSTEM,
            "organization.verify",
            org.id.as_str(),
            json!({ "awaitsTerms": true }),
        );
        if !change.take_registration_step(&step, now).await? {
            return Err(invalid_link());
        }
        Ok(Verified {
            outcome: VerifiedOutcome::NeedsTerms {
                url: self.page(&format!("/onboarding?s={}", session.plain)),
                session: session.plain,
                expires_at,
                version: terms.version.clone(),
            },
            org: org.id,
            verified_at: now,
        })
    }

    /// Returns the branding of the registration that a link belongs to. `None`: the link is not valid.
    pub async fn branding_of_link(&self, token: &str) -> Result<Option<(String, Branding)>, Failure> {
        let hash = secrets::hash(token);
        let found = self.store.find_one_time_token(&hash, OneTimeKind::Verification).await?;
        let Ok((token, _)) = self.check_link(found).await else {
            return Ok(None);
        };
        let profile = Profile::parse(token.detail.as_deref())?;
        Ok(Some((profile.name, profile.branding.unwrap_or_default())))
    }

    /// Returns the token of a link with its pending organization. An unknown, a used and a foreign one give the same refusal.
    async fn check_link(&self, found: Option<OneTimeToken>) -> Result<(OneTimeToken, Organization), Failure> {
        let token = found.filter(|token| token.used_at.is_none()).ok_or_else(invalid_link)?;
        if token.expires_at <= self.clock.now() {
            return Err(
                Failure::new(Code::VerificationTokenExpired, "the verification link has expired")
                    .hint("register again, or request the mail again"),
            );
        }
        let org = match token.org() {
            Some(org) => self.store.find_organization(&org).await?,
            None => None,
        };
        let org = org
            .filter(|org| org.status == OrgStatus::Pending)
            .ok_or_else(invalid_link)?;
        Ok((token, org))
    }

    /// Activates a pending organization: its team token, its owner, and the notice to its webhook are written together.
    pub(crate) async fn activate(
        self: &Arc<Self>,
        org: &Organization,
        (hash, kind): (&str, OneTimeKind),
        details: Option<RegistrationDetails<'_>>,
        access: Access<'_>,
    ) -> Result<Verified, Failure> {
        let now = self.clock.now();
        let owner = org.owner_email.as_deref().ok_or_else(Failure::internal)?;
        let owner_key = owner.to_lowercase();
        let token = Unstored::generate(false);
        let notice_id = notices::new_id();
        let body = json!({
            "event": ACCOUNT_VERIFIED,
            "orgId": org.id,
            "ownerEmail": owner,
            "scopes": Scope::OrgAdmin,
            "verifiedAt": notices::time(access.verified_at),
        })
        .to_string();
        let sealed = self.vault.encrypt(&org.id, &notice_id, token.secret.as_bytes());
        let notice = access.webhook_url.map(|url| NewNotice {
            id: &notice_id,
            org: &org.id,
            kind: ACCOUNT_VERIFIED,
            url,
            body: &body,
            token: Some(&sealed),
        });
        let request = TokenRequest::new(&org.id, None, Scope::OrgAdmin);
        let step = RegistrationStep {
            hash,
            kind,
            org: &org.id,
            details,
            then: NextStep::Activate(Activation {
                token: token.row(&request),
                owner_email: owner,
                owner_key: &owner_key,
                terms_version: access.terms_version,
                notice,
            }),
        };
        let detail = json!({ "termsVersion": access.terms_version });
        let change = self
            .audit
            .change(&org.id, SYSTEM, "organization.verify", org.id.as_str(), detail);
        if !change.take_registration_step(&step, now).await? {
            return Err(match kind {
                OneTimeKind::Onboarding => invalid_session(),
                _ => invalid_link(),
            });
        }
        if access.webhook_url.is_some() {
            self.spawn_notices();
        }
        Ok(Verified {
            outcome: VerifiedOutcome::Active {
                redirect: redirect(&access, &org.id, &token.secret),
                team_token: token.secret,
                webhook_notified: access.webhook_url.is_some(),
            },
            org: org.id.clone(),
            verified_at: access.verified_at,
        })
    }
}

/// How the host of an organization gets its token.
pub(crate) struct Access<'a> {
    pub return_url: Option<&'a str>,
    pub webhook_url: Option<&'a str>,
    pub verified_at: Timestamp,
    pub terms_version: Option<&'a str>,
}

/// Returns where the browser continues. With a webhook, the token takes that way only.
fn redirect(access: &Access<'_>, org: &OrgId, token: &str) -> Option<String> {
    let url = access.return_url?;
    if access.webhook_url.is_some() {
        return Some(url.to_owned());
    }
    let verified_at = notices::time(access.verified_at);
    Some(format!("{url}#bd_token={token}&org_id={org}&verified_at={verified_at}"))
}

pub(crate) fn invalid_link() -> Failure {
    Failure::new(Code::VerificationTokenInvalid, "the verification link is not valid")
        .hint("register again, or request the mail again")
}

pub(crate) fn invalid_session() -> Failure {
    Failure::new(Code::OnboardingSessionInvalid, "the onboarding session is not valid").hint("register again")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browser_gets_token_only_without_webhook() {
        let org = OrgId::from("org_1");
        let access = |return_url, webhook_url| Access {
            return_url,
            webhook_url,
            verified_at: Timestamp::UNIX_EPOCH,
            terms_version: None,
        };
        let (back, hook) = (Some("https://a.example/x"), Some("https://a.example/hook"));
        assert_eq!(redirect(&access(None, None), &org, "bdt_1"), None);
        assert_eq!(redirect(&access(back, hook), &org, "bdt_1").as_deref(), back);
        let with_token = redirect(&access(back, None), &org, "bdt_1").unwrap();
        assert_eq!(
            with_token,
            "https://a.example/x#bd_token=bdt_1&org_id=org_1&verified_at=1970-01-01T00:00:00.000Z"
        );
    }
}
