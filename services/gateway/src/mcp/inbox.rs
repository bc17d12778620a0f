//! Streams that want to be told when their agent's inbox has changed (resources/subscribe, up to 2025-11-25).

use std::time::Duration;

use butt_dial_comms::delivery::log;
use butt_dial_domain::AgentId;
use futures::StreamExt;
use serde_json::json;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{resources::INBOX, streams::Streams};

/// Until the bus can be asked again.
const AGAIN: Duration = Duration::from_secs(2);

impl Streams {
    /// Tells the stream until what comes back is dropped.
    pub(super) fn watch_inbox(&self, id: &str, agent: &AgentId) -> DropGuard {
        let end = CancellationToken::new();
        let guard = end.clone().drop_guard();
        let (streams, id, agent) = (self.clone(), id.to_owned(), agent.clone());
        self.lifecycle.spawn(async move {
            let watching = end.run_until_cancelled(streams.tell_of_news(&id, &agent));
            streams.draining().run_until_cancelled(watching).await;
        });
        guard
    }

    async fn tell_of_news(&self, id: &str, agent: &AgentId) {
        loop {
            if let Ok(mut news) = log::subscribe(&self.comms, agent).await {
                while news.next().await.is_some() {
                    self.nudge(id);
                }
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// A stream that is behind has been told already, and needs its room for events.
    fn nudge(&self, id: &str) {
        let open = self.locked();
        let Some(stream) = open.get(id) else { return };
        let messages = &stream.messages;
        if stream.connection.marks.initialized_at.is_some() && messages.capacity() * 2 > messages.max_capacity() {
            let update = json!({
                "jsonrpc": "2.0",
                "method": "notifications/resources/updated",
                "params": { "uri": INBOX },
            });
            messages.try_send(update.to_string()).ok();
        }
    }
}
