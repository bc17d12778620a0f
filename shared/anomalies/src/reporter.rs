//! The way to the agents and organizations that accounts offer.

use async_trait::async_trait;
use butt_dial_domain::{AgentId, Failure, OrgId, clock::Timestamp};
use serde_json::Value;

/// A pause of an agent's messages to a contact.
#[derive(Clone, Copy, Debug)]
pub struct Pause<'a> {
    pub id: &'a str,
    pub contact: &'a str,
    pub until: Timestamp,
}

/// Reports what the program has done to an agent.
#[async_trait]
pub trait Reporter: Send + Sync {
    /// Reports a suspension to the agent and to its organization.
    async fn report_suspension(&self, org: &OrgId, agent: &AgentId, reason: &str) -> Result<(), Failure>;

    /// Returns kind and data of the event that reports a pause to the agent. It is written with the pause.
    fn pause_event(&self, agent: &AgentId, pause: &Pause<'_>, now: Timestamp) -> (&'static str, Value);
}
