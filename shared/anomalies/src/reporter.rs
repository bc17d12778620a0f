//! The way to the agents and organizations that accounts offer.

use async_trait::async_trait;
use butt_dial_domain::{AgentId, Failure, OrgId};

/// Reports what the program has done to an agent.
#[async_trait]
pub trait Reporter: Send + Sync {
    /// Reports a suspension to the agent and to its organization.
    async fn report_suspension(&self, org: &OrgId, agent: &AgentId, reason: &str) -> Result<(), Failure>;
}
