//! The dispatcher: reads what came in, delivers it to agents, and does what has to be done later: schedules, second looks,
//! forgetting. Any number of replicas: each piece of work is claimed before it is done, and taken over when its holder dies.

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

/// Dispatchers share what they are told: one of them acts.
const GROUP: &str = "dispatchers";

async fn build(platform: Platform) -> Result<Router, StartError> {
    let Platform { comms, lifecycle, .. } = &platform;
    hear_of_returning_agents(comms, lifecycle).await?;
    let (reading, drain) = (comms.clone(), lifecycle.draining().clone());
    lifecycle.spawn(async move { follow::follow(&reading, &drain).await });
    sweeps::start(comms, lifecycle);
    Ok(Router::new())
}

/// A hint only: what is missed is found by the next sweep.
async fn hear_of_returning_agents(comms: &Comms, lifecycle: &Lifecycle) -> Result<(), StartError> {
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
