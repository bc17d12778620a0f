//! Agents of an organization, made and listed by its administrators.

use butt_dial_domain::{AgentId, Code, Failure, OrgId, Scope, ids, ports::bus::Headers, subjects};
use butt_dial_store::{Agent, AgentStatus, AuditEntry, Profile, StoreError, Token};
use serde_json::{Value, json};

use crate::{
    Comms,
    identity::{
        Caller,
        token::{self, Minted},
    },
    store_failure,
};

const MAX_NAME: usize = 128;

/// Registers an agent. The host may bring its own id; a scope beyond `agent` takes an administrator of at least that scope.
pub async fn register(
    comms: &Comms,
    caller: &Caller,
    id: Option<&str>,
    display_name: &str,
    scope: Scope,
) -> Result<(Agent, Minted), Failure> {
    caller.require(Scope::OrgAdmin)?;
    caller.require(scope)?;
    let org = caller.org()?;
    if id.is_some_and(|id| !ids::is_valid_host_id(id)) {
        return Err(Failure::new(
            Code::InvalidArgument,
            "agent_id is 1 to 64 letters, digits, - or _",
        ));
    }
    let name = display_name.trim();
    if name.is_empty() || name.chars().count() > MAX_NAME || name.chars().any(char::is_control) {
        return Err(
            Failure::new(Code::InvalidArgument, "display_name is one line of 1 to 128 characters")
                .detail("fields", json!(["display_name"])),
        );
    }
    let agent = Agent {
        id: id.map_or_else(AgentId::generate, AgentId::from),
        org_id: org.clone(),
        display_name: name.to_owned(),
        status: AgentStatus::Active,
        created_at: comms.clock.now(),
    };
    comms.store.create_agent(&agent).await.map_err(|error| match error {
        StoreError::Conflict => Failure::new(Code::AlreadyExists, "this agent_id is taken").remedy("choose another id"),
        other => store_failure(other),
    })?;
    let minted = token::mint(&comms.store, org, Some(&agent.id), scope, None, agent.created_at).await?;
    audit(
        comms,
        caller,
        org,
        "agent.register",
        agent.id.as_str(),
        json!({ "scope": scope }),
    )
    .await?;
    Ok((agent, minted))
}

/// A new token in place of all old ones, which die at once (on every replica within a second).
pub async fn regenerate_token(comms: &Comms, caller: &Caller, agent: &AgentId) -> Result<Minted, Failure> {
    caller.require(Scope::OrgAdmin)?;
    let profile = get(comms, caller, agent).await?;
    let org = &profile.agent.org_id;
    let old = comms.store.list_agent_tokens(org, agent).await.map_err(store_failure)?;
    let scope = old
        .iter()
        .map(|token| token.principal.scope)
        .max()
        .unwrap_or(Scope::Agent);
    let now = comms.clock.now();
    // The new one first: whatever fails on the way, the agent is left with a token that works.
    let minted = token::mint(&comms.store, org, Some(agent), scope, None, now).await?;
    comms
        .store
        .revoke_tokens(org, Some(agent), Some(&minted.id), now)
        .await
        .map_err(store_failure)?;
    // Replicas forget the tokens by themselves; open streams of the agent are closed by this.
    let told = comms
        .bus
        .publish(subjects::TOKENS_REVOKED, Headers::new(), agent.to_string().into())
        .await;
    if let Err(error) = told {
        tracing::warn!(%error, %agent, "open streams of a revoked token stay until they are closed; nothing can be asked through them");
    }
    audit(
        comms,
        caller,
        org,
        "token.regenerate",
        agent.as_str(),
        json!({ "revoked": old.len() }),
    )
    .await?;
    Ok(minted)
}

/// The agent, if the caller may see it: its organization's administrators, and itself.
pub async fn get(comms: &Comms, caller: &Caller, agent: &AgentId) -> Result<Profile, Failure> {
    let unknown = || Failure::new(Code::AgentNotFound, "there is no such agent");
    if !ids::is_valid_host_id(agent.as_str()) {
        return Err(unknown());
    }
    let itself = caller.principal.agent.as_ref() == Some(agent);
    if !itself && !caller.principal.scope.allows(Scope::OrgAdmin) {
        return Err(unknown());
    }
    let found = comms.store.find_profile(agent).await.map_err(store_failure)?;
    found
        .filter(|profile| Some(&profile.agent.org_id) == caller.principal.org.as_ref())
        .ok_or_else(unknown)
}

pub async fn list(comms: &Comms, caller: &Caller, after: Option<&AgentId>, limit: u32) -> Result<Vec<Agent>, Failure> {
    caller.require(Scope::OrgAdmin)?;
    let after = after.filter(|after| ids::is_valid_host_id(after.as_str()));
    comms
        .store
        .list_agents(caller.org()?, after, limit.clamp(1, 200))
        .await
        .map_err(store_failure)
}

pub async fn list_tokens(comms: &Comms, caller: &Caller, agent: &AgentId) -> Result<Vec<Token>, Failure> {
    caller.require(Scope::OrgAdmin)?;
    let profile = get(comms, caller, agent).await?;
    comms
        .store
        .list_agent_tokens(&profile.agent.org_id, agent)
        .await
        .map_err(store_failure)
}

async fn audit(
    comms: &Comms,
    caller: &Caller,
    org: &OrgId,
    action: &str,
    target: &str,
    detail: Value,
) -> Result<(), Failure> {
    let entry = AuditEntry {
        org_id: Some(org.to_string()),
        actor: caller.principal.token.to_string(),
        action: action.into(),
        target: target.into(),
        detail,
        at: comms.clock.now(),
    };
    comms.store.append_audit(&entry).await.map_err(store_failure)
}
