//! Delivery of waiting events to agents that reconnected: once a stream's grace period is over, the agent's deliveries are
//! rescheduled. One task per replica serves all streams.

use std::{cmp::Reverse, collections::BinaryHeap, time::Duration};

use butt_dial_domain::{AgentId, ports::bus::Headers, subjects};
use chrono::TimeDelta;
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};

use crate::ports::{Ports, ReadyHook};

/// Replica clocks differ a little, and delivery applies the grace period by its own clock.
const CLOCK_MARGIN: Duration = Duration::from_millis(50);
/// Pause after the database did not answer.
const RETRY_PAUSE: Duration = Duration::from_secs(5);

/// The time at which a stream is due, and its id.
type Due = (Instant, String);

/// Schedules streams for the task. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Reconnects(mpsc::UnboundedSender<Due>);

pub(crate) struct ScheduledStreams(mpsc::UnboundedReceiver<Due>);

pub(crate) fn queue() -> (Reconnects, ScheduledStreams) {
    let (sender, receiver) = mpsc::unbounded_channel();
    (Reconnects(sender), ScheduledStreams(receiver))
}

impl Reconnects {
    pub fn schedule(&self, id: &str, after: TimeDelta) {
        let after = after.to_std().unwrap_or_default() + CLOCK_MARGIN;
        // Without a reader the process is stopping.
        drop(self.0.send((Instant::now() + after, id.to_owned())));
    }
}

/// Runs until the process drains. `find_listener` returns the agent of a stream that is open and counts as a listener.
pub(crate) async fn run(
    ports: Ports,
    mut scheduled: ScheduledStreams,
    find_listener: impl Fn(&str) -> Option<AgentId> + Send + Sync + 'static,
    on_ready: ReadyHook,
) {
    let mut queue = BinaryHeap::<Reverse<Due>>::new();
    loop {
        let first = queue.peek().map(|Reverse((at, _))| *at);
        tokio::select! {
            () = ports.draining.cancelled() => return,
            Some(due) = scheduled.0.recv() => queue.push(Reverse(due)),
            () = sleep_until(first.unwrap_or_else(Instant::now)), if first.is_some() => {
                let Some(Reverse((_, id))) = queue.pop() else { continue };
                let Some(agent) = find_listener(&id) else { continue };
                announce_presence(&ports, &agent).await;
                if !resume_delivery(&ports, &on_ready, &agent).await {
                    queue.push(Reverse((Instant::now() + RETRY_PAUSE, id)));
                }
            }
        }
    }
}

/// Notifies voice relays that the agent is present: they repeat unanswered turns and offer calls that the voicemail
/// answers.
pub(crate) async fn announce_presence(ports: &Ports, agent: &AgentId) {
    let subject = subjects::call_presence(agent);
    if let Err(error) = ports.bus.publish(&subject, Headers::new(), "".into()).await {
        tracing::info!(%error, "agent presence announcement failed");
    }
}

/// Returns false when it has to be repeated.
async fn resume_delivery(ports: &Ports, on_ready: &ReadyHook, agent: &AgentId) -> bool {
    match on_ready(agent.clone()).await {
        Ok(false) => true,
        Ok(true) => {
            let payload = agent.to_string().into();
            let published = ports
                .bus
                .publish(subjects::AGENT_RETURNED, Headers::new(), payload)
                .await;
            if let Err(error) = published {
                tracing::warn!(%error, "delivery not notified of returned agent; its schedule finds the events");
            }
            true
        }
        Err(failure) => {
            tracing::warn!(%failure, "delivery not rescheduled for returned agent");
            false
        }
    }
}
