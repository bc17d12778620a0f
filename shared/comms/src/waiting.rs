//! Messages that wait for an agent: handed out oldest first, and kept for it until it really has them.

use butt_dial_domain::{AgentId, Channel, Failure, OrgId};
use butt_dial_store::Hold;
use chrono::TimeDelta;
use serde_json::{Map, Value};

use crate::{Comms, delivery::view::view, store_failure};

/// The most that one call hands out.
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
    Ok(Held {
        seqs: events.iter().map(|event| event.seq).collect(),
        events: events.iter().map(|event| view(comms, org, event)).collect(),
        agent: agent.clone(),
    })
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
