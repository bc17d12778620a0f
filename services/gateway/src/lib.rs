//! The gateway: MCP (three transports), REST, and links to attachments. Any replica serves any request.
//! One definition of each operation (`operations/`) serves MCP, REST and OpenAPI.

mod auth;
mod http_errors;
pub mod mcp;
mod media;
pub mod operations;
pub mod rest;
mod response_sent;

use axum::Router;
use butt_dial_runtime::{Platform, Role, platform::StartError};
use futures::FutureExt;

pub const ROLE: Role = Role {
    name: "gateway",
    build: |platform| build(platform).boxed(),
};

async fn build(platform: Platform) -> Result<Router, StartError> {
    let mcp = mcp::router(&platform).await?;
    let rest = rest::router(&platform);
    let media = media::router(platform.comms.clone());
    Ok(mcp.merge(rest).merge(media))
}
