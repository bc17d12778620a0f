//! Onboarding: a verified owner accepts the terms of the installation, and the organization becomes active.

use std::sync::Arc;

use butt_dial_domain::{Code, Failure};
use butt_dial_store::{OneTimeKind, OneTimeToken, OrgStatus, Organization};

use crate::{
    Accounts, Terms, secrets,
    verification::{Access, Verified, invalid_session},
};

impl Accounts {
    /// Accepts a version of the terms. Fails with `OnboardingSessionInvalid`, `OnboardingSessionExpired`, or
    /// `TosVersionMismatch`, after which the session is still valid.
    pub async fn accept_terms(self: &Arc<Self>, session: &str, version: &str) -> Result<Verified, Failure> {
        let (session, org) = self.find_session(session).await?;
        let current = self.settings.terms.as_ref().map(|terms| terms.version.as_str());
        if current.is_some_and(|current| current != version) {
            return Err(
                Failure::new(Code::TosVersionMismatch, "another version of the terms is in force")
                    .hint("show the current terms, and accept their version")
                    .detail("currentVersion", current.unwrap_or_default()),
            );
        }
        let access = Access {
            return_url: org.return_url.as_deref(),
            webhook_url: org.webhook_url.as_deref(),
            verified_at: org.verified_at.unwrap_or_else(|| self.clock.now()),
            terms_version: Some(version),
        };
        let used = (session.hash.as_str(), OneTimeKind::Onboarding);
        self.activate(&org, used, None, access).await
    }

    /// Returns the terms that a session has to accept, with the name of its organization. `None`: the session is not valid.
    pub async fn terms_of_session(&self, session: &str) -> Result<Option<(String, Terms)>, Failure> {
        let Ok((_, org)) = self.find_session(session).await else {
            return Ok(None);
        };
        Ok(self.settings.terms.clone().map(|terms| (org.name, terms)))
    }

    async fn find_session(&self, session: &str) -> Result<(OneTimeToken, Organization), Failure> {
        let hash = secrets::hash(session);
        let found = self.store.find_one_time_token(&hash, OneTimeKind::Onboarding).await?;
        let found = found
            .filter(|found| found.used_at.is_none())
            .ok_or_else(invalid_session)?;
        if found.expires_at <= self.clock.now() {
            return Err(
                Failure::new(Code::OnboardingSessionExpired, "the onboarding session has expired")
                    .hint("register again"),
            );
        }
        let org = match found.org() {
            Some(org) => self.store.find_organization(&org).await?,
            None => None,
        };
        let org = org
            .filter(|org| org.status == OrgStatus::Pending)
            .ok_or_else(invalid_session)?;
        Ok((found, org))
    }
}
