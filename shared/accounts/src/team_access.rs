//! How the host of an organization sees its account, and how it gets a team token again with the secret of its webhook.

use butt_dial_domain::{Code, Failure, OrgId, Scope, keys};
use butt_dial_identity::{
    Caller,
    token::{TokenRequest, Unstored},
};
use butt_dial_store::{OrgStatus, Organization, ReplacedTokens};
use serde_json::json;
use std::time::Duration;
use subtle::ConstantTimeEq;

use crate::{Accounts, audit::SYSTEM, limits::unavailable, secrets};

/// Seconds by which the clocks of the host and of this program may differ.
const MAX_SKEW_SECONDS: i64 = 60;
const NONCE_LIFETIME: Duration = Duration::from_secs(300);
const NONCE_LENGTH: usize = 32;

/// A team token that a host has got with its webhook's secret.
pub struct RevealedToken {
    pub token: String,
    /// It replaces another one.
    pub rotated: bool,
    pub org: OrgId,
    pub name: String,
}

/// The headers that protect a request against replay.
#[derive(Clone, Copy)]
pub struct ReplayGuard<'a> {
    /// Seconds since 1970.
    pub timestamp: Option<&'a str>,
    pub nonce: Option<&'a str>,
}

impl Accounts {
    /// Returns the caller's organization.
    pub async fn account(&self, caller: &Caller) -> Result<Organization, Failure> {
        caller.require(Scope::OrgAdmin)?;
        let org = self.store.find_organization(caller.org()?).await?;
        org.ok_or_else(Failure::internal)
    }

    /// Returns the mode that is in effect: where carriers are simulated, every organization is in the sandbox.
    pub fn effective_mode(&self, org: &Organization) -> butt_dial_store::OrgMode {
        match self.settings.simulated_world {
            true => butt_dial_store::OrgMode::Sandbox,
            false => org.mode,
        }
    }

    /// Revokes the caller's own team token, or all team tokens of the organization.
    pub async fn revoke_own_tokens(&self, caller: &Caller, all: bool) -> Result<u64, Failure> {
        caller.require(Scope::OrgAdmin)?;
        let org = caller.org()?;
        if caller.principal.agent.is_some() {
            return Err(Failure::new(Code::AuthForbidden, "an agent can't revoke team tokens").hint("use a team token"));
        }
        let (own, now) = (&caller.principal.token, self.clock.now());
        let change = self
            .audit
            .change(org, own.as_str(), "token.revoke", own.as_str(), json!({ "all": all }));
        Ok(match all {
            true => change.revoke_tokens(org, None, None, now).await?,
            false => u64::from(change.revoke_team_token(org, own, now).await?),
        })
    }

    /// Mints a team token for the host with the organization's webhook secret. It replaces the team tokens without a label. An
    /// unknown organization and a wrong secret give the same refusal.
    pub async fn reveal_team_token(
        &self,
        org: &OrgId,
        secret: Option<&str>,
        guard: ReplayGuard<'_>,
    ) -> Result<RevealedToken, Failure> {
        let secret = secret.ok_or_else(|| {
            Failure::new(
                Code::AuthMissingHeader,
                "the header Authorization: Bearer <webhookSecret> is missing",
            )
        })?;
        let found = self.store.find_organization(org).await?;
        let salt = found.as_ref().and_then(|found| found.webhook_salt.clone());
        let expected = secrets::webhook_secret(&self.vault, org, salt.as_deref().unwrap_or_default());
        let is_right = bool::from(expected.as_bytes().ct_eq(secret.as_bytes()));
        let found = found.filter(|_| is_right && salt.is_some()).ok_or_else(refused)?;
        self.check_replay(org, guard).await?;
        match found.status {
            OrgStatus::Active => {}
            // Verified, but the terms are not accepted yet.
            OrgStatus::Pending => {
                return Err(
                    Failure::new(Code::WebhookSecretUnregistered, "this organization is not active yet")
                        .hint("its owner has to accept the terms"),
                );
            }
            OrgStatus::Suspended | OrgStatus::Erasing | OrgStatus::Erased => return Err(refused()),
        }
        let (token, now) = (Unstored::generate(false), self.clock.now());
        let request = TokenRequest::new(org, None, Scope::OrgAdmin);
        let replaced = self
            .audit
            .change(org, SYSTEM, "token.reveal", token.id.as_str(), json!({}))
            .replace_tokens(&token.row(&request), ReplacedTokens::UnlabelledTeam, now, now)
            .await?;
        Ok(RevealedToken {
            token: token.secret,
            rotated: replaced > 0,
            org: found.id,
            name: found.name,
        })
    }

    async fn check_replay(&self, org: &OrgId, guard: ReplayGuard<'_>) -> Result<(), Failure> {
        let timestamp = guard.timestamp.and_then(|text| text.trim().parse::<i64>().ok());
        let timestamp = timestamp.ok_or_else(|| {
            Failure::new(
                Code::InvalidArgument,
                "the header X-Request-Timestamp is the time in seconds since 1970",
            )
        })?;
        if timestamp.abs_diff(self.clock.now().timestamp()) > MAX_SKEW_SECONDS.unsigned_abs() {
            return Err(Failure::new(
                Code::AuthTimestampExpired,
                "X-Request-Timestamp is more than 60 seconds off",
            )
            .hint("set the clock of your host, and sign the request again"));
        }
        let nonce = guard.nonce.map(str::trim).unwrap_or_default();
        if nonce.len() != NONCE_LENGTH || !nonce.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(Failure::new(
                Code::InvalidArgument,
                "the header X-Request-Nonce has 32 hexadecimal digits",
            ));
        }
        let key = keys::reveal_nonce(org, &nonce.to_lowercase());
        match self.kv.once(&key, NONCE_LIFETIME).await.map_err(unavailable)? {
            true => Ok(()),
            false => Err(Failure::new(Code::AuthNonceReplay, "this nonce has been used").hint("use a new nonce")),
        }
    }
}

fn refused() -> Failure {
    Failure::new(
        Code::AuthForbidden,
        "the webhook secret is not valid for this organization",
    )
}
