//! The status of a registration, for the host that waits for it, and the end of a registration that is not wanted any more.

use butt_dial_domain::{Code, Failure, OrgId, Scope, clock::Timestamp, keys};
use butt_dial_identity::Caller;
use butt_dial_store::{OneTimeKind, OneTimeToken, OrgStatus};
use serde_json::json;

use crate::{Accounts, audit::SYSTEM, limits::unavailable, secrets};

/// The status of a registration.
pub struct VerificationStatus {
    pub org: OrgId,
    pub verified: bool,
    /// The terms have to be accepted.
    pub awaits_terms: bool,
    pub verified_at: Option<Timestamp>,
    pub expires_at: Option<Timestamp>,
}

impl Accounts {
    /// Returns the status to the holder of its poll token, or of a token of its team. Fails with `AuthRequired` for all others.
    pub async fn verification_status(
        &self,
        caller: &Caller,
        org: &OrgId,
        poll_token: Option<&str>,
    ) -> Result<VerificationStatus, Failure> {
        let is_own = caller.require(Scope::OrgAdmin).is_ok() && caller.principal.org.as_ref() == Some(org);
        let poll = match is_own || caller.require(Scope::SuperAdmin).is_ok() {
            true => None,
            false => Some(self.find_poll_token(org, poll_token).await?),
        };
        let found = self.store.find_organization(org).await?;
        let Some(found) = found else {
            // The answer to a registration that has changed nothing.
            let poll = poll.ok_or_else(poll_token_refused)?;
            return Ok(VerificationStatus {
                org: org.clone(),
                verified: false,
                awaits_terms: false,
                verified_at: None,
                expires_at: Some(poll.expires_at),
            });
        };
        Ok(VerificationStatus {
            org: found.id,
            verified: found.verified_at.is_some(),
            awaits_terms: found.status == OrgStatus::Pending && found.verified_at.is_some(),
            verified_at: found.verified_at,
            expires_at: found.expires_at,
        })
    }

    /// Deletes a pending organization, for the holder of its poll token or the orchestrator.
    pub async fn abandon(&self, caller: &Caller, org: &OrgId, poll_token: Option<&str>) -> Result<(), Failure> {
        let is_operator = caller.require(Scope::SuperAdmin).is_ok();
        let poll = match is_operator {
            true => None,
            false => Some(self.find_poll_token(org, poll_token).await?),
        };
        let actor = if is_operator {
            caller.principal.token.as_str()
        } else {
            SYSTEM
        };
        let change = self
            .audit
            .change(org, actor, "organization.abandon", org.as_str(), json!({}));
        if change.delete_pending_organization(org).await? {
            return Ok(());
        }
        match self.store.find_organization(org).await? {
            Some(_) => Err(
                Failure::new(Code::OrgAlreadyVerified, "a verified organization can't be abandoned")
                    .hint("erase it with POST /api/orgs/me/erasure/start"),
            ),
            None if is_operator => Err(Failure::new(Code::NotFound, "there is no such organization")),
            // The answer to a registration that has changed nothing. The next one gets another id, as after any abandoned one.
            None => {
                let owner = poll.and_then(|poll| poll.detail).unwrap_or_default();
                let forgotten = self.kv.delete(&keys::decoy_organization(&owner)).await;
                forgotten.map_err(unavailable)
            }
        }
    }

    /// Finds the poll token of an organization. An unknown, an expired and a foreign one give the same refusal.
    async fn find_poll_token(&self, org: &OrgId, poll_token: Option<&str>) -> Result<OneTimeToken, Failure> {
        let hash = secrets::hash(poll_token.unwrap_or_default());
        let found = self.store.find_one_time_token(&hash, OneTimeKind::Poll).await?;
        found
            .filter(|token| token.org().as_ref() == Some(org) && token.expires_at > self.clock.now())
            .ok_or_else(poll_token_refused)
    }
}

fn poll_token_refused() -> Failure {
    Failure::new(Code::AuthRequired, "the poll token is missing or not valid")
        .hint("pass the pollToken of the registration, or register again")
}
