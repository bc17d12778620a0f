//! Messages that wait for an agent: handed out oldest first, and kept for it until it really has them.

use std::collections::BTreeMap;

use butt_dial_domain::{AgentId, Channel, Failure, OrgId};
use butt_dial_store::{Event, Hold};
use chrono::TimeDelta;
use serde_json::{Map, Value};

use crate::{
    Comms,
    delivery::{log::Room, view::view},
    store_failure,
};

/// The most events that one call hands out; fewer when they are large.
pub const MAX: u32 = 200;
/// How long an answer may take to reach the agent; what was in it is handed out again after that.
const ON_ITS_WAY: TimeDelta = TimeDelta::seconds(20);

/// Events on their way to the agent. Not confirmed, they come again.
pub struct Held {
    pub events: Vec<Map<String, Value>>,
    agent: AgentId,
    seqs: Vec<i64>,
}

pub async fn hold(
    comms: &Comms,
    org: &OrgId,
    agent: &AgentId,
    channel: Option<Channel>,
    limit: u32,
) -> Result<Held, Failure> {
    let now = comms.clock.now();
    let hold = Hold {
        channel,
        max_tries: None,
        to_push: false,
        limit: limit.clamp(1, MAX),
        now,
        until: now + ON_ITS_WAY,
    };
    let events = comms
        .store
        .hold_waiting_events(agent, &hold)
        .await
        .map_err(store_failure)?;
    let mut views = Vec::with_capacity(events.len());
    let mut room = Room::new(events.len());
    for event in &events {
        let view = view(comms, org, event);
        if !room.takes(&view) {
            break;
        }
        views.push(view);
    }
    let (taken, rest) = events.split_at(views.len());
    give_back(comms, agent, rest).await?;
    Ok(Held {
        seqs: taken.iter().map(|event| event.seq).collect(),
        events: views,
        agent: agent.clone(),
    })
}

/// What does not fit waits for the next call, for the reason that it waited for before.
async fn give_back(comms: &Comms, agent: &AgentId, rest: &[Event]) -> Result<(), Failure> {
    let mut seqs: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
    for event in rest {
        seqs.entry(&event.reason).or_default().push(event.seq);
    }
    for (reason, seqs) in seqs {
        let released = comms.store.release_events(agent, &seqs, reason, false).await;
        released.map_err(store_failure)?;
    }
    Ok(())
}

impl Held {
    pub fn is_empty(&self) -> bool {
        self.seqs.is_empty()
    }

    /// What makes them the agent's, to be called once the answer has left.
    pub fn receipt(&self) -> Receipt {
        Receipt {
            agent: self.agent.clone(),
            seqs: self.seqs.clone(),
        }
    }
}

/// Confirms what was held.
pub struct Receipt {
    agent: AgentId,
    seqs: Vec<i64>,
}

impl Receipt {
    pub async fn confirm(self, comms: &Comms) {
        let confirmed = comms
            .store
            .confirm_events(&self.agent, &self.seqs, false, comms.clock.now())
            .await;
        if let Err(error) = confirmed {
            tracing::warn!(%error, "events that were handed out are not marked; they come again");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{delivery::view::MESSAGE_RECEIVED, inbound::tests::bench::Bench};

    #[tokio::test]
    async fn what_does_not_fit_into_one_answer_is_there_for_the_next() {
        let bench = Bench::new().await;
        bench.log(MESSAGE_RECEIVED, 3, 900_000).await;
        let (org, agent) = (&bench.agent.org_id, &bench.agent.id);
        let seqs = async |reason: &str| {
            let reason = reason.to_owned();
            let held = hold(&bench.comms, org, agent, None, MAX).await.unwrap();
            let of = |event: &Map<String, Value>| (event["seq"].as_i64().unwrap(), event["reason"] == reason.as_str());
            held.events.iter().map(of).collect::<Vec<_>>()
        };
        assert_eq!(seqs("agent_offline").await, [(1, true), (2, true)]);
        assert_eq!(seqs("agent_offline").await, [(3, true)]);
        assert_eq!(seqs("agent_offline").await, []);
    }

    #[tokio::test]
    async fn what_was_given_back_keeps_its_reason_and_its_tries() {
        let bench = Bench::new().await;
        bench.log(MESSAGE_RECEIVED, 3, 900_000).await;
        let (org, agent) = (&bench.agent.org_id, &bench.agent.id);
        let failed = bench.comms.store.release_events(agent, &[3], "callback_failed", true);
        failed.await.unwrap();
        let held = hold(&bench.comms, org, agent, None, MAX).await.unwrap();
        assert_eq!(held.events.len(), 2);
        let events = bench.comms.store.list_events(agent, 2, 9).await.unwrap();
        assert_eq!((events[0].reason.as_str(), events[0].tries), ("callback_failed", 1));
        held.receipt().confirm(&bench.comms).await;
        assert_eq!(bench.comms.store.count_waiting_events(agent).await.unwrap(), 1);
    }
}
