//! Webhook ingest: receives the webhooks of carriers. It rejects unsigned webhooks, and answers 2xx only after the webhook
//! events are durable in the bus. It needs no database for that: the owners of addresses are cached in memory.

mod endpoint;
mod responses;
mod unsubscribe;

use axum::{
    Router,
    routing::{any, get},
};
use butt_dial_domain::Clock;
use butt_dial_messaging::inbound::{REFRESH_INTERVAL, Routes};
use butt_dial_runtime::{
    Backend, Lifecycle, Platform, Role,
    platform::{Product, StartError},
};
use futures::FutureExt;

pub const ROLE: Role = Role {
    name: "webhook-ingest",
    // It accepts webhooks as long as the bus does, whatever else is away.
    needs: &[Backend::Bus],
    build: |platform| build(platform).boxed(),
};

/// 1 MiB. The largest webhook of a vendor (a thousand entries from Meta) is smaller.
const MAX_BODY: usize = 1024 * 1024;

/// The state of the endpoint.
#[derive(Clone)]
pub struct Ingest {
    product: Product,
    clock: Clock,
    routes: Routes,
}

async fn build(platform: Platform) -> Result<Router, StartError> {
    let routes = platform.product.inbound.load_routes().await?;
    keep_routes_current(&routes, &platform.lifecycle);
    let ingest = Ingest {
        product: platform.product.clone(),
        clock: platform.clock.clone(),
        routes,
    };
    Ok(Router::new()
        .route(
            "/webhooks/unsubscribe/{token}",
            get(unsubscribe::show).post(unsubscribe::confirm),
        )
        .route("/webhooks/{first}/{second}", any(endpoint::receive))
        .route("/webhooks/{first}/{second}/{*rest}", any(endpoint::receive))
        .with_state(ingest))
}

/// Follows route changes on the bus, and reloads all routes periodically.
fn keep_routes_current(routes: &Routes, lifecycle: &Lifecycle) {
    let (following, drain) = (routes.clone(), lifecycle.draining().clone());
    lifecycle.spawn(async move { following.follow(&drain).await });
    let routes = routes.clone();
    lifecycle.spawn_periodic(REFRESH_INTERVAL, move || {
        let routes = routes.clone();
        async move {
            // The cached routes stay in use until the next reload.
            if let Err(error) = routes.refresh().await {
                tracing::warn!(%error, "webhook routes not reloaded");
            }
        }
    });
}
