//! The order among tool calls of one agent that wait for the same notifications. A client that has given up on a call
//! without closing its connection leaves a waiter behind, which would take a turn that its client never reads. Each waiter
//! therefore announces itself, and older ones let newer ones claim first. They still claim what no newer one does, so that
//! an agent with several workers loses nothing.

use std::time::Duration;

use butt_dial_domain::{
    AgentId, CallId, ids,
    ports::bus::{BusError, Headers, Message},
    subjects,
};
use futures::{StreamExt, stream::BoxStream};
use serde::{Deserialize, Serialize};

use crate::Calls;

/// The time that an older waiter leaves to each newer one. Longer than a notification takes from one replica to another.
const STEP: Duration = Duration::from_millis(30);
/// Shorter than the time that a relay waits for a claim, with time for the claim itself.
const MAX_DELAY: Duration = Duration::from_millis(90);

#[derive(Serialize, Deserialize)]
struct Announcement {
    waiter: String,
    /// `None`: all calls of the agent.
    call: Option<CallId>,
}

/// The newer waiters of an agent, as one waiter knows them.
pub(crate) struct NewerWaiters {
    own: String,
    /// The call that this waiter waits for. `None`: all calls.
    call: Option<CallId>,
    /// The calls of newer waiters.
    newer: Vec<Option<CallId>>,
    announcements: BoxStream<'static, Message>,
}

impl NewerWaiters {
    /// Announces a waiter, and begins to listen for newer ones.
    pub async fn announce(calls: &Calls, agent: &AgentId, call: Option<&CallId>) -> Result<Self, BusError> {
        let subject = subjects::call_waiters(agent);
        let announcements = calls.bus.subscribe(&subject).await?;
        let own = ids::unique();
        let announcement = Announcement {
            waiter: own.clone(),
            call: call.cloned(),
        };
        // The type has only text.
        let payload = serde_json::to_vec(&announcement).unwrap_or_default();
        calls.bus.publish(&subject, Headers::new(), payload.into()).await?;
        Ok(Self {
            own,
            call: announcement.call,
            newer: Vec::new(),
            announcements,
        })
    }

    /// Receives announcements. Never returns.
    pub async fn listen(&mut self) {
        while let Some(message) = self.announcements.next().await {
            if let Ok(announcement) = serde_json::from_slice::<Announcement>(&message.payload)
                && announcement.waiter != self.own
            {
                self.newer.push(announcement.call);
            }
        }
        std::future::pending().await
    }

    /// Returns how long this waiter leaves a notification about `call` to newer ones. A waiter for one call precedes those
    /// for all calls, so that it does not yield to a newer one of them.
    pub fn delay(&self, call: &CallId) -> Duration {
        let precedes = |newer: &&Option<CallId>| match newer {
            Some(newer) => newer == call,
            None => self.call.is_none(),
        };
        let count = self.newer.iter().filter(precedes).count();
        STEP.saturating_mul(count.try_into().unwrap_or(u32::MAX)).min(MAX_DELAY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiter(call: Option<&str>, newer: &[Option<&str>]) -> NewerWaiters {
        let id = |call: &str| CallId::from(call);
        NewerWaiters {
            own: "w".into(),
            call: call.map(id),
            newer: newer.iter().map(|call| call.map(id)).collect(),
            announcements: futures::stream::pending().boxed(),
        }
    }

    #[test]
    fn yields_to_newer_waiters_of_the_same_call() {
        let call = CallId::from("call_1");
        for (own, newer, steps) in [
            (None, &[][..], 0),
            (None, &[None], 1),
            (None, &[Some("call_1")], 1),
            (None, &[Some("call_2")], 0),
            (Some("call_1"), &[None], 0),
            (Some("call_1"), &[Some("call_1"), None], 1),
            (None, &[None, None], 2),
            (None, &[None; 9], 3),
        ] {
            assert_eq!(waiter(own, newer).delay(&call), STEP * steps, "{own:?} {newer:?}");
        }
    }
}
