//! Pending events: leased to a polling client, oldest first, and kept until the client has received them.

use std::collections::BTreeMap;

use butt_dial_domain::{AgentId, Channel, Failure, OrgId};
use butt_dial_store::{AgentEvent, EventLease, EventReason};
use chrono::TimeDelta;
use serde_json::{Map, Value};

use super::{Delivery, event_view::view, page_budget::PageBudget};
use crate::tainted_texts::{self, is_tainted};

/// The maximum number of events per lease. Large events reduce it.
pub const MAX_LEASED: u32 = 200;
/// How long a response may take to reach the agent. Afterwards its events are pending again.
const LEASE: TimeDelta = TimeDelta::seconds(20);

/// Events in a response to the agent. Without confirmation they become pending again.
pub struct LeasedEvents {
    pub events: Vec<Map<String, Value>>,
    agent: AgentId,
    seqs: Vec<i64>,
}

/// The part of [`LeasedEvents`] that confirms them.
pub struct PendingLease {
    agent: AgentId,
    seqs: Vec<i64>,
}

impl LeasedEvents {
    pub fn is_empty(&self) -> bool {
        self.seqs.is_empty()
    }

    /// The lease, to be confirmed once the response has been sent.
    pub fn lease(&self) -> PendingLease {
        PendingLease {
            agent: self.agent.clone(),
            seqs: self.seqs.clone(),
        }
    }
}

impl Delivery {
    /// Leases pending events, oldest first, of one channel or of all. `limit` is clamped to 1 to 200.
    pub async fn lease_pending(
        &self,
        org: &OrgId,
        agent: &AgentId,
        channel: Option<Channel>,
        limit: u32,
    ) -> Result<LeasedEvents, Failure> {
        let now = self.clock.now();
        let lease = EventLease {
            channel,
            max_tries: None,
            to_push: false,
            limit: limit.clamp(1, MAX_LEASED),
            now,
            until: now + LEASE,
        };
        let events = self.store.lease_waiting_events(agent, &lease).await?;
        let mut views = Vec::with_capacity(events.len());
        let mut budget = PageBudget::new(events.len());
        for event in &events {
            let view = view(&self.vault, org, event);
            if !budget.take(&view) {
                break;
            }
            views.push(view);
        }
        if views.iter().any(is_tainted) {
            let noted = tainted_texts::note(&self.store, (org, agent), self.clock.now()).await;
            if let Err(error) = noted {
                self.release_pending(agent, &events).await?;
                return Err(error.into());
            }
        }
        let (taken, rest) = events.split_at(views.len());
        self.release_pending(agent, rest).await?;
        Ok(LeasedEvents {
            seqs: taken.iter().map(|event| event.seq).collect(),
            events: views,
            agent: agent.clone(),
        })
    }

    /// Makes events pending again, each with the reason that it had before.
    async fn release_pending(&self, agent: &AgentId, rest: &[AgentEvent]) -> Result<(), Failure> {
        let mut seqs: BTreeMap<EventReason, Vec<i64>> = BTreeMap::new();
        for event in rest {
            seqs.entry(event.reason).or_default().push(event.seq);
        }
        for (reason, seqs) in seqs {
            self.store.release_events(agent, &seqs, reason, false).await?;
        }
        Ok(())
    }

    /// Confirms that the agent has received the events.
    pub async fn confirm_pending(&self, lease: PendingLease) {
        let confirmed = self
            .store
            .confirm_events(&lease.agent, &lease.seqs, false, self.clock.now())
            .await;
        if let Err(error) = confirmed {
            tracing::warn!(%error, "delivered events not confirmed; they become pending again");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{delivery::MESSAGE_RECEIVED, testing::Bench};

    #[tokio::test]
    async fn leaves_overflow_for_the_next_call() {
        let bench = Bench::new().await;
        bench.log(MESSAGE_RECEIVED, 3, 900_000).await;
        let (org, agent) = (&bench.agent.org_id, &bench.agent.id);
        let seqs = async |reason: &str| {
            let reason = reason.to_owned();
            let leased = bench
                .delivery
                .lease_pending(org, agent, None, MAX_LEASED)
                .await
                .unwrap();
            let of = |event: &Map<String, Value>| (event["seq"].as_i64().unwrap(), event["reason"] == reason.as_str());
            leased.events.iter().map(of).collect::<Vec<_>>()
        };
        assert_eq!(seqs("agent_offline").await, [(1, true), (2, true)]);
        assert_eq!(seqs("agent_offline").await, [(3, true)]);
        assert_eq!(seqs("agent_offline").await, []);
    }

    #[tokio::test]
    async fn keeps_reason_and_tries_of_released_event() {
        let bench = Bench::new().await;
        bench.log(MESSAGE_RECEIVED, 3, 900_000).await;
        let (org, agent) = (&bench.agent.org_id, &bench.agent.id);
        let failed = bench
            .store
            .release_events(agent, &[3], EventReason::CallbackFailed, true);
        failed.await.unwrap();
        let leased = bench
            .delivery
            .lease_pending(org, agent, None, MAX_LEASED)
            .await
            .unwrap();
        assert_eq!(leased.events.len(), 2);
        let events = bench.store.list_events(agent, 2, 9).await.unwrap();
        assert_eq!((events[0].reason, events[0].tries), (EventReason::CallbackFailed, 1));
        bench.delivery.confirm_pending(leased.lease()).await;
        assert_eq!(bench.store.count_waiting_events(agent).await.unwrap(), 1);
    }
}
