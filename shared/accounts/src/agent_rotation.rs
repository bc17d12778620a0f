//! The rotation of an agent's own token: the old one works for half a minute more, so that a host can replace it.

use butt_dial_domain::{Code, Failure, clock::Timestamp};
use butt_dial_identity::{
    Caller,
    token::{TokenRequest, Unstored},
};
use butt_dial_store::ReplacedTokens;
use chrono::TimeDelta;
use serde_json::json;

use crate::Accounts;

/// How long the old token still works.
pub const GRACE_SECONDS: i64 = 30;

/// An agent's new token.
pub struct RotatedToken {
    pub token: String,
    pub old_token_ends_at: Timestamp,
    pub grace_seconds: i64,
}

impl Accounts {
    /// Replaces the caller's token. The new one has the same label, expiry, grants and budget. Fails with `Conflict` when another call has replaced it already.
    pub async fn rotate_agent_token(&self, caller: &Caller) -> Result<RotatedToken, Failure> {
        let agent = &caller.agent()?.agent;
        let principal = &caller.principal;
        let replaced_already = || {
            Failure::new(Code::Conflict, "this token has been replaced already")
                .hint("use the new token of that rotation")
        };
        let old = self.store.find_agent_token(&agent.id, &principal.token).await?;
        let old = old.ok_or_else(replaced_already)?;
        let (token, now) = (Unstored::generate(true), self.clock.now());
        let request = TokenRequest {
            label: old.label.as_deref(),
            expires_at: old.expires_at,
            created_by: Some(&principal.token),
            restriction: principal.restriction.as_deref(),
            ..TokenRequest::new(&agent.org_id, Some(&agent.id), principal.scope)
        };
        let ends_at = now + TimeDelta::seconds(GRACE_SECONDS);
        let detail = json!({ "replacedBy": token.id, "graceSeconds": GRACE_SECONDS });
        let own = &principal.token;
        let replaced = self
            .audit
            .change(&agent.org_id, own.as_str(), "token.rotate", own.as_str(), detail)
            .replace_tokens(&token.row(&request), ReplacedTokens::One(own), ends_at, now)
            .await?;
        if replaced == 0 {
            return Err(replaced_already());
        }
        Ok(RotatedToken {
            token: token.secret,
            old_token_ends_at: ends_at,
            grace_seconds: GRACE_SECONDS,
        })
    }
}
