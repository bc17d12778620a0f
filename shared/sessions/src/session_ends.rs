//! Ended sessions: their streams are closed on all replicas.

use butt_dial_domain::{
    AgentId,
    ports::bus::{BusError, Headers},
    subjects,
};
use futures::{StreamExt, future::BoxFuture};
use serde::{Deserialize, Serialize};

use crate::{open_streams::OpenStreams, ports::Ports};

/// Field names are part of the wire.
#[derive(Serialize, Deserialize)]
struct EndedSession {
    agent: AgentId,
    session: String,
}

/// Publishes that a session has ended. A stream of a replica that misses it stays open, and gets no further message of the session.
pub(crate) async fn publish(ports: &Ports, agent: &AgentId, session: &str) {
    let ended = EndedSession {
        agent: agent.clone(),
        session: session.to_owned(),
    };
    let Ok(payload) = serde_json::to_vec(&ended) else {
        return;
    };
    let published = ports
        .bus
        .publish(subjects::SESSION_ENDED, Headers::new(), payload.into());
    if let Err(error) = published.await {
        tracing::warn!(%error, "end of session not published; its streams stay open");
    }
}

/// Subscribes to the ends of sessions. The future closes their streams until the process drains.
pub(crate) async fn listen(ports: Ports, open: OpenStreams) -> Result<BoxFuture<'static, ()>, BusError> {
    let mut ends = ports.bus.subscribe(subjects::SESSION_ENDED).await?;
    Ok(Box::pin(async move {
        while let Some(Some(message)) = ports.draining.run_until_cancelled(ends.next()).await {
            if let Ok(ended) = serde_json::from_slice::<EndedSession>(&message.payload) {
                open.end_session(&ended.agent, &ended.session);
            }
        }
    }))
}
