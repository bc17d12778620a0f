//! The gateway: MCP (three transports), REST, and links to attachments. Any replica serves any request.
//! One definition of each operation (`shared/operations`) serves MCP, REST and OpenAPI.

mod account_pages;
mod approval_page;
mod auth;
mod base_path;
mod cors;
mod http_errors;
pub mod mcp;
mod media;
mod page_style;
mod response_sent;
pub mod rest;

use std::sync::Arc;

use axum::Router;
use butt_dial_domain::Scope;
use butt_dial_operations::{self as operations, Product};
use butt_dial_runtime::{Backend, Platform, Role, platform::StartError};
use futures::FutureExt;

use cors::CorsOrigins;

pub const ROLE: Role = Role {
    name: "gateway",
    needs: Backend::ALL,
    build: |platform| build(platform).boxed(),
};

async fn build(platform: Platform) -> Result<Router, StartError> {
    let for_agents = operations::all()
        .iter()
        .filter(|definition| definition.scope == Scope::Agent);
    let names = for_agents.map(|definition| definition.name).collect();
    let product =
        Product::new(&platform, names, operations::OF_CLIENTS).map_err(|error| StartError::Other(error.to_string()))?;
    let product = Arc::new(product);
    let sessions = mcp::start_sessions(&platform, &product).await?;
    let mcp = mcp::router(&platform, &product, &sessions);
    let rest = rest::router(&platform, &product, &sessions.revocations);
    let media = media::router(product.media.clone());
    let pages = account_pages::router(product.accounts.clone()).merge(approval_page::router(product.outbound.clone()));
    let routes = mcp.merge(rest).merge(media).merge(pages);
    let routes = routes.layer(CorsOrigins::new(&platform.config.cors_allowed_origins).layer());
    // Some proxies remove the path, others forward it.
    Ok(match platform.config.base_path.as_str() {
        "" => routes,
        path => Router::new().nest(path, routes.clone()).merge(routes),
    })
}
