//! `agent suspend` and `agent activate`: the operator's switch for an agent of any organization.

use butt_dial_accounts::AgentStatus;
use butt_dial_domain::AgentId;
use butt_dial_runtime::{Config, Lifecycle, Platform, platform::StartError};

#[derive(clap::Subcommand)]
pub enum Command {
    /// Suspend an agent: it can't send, schedule or call, and its scheduled messages are cancelled.
    Suspend { agent_id: String },
    /// Activate a suspended agent.
    Activate { agent_id: String },
}

pub async fn run(config: Config, command: Command) -> Result<bool, StartError> {
    let (id, status) = match command {
        Command::Suspend { agent_id } => (agent_id, AgentStatus::Suspended),
        Command::Activate { agent_id } => (agent_id, AgentStatus::Active),
    };
    let platform = Platform::assemble(config, Lifecycle::new(), 0).await?;
    let agents = &platform.product.agents;
    let change = agents
        .set_status_as_operator(&AgentId::from(id.as_str()), status)
        .await?;
    platform.backends().store.close().await;
    println!("agent {id} is {}", change.status.as_str());
    if change.cancelled_sends > 0 {
        println!("{} scheduled messages are cancelled", change.cancelled_sends);
    }
    Ok(true)
}
