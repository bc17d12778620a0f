//! The rotation of the team token with a code to the administrator's telephone. The new token and the end of the old one are one
//! transaction: a host that misses the answer finds out with `GET /api/orgs/me`.

use butt_dial_domain::{ChallengeId, Code, Failure, Scope};
use butt_dial_identity::{
    Caller,
    token::{TokenRequest, Unstored},
};
use butt_dial_store::ReplacedTokens;
use serde_json::json;

use crate::{
    Accounts, AdminCode,
    phone::{owner, refuse_agent},
};

const PURPOSE: &str = "team token rotation";

impl Accounts {
    /// Sends a code to the administrator's telephone. Fails with `PhoneNotConfigured` if there is none.
    pub async fn request_rotation(&self, caller: &Caller) -> Result<AdminCode, Failure> {
        let org = self.account(caller).await?;
        refuse_agent(caller)?;
        let phone = org.admin_phone.ok_or_else(|| {
            Failure::new(
                Code::PhoneNotConfigured,
                "the organization has no confirmed telephone number",
            )
            .hint("confirm one with POST /api/orgs/me/phone/set")
        })?;
        self.send_code(&org.id, PURPOSE, &phone).await
    }

    /// Replaces the caller's team token by a new one with the same label and expiry. Returns the secret.
    pub async fn confirm_rotation(&self, caller: &Caller, challenge: &str, code: &str) -> Result<String, Failure> {
        let org = self.account(caller).await?.id;
        refuse_agent(caller)?;
        let id = ChallengeId::from(challenge);
        self.challenges.verify(&owner(&org), &id, PURPOSE, code).await?;
        let old_id = &caller.principal.token;
        let old = self.store.find_team_token(&org, old_id).await?;
        let old = old.ok_or_else(replaced_already)?;
        let (token, now) = (Unstored::generate(false), self.clock.now());
        let request = TokenRequest {
            created_by: Some(old_id),
            label: old.label.as_deref(),
            expires_at: old.expires_at,
            ..TokenRequest::new(&org, None, Scope::OrgAdmin)
        };
        let row = token.row(&request);
        let detail = json!({ "replacedBy": token.id });
        let replaced = self
            .audit
            .change(&org, old_id.as_str(), "token.rotate", old_id.as_str(), detail)
            .replace_tokens(&row, ReplacedTokens::One(old_id), now, now)
            .await?;
        if replaced == 0 {
            return Err(replaced_already());
        }
        Ok(token.secret)
    }
}

fn replaced_already() -> Failure {
    Failure::new(Code::Conflict, "this token has been replaced already").hint("use the new token of that rotation")
}
