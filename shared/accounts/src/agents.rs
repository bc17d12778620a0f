//! Agents of an organization: registration, listing and token rotation by its administrators.

use std::sync::Arc;

use butt_dial_domain::{
    AgentId, Clock, Code, Failure, OrgId, Scope, ids,
    ports::bus::{Bus, Headers},
    subjects,
};
use butt_dial_identity::{
    Caller, find_visible_agent, on_behalf_of,
    token::{self, Minted, TokenRequest, Unstored},
};
use butt_dial_store::{
    Agent, AgentStatus, Profile, ReplacedTokens, ScheduledSend, StatusSetBy, Store, StoreError, Token,
};
use serde_json::json;

use crate::audit::AuditLog;

/// Characters of a display name.
const MAX_NAME_LENGTH: usize = butt_dial_domain::bounds::NAME;
const MAX_PAGE: u32 = butt_dial_domain::bounds::PAGE;
/// Agents of an organization.
const MAX_QUOTA: u32 = butt_dial_domain::bounds::AGENTS;
/// Scheduled sends that the answer to a token rotation lists.
const MAX_LISTED_SENDS: u32 = 100;

/// A request to register an agent.
pub struct NewAgent<'a> {
    /// The host's own id for the agent: 1 to 64 letters, digits, `-` or `_`. `None`: an id is generated.
    pub id: Option<&'a str>,
    pub display_name: &'a str,
    pub scope: Scope,
}

/// The result of a change of an agent's status.
#[derive(Clone, Copy, Debug)]
pub struct StatusChange {
    pub status: AgentStatus,
    /// Scheduled sends that the change has cancelled.
    pub cancelled_sends: u64,
}

/// Manages the agents of organizations. Cheap to clone.
#[derive(Clone)]
pub struct Agents {
    pub(crate) store: Store,
    bus: Arc<dyn Bus>,
    pub(crate) audit: AuditLog,
    pub(crate) clock: Clock,
}

impl Agents {
    pub fn new(store: Store, bus: Arc<dyn Bus>, clock: Clock) -> Self {
        Self {
            audit: AuditLog::new(store.clone(), clock.clone()),
            store,
            bus,
            clock,
        }
    }

    /// Registers an agent and creates its token. A scope beyond `agent` needs an administrator with at least that scope.
    pub async fn register(&self, caller: &Caller, new: NewAgent<'_>) -> Result<(Agent, Minted), Failure> {
        self.register_in(caller, caller.org()?, new).await
    }

    /// Registers an agent of this organization, for a caller that may.
    pub async fn register_in(
        &self,
        caller: &Caller,
        org: &OrgId,
        new: NewAgent<'_>,
    ) -> Result<(Agent, Minted), Failure> {
        caller.require(Scope::OrgAdmin)?;
        caller.require(new.scope)?;
        let (count, max) = self.store.find_agent_quota(org).await?;
        if max.is_some_and(|max| count >= max) {
            return Err(Failure::new(
                Code::AuthForbidden,
                format!("your organization has {count} agents, as many as it may have"),
            )
            .hint("raise the number with comms_expand_client_pool"));
        }
        if new.id.is_some_and(|id| !ids::is_valid_host_id(id)) {
            return Err(Failure::new(
                Code::InvalidArgument,
                "agent_id is 1 to 64 letters, digits, - or _",
            ));
        }
        let name = check_name("display_name", new.display_name)?;
        let agent = Agent {
            id: new.id.map_or_else(AgentId::generate, AgentId::from),
            org_id: org.clone(),
            display_name: name,
            status: AgentStatus::Active,
            created_at: self.clock.now(),
        };
        let actor = caller.principal.token.as_str();
        let detail = json!({ "scope": new.scope });
        let change = self
            .audit
            .change(org, actor, "agent.register", agent.id.as_str(), detail);
        let agent = change.register_agent(agent).await.map_err(|error| match error {
            StoreError::Conflict => {
                Failure::new(Code::AlreadyExists, "your organization has an agent with this agent_id")
                    .hint("choose another id")
            }
            other => other.into(),
        })?;
        let request = TokenRequest {
            created_by: Some(&caller.principal.token),
            ..TokenRequest::new(org, Some(&agent.id), new.scope)
        };
        let detail = json!({ "agent": agent.id });
        let change = self.audit.change(org, actor, "token.create", "", detail);
        let minted = token::mint(&change, &request, agent.created_at).await?;
        Ok((agent, minted))
    }

    /// Returns the caller for what an administrator does for an agent of its organization.
    pub async fn on_behalf_of(&self, caller: &Caller, host_id: &str) -> Result<Arc<Caller>, Failure> {
        caller.require(Scope::OrgAdmin)?;
        let agent = self.get(caller, host_id).await?.agent;
        on_behalf_of(&self.store, &agent.id).await?.ok_or_else(no_such_agent)
    }

    /// Returns how many agents the organization has, and how many it may have. `None`: no limit.
    pub async fn quota(&self, caller: &Caller) -> Result<(u32, Option<u32>), Failure> {
        caller.require(Scope::OrgAdmin)?;
        Ok(self.store.find_agent_quota(caller.org()?).await?)
    }

    /// Checks a number of agents. Fails with `InvalidArgument` outside of 1 to 10,000.
    pub fn check_quota(&self, max: u32) -> Result<(), Failure> {
        if (1..=MAX_QUOTA).contains(&max) {
            return Ok(());
        }
        Err(
            Failure::new(Code::InvalidArgument, format!("maxAgents is 1 to {MAX_QUOTA}"))
                .detail("fields", json!(["maxAgents"])),
        )
    }

    /// Sets how many agents the organization may have. It keeps those that it has.
    pub async fn set_quota(&self, caller: &Caller, max: u32) -> Result<(), Failure> {
        caller.require(Scope::OrgAdmin)?;
        self.check_quota(max)?;
        let org = caller.org()?;
        let actor = caller.principal.token.as_str();
        let detail = json!({ "maxAgents": max });
        let change = self.audit.change(org, actor, "org.max_agents", org.as_str(), detail);
        Ok(change.set_agent_quota(org, max).await?)
    }

    /// Sets the status of an agent of the caller's organization. An agent that is not active can't send, call or schedule; its
    /// scheduled sends are cancelled. Takes effect on every replica within a second.
    pub async fn set_status(
        &self,
        caller: &Caller,
        host_id: &str,
        status: AgentStatus,
    ) -> Result<StatusChange, Failure> {
        caller.require(Scope::OrgAdmin)?;
        let agent = self.get(caller, host_id).await?.agent;
        self.change_status(&agent.org_id, caller.principal.token.as_str(), &agent.id, status)
            .await
    }

    /// Sets the caller's own status. Refuses a suspended agent: only an administrator ends a suspension.
    pub(crate) async fn set_own_status(&self, caller: &Caller, status: AgentStatus) -> Result<StatusChange, Failure> {
        let agent = &caller.agent()?.agent;
        // Not the cached profile: the suspension may be younger.
        let current = self.store.find_agent(&agent.org_id, &agent.id).await?;
        if current.is_none_or(|current| current.status == AgentStatus::Suspended) {
            return Err(Failure::new(Code::AuthForbidden, "this agent is suspended")
                .hint("an administrator has to set it active"));
        }
        self.change_status(&agent.org_id, caller.principal.token.as_str(), &agent.id, status)
            .await
    }

    /// Sets the status of an agent of any organization, for the operator's command line. Fails with `InvalidArgument` if several
    /// organizations use the id and it does not name one (`agent~org_1`).
    pub async fn set_status_as_operator(&self, id: &AgentId, status: AgentStatus) -> Result<StatusChange, Failure> {
        let mut found = self.store.list_agents_of_any_org(id.host_id()).await?;
        if let Some(org) = id.named_org() {
            found.retain(|agent| agent.org_id == org);
        }
        if found.len() > 1 {
            let whole = found
                .iter()
                .map(|agent| AgentId::in_org(agent.id.host_id(), &agent.org_id).into_string());
            let hint = format!("name one of them: {}", whole.collect::<Vec<_>>().join(", "));
            return Err(Failure::new(
                Code::InvalidArgument,
                "several organizations have an agent with this id",
            )
            .hint(hint));
        }
        let agent = found.pop().ok_or_else(no_such_agent)?;
        self.change_status(&agent.org_id, "operator", &agent.id, status).await
    }

    async fn change_status(
        &self,
        org: &OrgId,
        actor: &str,
        agent: &AgentId,
        status: AgentStatus,
    ) -> Result<StatusChange, Failure> {
        let detail = json!({ "status": status.as_str() });
        let cancelled = self
            .audit
            .change(org, actor, "agent.status", agent.as_str(), detail)
            .set_agent_status(org, agent, status, StatusSetBy::Admin, None)
            .await?;
        let cancelled_sends = cancelled.ok_or_else(no_such_agent)?;
        Ok(StatusChange {
            status,
            cancelled_sends,
        })
    }

    /// Replaces all tokens of an agent by a new one. The old ones stop working on every replica within a second. Returns what
    /// the agent has scheduled: it still leaves, also if an old token was stolen.
    pub async fn regenerate_token(
        &self,
        caller: &Caller,
        host_id: &str,
    ) -> Result<(Minted, Vec<ScheduledSend>), Failure> {
        caller.require(Scope::OrgAdmin)?;
        let profile = self.get(caller, host_id).await?;
        let (org, agent) = (&profile.agent.org_id, &profile.agent.id);
        let old = self.store.list_agent_tokens(org, agent).await?;
        let scopes = old.iter().map(|token| token.principal.scope);
        let scope = scopes.max().unwrap_or(Scope::Agent);
        let now = self.clock.now();
        let request = TokenRequest {
            created_by: Some(&caller.principal.token),
            ..TokenRequest::new(org, Some(agent), scope)
        };
        let token = Unstored::generate(true);
        let actor = caller.principal.token.as_str();
        let detail = json!({ "replacedBy": token.id });
        self.audit
            .change(org, actor, "token.regenerate", agent.as_str(), detail)
            .replace_tokens(&token.row(&request), ReplacedTokens::OfAgent(agent), now, now)
            .await?;
        self.close_streams(agent).await;
        let Unstored { id, secret, .. } = token;
        let minted = Minted { id, secret };
        let scheduled = self.store.list_scheduled(agent, None, MAX_LISTED_SENDS).await?;
        Ok((minted, scheduled))
    }

    /// Closes the agent's open streams on every replica. Cached tokens expire without this; requests over an open stream are
    /// refused in any case.
    pub(crate) async fn close_streams(&self, agent: &AgentId) {
        let payload = agent.to_string().into();
        let published = self.bus.publish(subjects::TOKENS_REVOKED, Headers::new(), payload);
        if let Err(error) = published.await {
            tracing::warn!(%error, %agent, "streams of a revoked token not closed");
        }
    }

    /// Returns an agent that the caller may see, by its host's id; otherwise `AgentNotFound`.
    pub async fn get(&self, caller: &Caller, host_id: &str) -> Result<Profile, Failure> {
        find_visible_agent(&self.store, caller, host_id).await
    }

    /// Lists the organization's agents in the order of their ids, after `after`. `limit` is clamped to 1 to 200.
    pub async fn list(&self, caller: &Caller, after: Option<&str>, limit: u32) -> Result<Vec<Agent>, Failure> {
        caller.require(Scope::OrgAdmin)?;
        let after = after.filter(|after| ids::is_valid_host_id(after));
        let agents = self
            .store
            .list_agents(caller.org()?, after, limit.clamp(1, MAX_PAGE))
            .await?;
        Ok(agents)
    }

    /// Lists the tokens of an agent without their secrets, revoked ones included.
    pub async fn list_tokens(&self, caller: &Caller, host_id: &str) -> Result<Vec<Token>, Failure> {
        caller.require(Scope::OrgAdmin)?;
        let agent = self.get(caller, host_id).await?.agent;
        Ok(self.store.list_agent_tokens(&agent.org_id, &agent.id).await?)
    }
}

fn no_such_agent() -> Failure {
    Failure::new(Code::AgentNotFound, "there is no such agent")
}

/// Checks the name of an agent. Returns it without white space around it.
pub(crate) fn check_name(field: &'static str, name: &str) -> Result<String, Failure> {
    let name = name.trim();
    if name.is_empty() || name.chars().count() > MAX_NAME_LENGTH || name.chars().any(char::is_control) {
        return Err(Failure::new(
            Code::InvalidArgument,
            format!("{field} is one line of 1 to {MAX_NAME_LENGTH} characters"),
        )
        .detail("fields", json!([field])));
    }
    Ok(name.to_owned())
}
