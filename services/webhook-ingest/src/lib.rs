//! Webhook ingest: where carriers tell what happened. It believes nothing unsigned, answers in milliseconds, and only after
//! what it was told is durable. It needs no database for that: whose number is whose, it keeps in memory.

mod answer;
mod hook;

use axum::{Router, routing::any};
use butt_dial_comms::{
    Comms,
    inbound::routes::{REFRESH, Routes},
};
use butt_dial_runtime::{Lifecycle, Platform, Role, platform::StartError};
use futures::FutureExt;

pub const ROLE: Role = Role {
    name: "webhook-ingest",
    build: |platform| build(platform).boxed(),
};

/// 1 MiB: the largest webhook that a vendor sends (a thousand entries of Meta's) stays below.
const MAX_BODY: usize = 1024 * 1024;

/// What a request is handled with.
#[derive(Clone)]
pub struct Ingest {
    comms: Comms,
    routes: Routes,
}

async fn build(platform: Platform) -> Result<Router, StartError> {
    let routes = Routes::load(platform.comms.clone()).await?;
    keep_up_to_date(&routes, &platform.lifecycle);
    let ingest = Ingest {
        comms: platform.comms.clone(),
        routes,
    };
    Ok(Router::new()
        .route("/webhooks/{first}/{second}", any(hook::receive))
        .route("/webhooks/{first}/{second}/{*rest}", any(hook::receive))
        .with_state(ingest))
}

fn keep_up_to_date(routes: &Routes, lifecycle: &Lifecycle) {
    let (following, drain) = (routes.clone(), lifecycle.draining().clone());
    lifecycle.spawn(async move { following.follow(&drain).await });
    let routes = routes.clone();
    lifecycle.repeat(REFRESH, move || {
        let routes = routes.clone();
        async move {
            // Until then, what is known goes on being served.
            if let Err(error) = routes.refresh().await {
                tracing::warn!(%error, "the addresses can't be read anew");
            }
        }
    });
}
