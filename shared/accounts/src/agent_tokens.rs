//! Further tokens of an agent: created with a label, an expiry and grants, and revoked one by one.

use butt_dial_domain::{Code, Failure, Grants, Restriction, Scope, TokenId, clock::Timestamp, redacted::redacted};
use butt_dial_identity::{
    Caller,
    token::{Minted, TokenRequest, Unstored},
};
use serde_json::json;

use crate::{
    Agents,
    team_tokens::{clean_label, expiry},
};

/// Valid tokens of an agent.
const MAX_TOKENS: i64 = 100;

/// A token to create for an agent.
#[derive(Debug, Default)]
pub struct NewAgentToken<'a> {
    pub label: Option<&'a str>,
    /// 1 to 3,650. `None`: it does not expire.
    pub expires_in_days: Option<u32>,
    /// `None`: it may do all that the agent may.
    pub grants: Option<Grants>,
}

/// A token that was created.
pub struct CreatedAgentToken {
    pub minted: Minted,
    pub label: Option<String>,
    pub expires_at: Option<Timestamp>,
}

impl Agents {
    /// Creates a further token of an agent, beside those that it has. Its scope is always `agent`.
    pub async fn create_token(
        &self,
        caller: &Caller,
        host_id: &str,
        new: NewAgentToken<'_>,
    ) -> Result<CreatedAgentToken, Failure> {
        caller.require(Scope::OrgAdmin)?;
        let agent = self.get(caller, host_id).await?.agent;
        let label = new.label.map(clean_label).transpose()?;
        let now = self.clock.now();
        let expires_at = new.expires_in_days.map(|days| expiry(now, days)).transpose()?;
        if self.store.count_agent_tokens(&agent.id, now).await? >= MAX_TOKENS {
            return Err(Failure::new(
                Code::AuthForbidden,
                format!("this agent has {MAX_TOKENS} tokens, as many as it may have"),
            )
            .hint("revoke tokens that are not in use"));
        }
        let token = Unstored::generate(true);
        let restriction = new.grants.map(|grants| Restriction {
            budget: token.id.to_string(),
            grants,
        });
        let request = TokenRequest {
            label: label.as_deref(),
            expires_at,
            created_by: Some(&caller.principal.token),
            restriction: restriction.as_ref(),
            ..TokenRequest::new(&agent.org_id, Some(&agent.id), Scope::Agent)
        };
        let actor = caller.principal.token.as_str();
        let detail =
            json!({ "agent": agent.id, "label": label.as_deref().map(redacted), "restricted": restriction.is_some() });
        self.audit
            .change(&agent.org_id, actor, "token.create", token.id.as_str(), detail)
            .create_token(&token.row(&request), now)
            .await?;
        let Unstored { id, secret, .. } = token;
        Ok(CreatedAgentToken {
            minted: Minted { id, secret },
            label,
            expires_at,
        })
    }

    /// Revokes one token of an agent. It is refused on every replica within a second.
    pub async fn revoke_token(&self, caller: &Caller, host_id: &str, id: &TokenId) -> Result<(), Failure> {
        caller.require(Scope::OrgAdmin)?;
        let agent = self.get(caller, host_id).await?.agent;
        let actor = caller.principal.token.as_str();
        let detail = json!({ "agent": agent.id });
        let change = self
            .audit
            .change(&agent.org_id, actor, "token.revoke", id.as_str(), detail);
        if !change.revoke_agent_token(&agent.id, id, self.clock.now()).await? {
            return Err(Failure::new(Code::NotFound, "this agent has no token with this id")
                .hint("GET /api/v1/agents/{agentId}/tokens lists the tokens"));
        }
        self.close_streams(&agent.id).await;
        Ok(())
    }
}
