//! Notifies streams of clients that subscribed to changes of the inbox resource (`resources/subscribe`, up to 2025-11-25).

use std::time::Duration;

use butt_dial_domain::{AgentId, subjects};
use futures::StreamExt;
use serde_json::json;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{open_streams::OpenStreams, ports::Ports};

/// The URI of the inbox resource. It changes with every event of the agent.
pub const INBOX_URI: &str = "comms://inbox";
/// Pause before the bus is asked for a subscription again.
const RETRY_PAUSE: Duration = Duration::from_secs(2);

/// Starts to notify the stream. Dropping the guard stops it.
pub(crate) fn start(ports: &Ports, streams: &OpenStreams, id: &str, agent: &AgentId) -> DropGuard {
    let end = CancellationToken::new();
    let guard = end.clone().drop_guard();
    let (ports, streams, id, agent) = (ports.clone(), streams.clone(), id.to_owned(), agent.clone());
    let tasks = ports.tasks.clone();
    tasks.spawn(async move {
        let watching = end.run_until_cancelled(notify_changes(&ports, &streams, &id, &agent));
        ports.draining.run_until_cancelled(watching).await;
    });
    guard
}

async fn notify_changes(ports: &Ports, streams: &OpenStreams, id: &str, agent: &AgentId) {
    let notification = json!({
        "jsonrpc": "2.0",
        "method": "notifications/resources/updated",
        "params": { "uri": INBOX_URI },
    })
    .to_string();
    loop {
        match ports.bus.subscribe(&subjects::agent_events(agent)).await {
            Ok(mut changes) => {
                while changes.next().await.is_some() {
                    streams.notify(id, &notification);
                }
            }
            Err(error) => tracing::warn!(%error, "inbox watch subscription failed"),
        }
        tokio::time::sleep(RETRY_PAUSE).await;
    }
}
