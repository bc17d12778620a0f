//! The gateway: how agents reach Butt-Dial, over MCP (three transports) and REST. Any replica serves any request.
//! One definition of each operation (`operations/`) serves MCP, REST and OpenAPI.

mod auth;
pub mod mcp;
pub mod operations;
pub mod rest;
mod sent;

use std::time::Duration;

use axum::Router;
use butt_dial_comms::outbound::reconcile;
use butt_dial_runtime::{Platform, Role, platform::StartError};
use futures::FutureExt;

/// How often messages with an unknown outcome are looked for. The look itself is due by the message's own schedule.
const RECONCILE_EVERY: Duration = Duration::from_secs(1);

pub const ROLE: Role = Role {
    name: "gateway",
    build: |platform| build(platform).boxed(),
};

async fn build(platform: Platform) -> Result<Router, StartError> {
    let mcp = mcp::router(&platform).await?;
    let rest = rest::router(&platform);
    // Until there is a dispatcher, the gateways share its sweep among them: rows are claimed, never looked at twice.
    let comms = platform.comms.clone();
    platform.lifecycle.repeat(RECONCILE_EVERY, move || {
        let comms = comms.clone();
        async move {
            if let Err(failure) = reconcile::run_once(&comms).await {
                tracing::warn!(%failure, "the sweep of unknown sends has to wait");
            }
        }
    });
    Ok(mcp.merge(rest))
}
