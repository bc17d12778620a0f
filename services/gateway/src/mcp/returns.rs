//! Agents that came back: a moment after a listener opened its stream, what waits for its agent is to be delivered.
//! One task a replica, whatever the number of streams.

use std::{cmp::Reverse, collections::BinaryHeap, time::Duration};

use butt_dial_comms::{Comms, calls::signal};
use butt_dial_domain::{AgentId, ports::bus::Headers, subjects};
use butt_dial_runtime::Lifecycle;
use chrono::TimeDelta;
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};

/// Clocks of replicas differ a little, and delivery asks its own.
const MARGIN: Duration = Duration::from_millis(50);
/// When the database did not answer.
const AGAIN: Duration = Duration::from_secs(5);

/// A stream by its id, and when to look at it.
type Due = (Instant, String);

/// Where streams are entered.
#[derive(Clone)]
pub struct Returns(mpsc::UnboundedSender<Due>);

/// What was entered.
pub struct Entered(mpsc::UnboundedReceiver<Due>);

pub fn queue() -> (Returns, Entered) {
    let (sender, receiver) = mpsc::unbounded_channel();
    (Returns(sender), Entered(receiver))
}

impl Returns {
    pub fn expect(&self, id: &str, after: TimeDelta) {
        let after = after.to_std().unwrap_or_default() + MARGIN;
        // Without a reader the process is ending.
        drop(self.0.send((Instant::now() + after, id.to_owned())));
    }
}

/// `listener` says whose stream it is, if it is still open and listens.
pub fn start(
    comms: Comms,
    lifecycle: &Lifecycle,
    mut entered: Entered,
    listener: impl Fn(&str) -> Option<AgentId> + Send + Sync + 'static,
) {
    let drain = lifecycle.draining().clone();
    lifecycle.spawn(async move {
        let mut queue = BinaryHeap::<Reverse<Due>>::new();
        loop {
            let first = queue.peek().map(|Reverse((at, _))| *at);
            tokio::select! {
                () = drain.cancelled() => return,
                Some(due) = entered.0.recv() => queue.push(Reverse(due)),
                () = sleep_until(first.unwrap_or_else(Instant::now)), if first.is_some() => {
                    let Some(Reverse((_, id))) = queue.pop() else { continue };
                    let Some(agent) = listener(&id) else { continue };
                    signal::announce(&comms, &agent).await;
                    if !announce(&comms, &agent).await {
                        queue.push(Reverse((Instant::now() + AGAIN, id)));
                    }
                }
            }
        }
    });
}

/// False when it has to be tried again.
async fn announce(comms: &Comms, agent: &AgentId) -> bool {
    match comms.store.poke_delivery(agent, comms.clock.now()).await {
        Ok(false) => true,
        Ok(true) => {
            let payload = agent.to_string().into();
            if let Err(error) = comms
                .bus
                .publish(subjects::AGENT_RETURNED, Headers::new(), payload)
                .await
            {
                tracing::warn!(%error, "nobody is told at once that an agent is back; the delivery's own schedule finds it");
            }
            true
        }
        Err(error) => {
            tracing::warn!(%error, "what waits for an agent that is back has to wait on");
            false
        }
    }
}
