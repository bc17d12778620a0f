//! Bounds how many requests of one agent, and of one organization, wait on this replica at the same time, such as
//! `comms_wait_events`.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use butt_dial_domain::{AgentId, Code, Failure, OrgId};

/// Cheap to clone.
#[derive(Clone)]
pub struct WaitSlots {
    waiting: Arc<Mutex<Waiting>>,
    max_per_agent: usize,
    max_per_org: usize,
}

#[derive(Default)]
struct Waiting {
    agents: HashMap<AgentId, usize>,
    orgs: HashMap<OrgId, usize>,
}

/// Frees the slot when it is dropped.
pub struct WaitSlot {
    waiting: Arc<Mutex<Waiting>>,
    agent: AgentId,
    org: OrgId,
}

impl WaitSlots {
    pub fn new(max_per_agent: usize, max_per_org: usize) -> Self {
        Self {
            waiting: Arc::default(),
            max_per_agent,
            max_per_org,
        }
    }

    /// Takes a slot. Fails with `RateLimited` when the agent or its organization has too many waiting requests.
    pub fn take(&self, agent: &AgentId, org: &OrgId) -> Result<WaitSlot, Failure> {
        let mut waiting = locked(&self.waiting);
        let of_agent = waiting.agents.get(agent).copied().unwrap_or_default();
        let of_org = waiting.orgs.get(org).copied().unwrap_or_default();
        if of_agent >= self.max_per_agent {
            return Err(too_many("agent", self.max_per_agent));
        }
        if of_org >= self.max_per_org {
            return Err(too_many("organization", self.max_per_org));
        }
        waiting.agents.insert(agent.clone(), of_agent + 1);
        waiting.orgs.insert(org.clone(), of_org + 1);
        Ok(WaitSlot {
            waiting: self.waiting.clone(),
            agent: agent.clone(),
            org: org.clone(),
        })
    }
}

fn too_many(scope: &'static str, limit: usize) -> Failure {
    Failure::new(
        Code::RateLimited,
        format!("too many requests of this {scope} are waiting"),
    )
    .hint("wait for the end of the others; one waiting request receives all events")
    .detail("scope", scope)
    .detail("limit", limit)
    .retry_after(1)
}

impl Drop for WaitSlot {
    fn drop(&mut self) {
        let mut waiting = locked(&self.waiting);
        release(&mut waiting.agents, &self.agent);
        release(&mut waiting.orgs, &self.org);
    }
}

fn release<K: std::hash::Hash + Eq>(counts: &mut HashMap<K, usize>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}

fn locked(waiting: &Mutex<Waiting>) -> MutexGuard<'_, Waiting> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_waits_beyond_limit_until_one_ends() {
        let (slots, org) = (WaitSlots::new(2, 9), OrgId::from("org_a"));
        let (ada, bob) = (AgentId::from("ada"), AgentId::from("bob"));
        let first = slots.take(&ada, &org).ok();
        let second = slots.take(&ada, &org).ok();
        assert!(first.is_some() && second.is_some());
        let refusal = slots.take(&ada, &org).err();
        assert_eq!(refusal.map(|failure| failure.code), Some(Code::RateLimited));
        assert!(slots.take(&bob, &org).is_ok());
        drop(first);
        assert!(slots.take(&ada, &org).is_ok());
        drop(second);
        let waiting = locked(&slots.waiting);
        assert!(waiting.agents.is_empty() && waiting.orgs.is_empty());
    }

    #[test]
    fn agents_of_one_organization_share_its_limit() {
        let (slots, ours, theirs) = (WaitSlots::new(9, 2), OrgId::from("org_a"), OrgId::from("org_b"));
        let agents = ["ada", "bob", "cyd"].map(AgentId::from);
        let taken: Vec<WaitSlot> = agents
            .iter()
            .filter_map(|agent| slots.take(agent, &ours).ok())
            .collect();
        assert_eq!(taken.len(), 2);
        let refusal = slots.take(&agents[2], &ours).err().unwrap();
        assert_eq!(
            (&refusal.details["scope"], &refusal.details["limit"]),
            (&"organization".into(), &2.into())
        );
        assert!(slots.take(&agents[2], &theirs).is_ok());
        drop(taken);
        assert!(slots.take(&agents[2], &ours).is_ok());
    }
}
