//! How a call reaches its agent: a tool call that waits, a request to its client's model (sampling), or a push. The first of
//! them that is there now.

use std::time::Duration;

use butt_dial_domain::{
    AgentId, CallId,
    call::Direction,
    keys,
    ports::bus::{BusError, Headers, Message},
    subjects,
};
use futures::{StreamExt, stream::BoxStream};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::state::{CallState, Responder, Speaker, TranscriptEntry};
use crate::{
    Comms,
    delivery::{
        listeners::{self, Listener},
        live,
    },
};

/// How long a waiting tool call may take to say that it has a signal.
const CLAIM_TIMEOUT: Duration = Duration::from_millis(150);
/// Longer than a signal is on its way to anybody.
const CLAIM_TTL: Duration = Duration::from_secs(10);
/// The last lines of a conversation that an agent is told with each turn.
pub(super) const HISTORY_LEN: usize = 20;

/// What an agent is told of a call of its own.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CallNotification {
    /// `call.incoming`, `call.turn`, `call.ended`.
    pub event: NotificationKind,
    pub call_id: CallId,
    /// To be given back with the answer: an answer to an older turn is not spoken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn_id: Option<String>,
    /// What the caller has just said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    pub direction: Direction,
    pub from: String,
    pub to: String,
    pub language: String,
    /// Who talks with the caller right now.
    pub handled_by: Responder,
    /// The last lines, the newest last; of ours, what was heard.
    pub history: Vec<TranscriptEntry>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system_prompt: Option<String>,
    /// Why it is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NotificationKind {
    #[serde(rename = "call.incoming")]
    Incoming,
    #[serde(rename = "call.turn")]
    Turn,
    #[serde(rename = "call.ended")]
    Ended,
}

impl NotificationKind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Incoming => "call.incoming",
            Self::Turn => "call.turn",
            Self::Ended => "call.ended",
        }
    }
}

impl CallNotification {
    pub fn new(event: NotificationKind, state: &CallState) -> Self {
        let info = &state.info;
        let (from, to) = info.direction.caller_and_callee(&info.local, &info.remote);
        let is_turn = event == NotificationKind::Turn;
        let history = &state.history;
        // Half an answer may have been heard since: the machine's, whose turn it was.
        let ours = |line: &&TranscriptEntry| line.by != Speaker::Caller;
        let words = history.iter().rev().skip_while(ours);
        let words = words.take_while(|line| line.by == Speaker::Caller);
        let mut words: Vec<&str> = words.map(|line| line.text.as_str()).collect();
        words.reverse();
        Self {
            event,
            call_id: info.call.clone(),
            turn_id: is_turn.then(|| state.turn.to_string()),
            text: is_turn.then(|| words.join(" ")),
            direction: info.direction,
            from: from.clone(),
            to: to.clone(),
            language: info.language.clone(),
            handled_by: state.responder,
            history: history[history.len().saturating_sub(HISTORY_LEN)..].to_vec(),
            system_prompt: info.plan.system_prompt.clone(),
            reason: None,
        }
    }

    /// As a listener gets it: flat, with a type.
    pub fn for_listeners(&self) -> Map<String, Value> {
        let mut data = match json!(self) {
            Value::Object(data) => data,
            _ => Map::new(),
        };
        data.insert("type".into(), json!(self.event));
        data
    }
}

/// Offers it to the agent's tool calls that wait. True when one has taken it.
pub async fn offer_claim(comms: &Comms, agent: &AgentId, signal: &CallNotification) -> bool {
    let subject = subjects::call_notifications(agent, &signal.call_id);
    let Ok(payload) = serde_json::to_vec(signal) else {
        return false;
    };
    let answer = comms
        .bus
        .request(&subject, Headers::new(), payload.into(), CLAIM_TIMEOUT)
        .await;
    match answer {
        Ok(_) => true,
        Err(BusError::NoResponders(_)) => false,
        Err(error) => {
            tracing::info!(%error, call = %signal.call_id, "nobody has taken a call's signal");
            false
        }
    }
}

/// Tells everybody who waits, and expects nothing.
pub async fn broadcast(comms: &Comms, agent: &AgentId, signal: &CallNotification) {
    let subject = subjects::call_notifications(agent, &signal.call_id);
    let Ok(payload) = serde_json::to_vec(signal) else {
        return;
    };
    if let Err(error) = comms.bus.publish(&subject, Headers::new(), payload.into()).await {
        tracing::info!(%error, call = %signal.call_id, "who waits for a call is not told");
    }
}

/// The agent's clients that have a stream open, the latest first; none where that can't be known.
pub async fn find_listeners(comms: &Comms, agent: &AgentId) -> Vec<Listener> {
    let found = listeners::find_initialized(comms, agent).await;
    found.unwrap_or_else(|error| {
        tracing::warn!(%error, "listeners can't be looked up");
        Vec::new()
    })
}

/// Pushes it to those that are live. True when a client has it.
pub async fn push(comms: &Comms, listeners: &[Listener], signal: &CallNotification) -> bool {
    let message = live::Message::new(&signal.for_listeners());
    let now = comms.clock.now();
    for listener in listeners.iter().filter(|listener| listener.is_live(now)) {
        if live::push(comms, listener, vec![message.text.clone()]).await {
            return true;
        }
    }
    false
}

/// Whether the agent can be reached at all, as far as can be known without asking.
pub async fn is_reachable(comms: &Comms, agent: &AgentId, signal: &CallNotification) -> bool {
    if offer_claim(comms, agent, signal).await {
        return true;
    }
    let (listeners, now) = (find_listeners(comms, agent).await, comms.clock.now());
    listeners
        .iter()
        .any(|listener| listener.samples() || listener.is_live(now))
}

/// The agent has come: relays ask again what it has not answered yet, and tell it of a call that the machine has.
pub async fn announce_presence(comms: &Comms, agent: &AgentId) {
    let told = comms
        .bus
        .publish(&subjects::call_presence(agent), Headers::new(), bytes::Bytes::new())
        .await;
    told.inspect_err(|error| tracing::info!(%error, "relays are not told that an agent is there"))
        .ok();
}

/// A signal that waits to be taken.
pub struct ClaimOffer {
    pub signal: CallNotification,
    /// `None`: it is told to everybody.
    reply_to: Option<String>,
}

impl ClaimOffer {
    /// An agent may wait in several places, and shall answer in one: `None` for all but the first who takes a signal.
    pub async fn claim(self, comms: &Comms) -> Option<CallNotification> {
        let Some(reply_to) = &self.reply_to else {
            return Some(self.signal);
        };
        let first = comms.kv.once(&keys::notification_claim(reply_to), CLAIM_TTL).await;
        // Better twice than never.
        if !first.unwrap_or(true) {
            return None;
        }
        let taken = comms.bus.publish(reply_to, Headers::new(), "1".into()).await;
        taken
            .inspect_err(|error| tracing::info!(%error, "a relay is not told that its signal is taken"))
            .ok();
        Some(self.signal)
    }
}

/// A waiting tool call's ear for signals.
pub struct CallSubscription {
    comms: Comms,
    signals: BoxStream<'static, Message>,
}

impl CallSubscription {
    /// Of one call, or of all of the agent's. From now on signals are heard.
    pub async fn open(comms: &Comms, agent: &AgentId, call: Option<&CallId>) -> Result<Self, BusError> {
        let subject = match call {
            Some(call) => subjects::call_notifications(agent, call),
            None => subjects::all_call_notifications(agent),
        };
        Ok(Self {
            signals: comms.bus.subscribe(&subject).await?,
            comms: comms.clone(),
        })
    }

    /// Relays say again what the agent has not answered yet.
    pub async fn announce_presence(&mut self, agent: &AgentId) {
        announce_presence(&self.comms, agent).await;
    }

    /// The next signal, taken. `None`: the bus is gone.
    pub async fn claim_next(&mut self) -> Option<CallNotification> {
        self.claim_next_matching(|_| true).await
    }

    /// The next signal of this kind, taken; others are left to whoever wants them.
    pub async fn claim_next_matching(
        &mut self,
        is_wanted: impl Fn(&CallNotification) -> bool,
    ) -> Option<CallNotification> {
        loop {
            let offered = self.recv().await?;
            if is_wanted(&offered.signal)
                && let Some(signal) = offered.claim(&self.comms).await
            {
                return Some(signal);
            }
        }
    }

    /// The next signal, left to others as well.
    pub async fn recv(&mut self) -> Option<ClaimOffer> {
        loop {
            let message = self.signals.next().await?;
            if let Ok(signal) = serde_json::from_slice(&message.payload) {
                let reply_to = message.reply_to;
                return Some(ClaimOffer { signal, reply_to });
            }
        }
    }
}
