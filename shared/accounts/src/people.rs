//! Agents of an organization look each other up, write to each other, change their own profile, and look up a contact.

use butt_dial_domain::{Address, AgentId, Channel, Code, Failure};
use butt_dial_identity::Caller;
use butt_dial_store::{Agent, AgentStatus, ConsentInForce, ContactFacts, FoundAgent, Profile, Store};
use serde_json::json;

use crate::{Agents, agents::check_name};

/// Agents of one answer.
const MAX_FOUND: u32 = 200;
/// Characters of a search.
const MAX_QUERY: usize = butt_dial_domain::bounds::QUERY;

/// The knowledge of an organization about a contact.
#[derive(Clone, Debug)]
pub struct ContactProfile {
    pub facts: ContactFacts,
    /// The consent of the contact, on the channel of its address and those that share it.
    pub consent: Option<ConsentInForce>,
}

impl ContactProfile {
    /// Returns whether anything is known.
    pub fn is_known(&self) -> bool {
        let facts = &self.facts;
        self.consent.is_some()
            || facts.addresses.len() > 1
            || !facts.last_inbound.is_empty()
            || !facts.suppressions.is_empty()
    }
}

/// Looks up agents and contacts. Cheap to clone.
#[derive(Clone)]
pub struct People {
    store: Store,
    agents: Agents,
}

impl People {
    pub fn new(store: Store, agents: Agents) -> Self {
        Self { store, agents }
    }

    /// Lists the agents of the caller's organization, at most 200, by a part of their name or id.
    pub async fn find_agents(
        &self,
        caller: &Caller,
        query: Option<&str>,
        include_self: bool,
    ) -> Result<Vec<FoundAgent>, Failure> {
        let query = query.unwrap_or_default().trim().to_lowercase();
        if query.chars().count() > MAX_QUERY {
            return Err(Failure::new(
                Code::InvalidArgument,
                format!("query has at most {MAX_QUERY} characters"),
            ));
        }
        let mut found = self.store.search_agents(caller.org()?, &query, MAX_FOUND).await?;
        let own = caller.principal.agent.as_ref();
        // The id of the database may name the organization, which is not part of the host's id.
        let matches = |agent: &Agent| {
            query.is_empty()
                || agent.display_name.to_lowercase().contains(&query)
                || agent.id.host_id().to_lowercase().contains(&query)
        };
        found.retain(|found| matches(&found.agent) && (include_self || Some(&found.agent.id) != own));
        Ok(found)
    }

    /// Finds an agent of the caller's organization by its id or its name. An agent of another organization and one that does
    /// not exist give the same `AgentNotFound`.
    pub async fn find_colleague(&self, caller: &Caller, named: &str) -> Result<Profile, Failure> {
        let unknown = || {
            Failure::new(
                Code::AgentNotFound,
                "your organization has no agent with this id or name",
            )
            .hint("comms_find_agent lists the agents")
        };
        let (org, named) = (caller.org()?, named.trim());
        if named.is_empty() || named.chars().count() > MAX_QUERY {
            return Err(unknown());
        }
        let by_id: Option<AgentId> = match butt_dial_domain::ids::is_valid_host_id(named) {
            true => self.store.find_agent_id(org, named).await?,
            false => None,
        };
        let id = match by_id {
            Some(id) => id,
            None => {
                let mut found = self.store.find_agents_by_name(org, named).await?;
                match (found.pop(), found.is_empty()) {
                    (Some(agent), true) => agent.id,
                    (Some(_), false) => {
                        return Err(Failure::new(Code::InvalidArgument, "several agents have this name")
                            .hint("give the id of the agent; comms_find_agent lists them")
                            .detail("fields", json!(["toAgent"])));
                    }
                    (None, _) => return Err(unknown()),
                }
            }
        };
        self.store.find_profile(&id).await?.ok_or_else(unknown)
    }

    /// Returns a channel of messages on which both agents have an address, and the sender can send.
    pub fn shared_channel(own: &Profile, other: &Profile) -> Option<Channel> {
        let is_shared = |channel: &Channel| {
            own.channel(*channel).is_some_and(|owned| !owned.paused) && other.channel(*channel).is_some()
        };
        Channel::MESSAGES.into_iter().find(is_shared)
    }

    /// Sets the caller's own name. Returns it as it is stored.
    pub async fn rename(&self, caller: &Caller, name: &str) -> Result<String, Failure> {
        let agent = &caller.agent()?.agent;
        let name = check_name("agentName", name)?;
        self.store.rename_agent(&agent.org_id, &agent.id, &name).await?;
        Ok(name)
    }

    /// Sets the caller's own status: active or inactive. A suspended agent can't change it.
    pub async fn set_own_status(&self, caller: &Caller, status: AgentStatus) -> Result<AgentStatus, Failure> {
        let agent = &caller.agent()?.agent;
        if status == AgentStatus::Suspended {
            return Err(Failure::new(Code::InvalidArgument, "status is one of active, inactive"));
        }
        self.agents.set_own_status(caller, status).await?;
        tracing::info!(agent = %agent.id, status = status.as_str(), "agent changed its status");
        Ok(status)
    }

    /// Returns what is known of a contact.
    pub async fn find_contact(
        &self,
        caller: &Caller,
        channel: Channel,
        contact: &Address,
    ) -> Result<ContactProfile, Failure> {
        let agent = &caller.agent()?.agent;
        let facts = self
            .store
            .find_contact_facts(&agent.org_id, &agent.id, contact.as_str())
            .await?;
        let consent = self
            .store
            .find_consent(&agent.org_id, channel, contact.as_str())
            .await?;
        Ok(ContactProfile { facts, consent })
    }
}
