//! Bounds how many requests of one agent wait on this replica at the same time, such as `comms_wait_events`.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use butt_dial_domain::{AgentId, Code, Failure};

/// Cheap to clone.
#[derive(Clone)]
pub struct WaitSlots {
    waiting: Arc<Mutex<HashMap<AgentId, usize>>>,
    max_per_agent: usize,
}

/// Frees the slot when it is dropped.
pub struct WaitSlot {
    waiting: Arc<Mutex<HashMap<AgentId, usize>>>,
    agent: AgentId,
}

impl WaitSlots {
    pub fn new(max_per_agent: usize) -> Self {
        Self {
            waiting: Arc::default(),
            max_per_agent,
        }
    }

    /// Takes a slot. Fails with `RateLimited` when the agent has too many waiting requests.
    pub fn take(&self, agent: &AgentId) -> Result<WaitSlot, Failure> {
        let mut waiting = locked(&self.waiting);
        let count = waiting.entry(agent.clone()).or_default();
        if *count >= self.max_per_agent {
            return Err(
                Failure::new(Code::RateLimited, "too many requests of this agent are waiting")
                    .hint("wait for the end of the others; one waiting request receives all events")
                    .detail("limit", self.max_per_agent)
                    .retry_after(1),
            );
        }
        *count += 1;
        Ok(WaitSlot {
            waiting: self.waiting.clone(),
            agent: agent.clone(),
        })
    }
}

impl Drop for WaitSlot {
    fn drop(&mut self) {
        let mut waiting = locked(&self.waiting);
        if let Some(count) = waiting.get_mut(&self.agent) {
            *count -= 1;
            if *count == 0 {
                waiting.remove(&self.agent);
            }
        }
    }
}

fn locked(waiting: &Mutex<HashMap<AgentId, usize>>) -> MutexGuard<'_, HashMap<AgentId, usize>> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_waits_beyond_limit_until_one_ends() {
        let (slots, ada, bob) = (WaitSlots::new(2), AgentId::from("ada"), AgentId::from("bob"));
        let first = slots.take(&ada).ok();
        let second = slots.take(&ada).ok();
        assert!(first.is_some() && second.is_some());
        let refusal = slots.take(&ada).err();
        assert_eq!(refusal.map(|failure| failure.code), Some(Code::RateLimited));
        assert!(slots.take(&bob).is_ok());
        drop(first);
        assert!(slots.take(&ada).is_ok());
        drop(second);
        assert!(locked(&slots.waiting).is_empty());
    }
}
