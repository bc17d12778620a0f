//! A verified caller: its principal, its agent's profile, and the checks that operations make of it.

use std::sync::Arc;

use butt_dial_domain::{AgentId, Code, Failure, OrgId, Principal, Scope, TokenId, ids};
use butt_dial_store::{Profile, Store};

/// A verified caller, with the agent's profile where the token belongs to an agent.
#[derive(Clone, Debug)]
pub struct Caller {
    pub principal: Principal,
    pub profile: Option<Arc<Profile>>,
}

impl Caller {
    /// Returns the caller's agent. Team and orchestrator tokens have none: `AuthWrongScope`.
    pub fn agent(&self) -> Result<&Arc<Profile>, Failure> {
        self.profile
            .as_ref()
            .ok_or_else(|| wrong_scope("this needs an agent's token"))
    }

    /// Returns the caller's organization. The orchestrator has none: `AuthWrongScope`.
    pub fn org(&self) -> Result<&OrgId, Failure> {
        self.principal
            .org
            .as_ref()
            .ok_or_else(|| wrong_scope("this needs a token of an organization"))
    }

    /// Fails with `AuthForbidden` unless the caller's scope includes `scope`. A restricted token is never more than an agent.
    pub fn require(&self, scope: Scope) -> Result<(), Failure> {
        let is_restricted = self.principal.restriction.is_some();
        if self.principal.scope.allows(scope) && (!is_restricted || Scope::Agent.allows(scope)) {
            return Ok(());
        }
        let message = match scope {
            Scope::Anyone | Scope::Agent => "Agent access required.",
            Scope::OrgAdmin => "Admin access required. This needs a token with the scope org-admin.",
            Scope::SuperAdmin => "Admin access required. This needs the orchestrator's token.",
        };
        Err(Failure::new(Code::AuthForbidden, message))
    }

    /// Builds the caller of an open route without a token.
    pub fn anonymous() -> Self {
        Self {
            principal: Principal {
                token: TokenId::from("anonymous"),
                scope: Scope::Anyone,
                org: None,
                agent: None,
                restriction: None,
            },
            profile: None,
        }
    }

    pub(crate) fn orchestrator() -> Self {
        Self {
            principal: Principal {
                token: TokenId::from("tok_orchestrator"),
                scope: Scope::SuperAdmin,
                org: None,
                agent: None,
                restriction: None,
            },
            profile: None,
        }
    }
}

/// Builds the refusal of a token of the wrong kind for the operation.
pub fn wrong_scope(message: &'static str) -> Failure {
    Failure::new(Code::AuthWrongScope, message)
}

/// Builds the caller for work that the system does for an agent, such as a scheduled send. `None`: the agent does not exist.
pub async fn on_behalf_of(store: &Store, agent: &AgentId) -> Result<Option<Arc<Caller>>, Failure> {
    let profile = store.find_profile(agent).await?;
    Ok(profile.map(|profile| {
        Arc::new(Caller {
            principal: Principal {
                token: TokenId::from("system"),
                scope: Scope::Agent,
                org: Some(profile.agent.org_id.clone()),
                agent: Some(agent.clone()),
                restriction: None,
            },
            profile: Some(Arc::new(profile)),
        })
    }))
}

/// Returns an agent that the caller may see, by its host's id: itself, or any agent of the organization for its
/// administrators. An agent that the caller may not see and one that does not exist give the same `AgentNotFound`.
pub async fn find_visible_agent(store: &Store, caller: &Caller, host_id: &str) -> Result<Profile, Failure> {
    let unknown = || Failure::new(Code::AgentNotFound, "there is no such agent");
    let id = find_visible_id(store, caller, host_id).await?;
    store.find_profile(&id).await?.ok_or_else(unknown)
}

/// Like `find_visible_agent`, for callers that need only the installation's id.
pub async fn find_visible_id(store: &Store, caller: &Caller, host_id: &str) -> Result<AgentId, Failure> {
    let unknown = || Failure::new(Code::AgentNotFound, "there is no such agent");
    if !ids::is_valid_host_id(host_id) {
        return Err(unknown());
    }
    if let Some(own) = caller.principal.agent.as_ref().filter(|own| own.host_id() == host_id) {
        return Ok(own.clone());
    }
    let org = caller.principal.org.as_ref();
    let Some(org) = org.filter(|_| caller.require(Scope::OrgAdmin).is_ok()) else {
        return Err(unknown());
    };
    store.find_agent_id(org, host_id).await?.ok_or_else(unknown)
}
