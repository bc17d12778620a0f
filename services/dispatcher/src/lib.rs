//! The dispatcher: applies inbound webhook events, delivers events to agents, and runs the periodic sweeps (scheduled sends,
//! reconcilers, retention). Any number of replicas may run: work is claimed first, and taken over when a replica dies.

mod sweeps;

use axum::Router;
use butt_dial_comms::{Comms, delivery::ladder, inbound::follow};
use butt_dial_domain::{AgentId, subjects};
use butt_dial_runtime::{Lifecycle, Platform, Role, platform::StartError};
use futures::{FutureExt, StreamExt};

pub const ROLE: Role = Role {
    name: "dispatcher",
    build: |platform| build(platform).boxed(),
};

/// The subscription group: one dispatcher receives each message.
const GROUP: &str = "dispatchers";

async fn build(platform: Platform) -> Result<Router, StartError> {
    let Platform { comms, lifecycle, .. } = &platform;
    deliver_to_returning_agents(comms, lifecycle).await?;
    let (consumer, drain) = (comms.clone(), lifecycle.draining().clone());
    lifecycle.spawn(async move { follow::follow(&consumer, &drain).await });
    sweeps::start(comms, lifecycle);
    Ok(Router::new())
}

/// Starts the delivery worker of an agent that reconnects. A lost message only delays delivery until the next sweep.
async fn deliver_to_returning_agents(comms: &Comms, lifecycle: &Lifecycle) -> Result<(), StartError> {
    let returned = comms.bus.subscribe_group(subjects::AGENT_RETURNED, GROUP).await;
    let mut returned = returned.map_err(|error| StartError::Bus(error.to_string()))?;
    let (comms, drain) = (comms.clone(), lifecycle.draining().clone());
    lifecycle.spawn(async move {
        while let Some(Some(message)) = drain.run_until_cancelled(returned.next()).await {
            let agent = String::from_utf8_lossy(&message.payload).into_owned();
            ladder::wake(&comms, AgentId::from(agent));
        }
    });
    Ok(())
}
