//! The dispatcher: applies inbound webhook events, delivers events to agents, and runs the periodic sweeps (scheduled sends,
//! reconcilers, retention). Any number of replicas may run: work is claimed first, and taken over when a replica dies.

mod governance;
mod sweeps;

use axum::Router;
use butt_dial_runtime::{Backend, Platform, Role, platform::StartError};
use futures::FutureExt;

pub const ROLE: Role = Role {
    name: "dispatcher",
    needs: Backend::ALL,
    build: |platform| build(platform).boxed(),
};

async fn build(platform: Platform) -> Result<Router, StartError> {
    let Platform { product, lifecycle, .. } = &platform;
    let returning = product.delivery.subscribe_returning_agents().await;
    let returning = returning.map_err(|error| StartError::Bus(error.to_string()))?;
    lifecycle.spawn(returning.deliver(lifecycle.draining().clone()));
    let (inbound, drain) = (product.inbound.clone(), lifecycle.draining().clone());
    lifecycle.spawn(async move { inbound.consume(&drain).await });
    sweeps::start(product, lifecycle);
    governance::start(&platform);
    Ok(Router::new())
}
