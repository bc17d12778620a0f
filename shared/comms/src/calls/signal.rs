//! How a call reaches its agent: a tool call that waits, a request to its client's model (sampling), or a push. The first of
//! them that is there now.

use std::time::Duration;

use butt_dial_domain::{
    AgentId, CallId, ReplicaId,
    call::Direction,
    keys,
    ports::{
        bus::{BusError, Headers, Message},
        kv::KvError,
    },
    subjects,
};
use futures::{StreamExt, stream::BoxStream};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::state::{CallState, Line, Mind, Speaker};
use crate::{
    Comms,
    delivery::{listeners, live},
};

/// How long a waiting tool call may take to say that it has a signal.
const TAKEN_WITHIN: Duration = Duration::from_millis(150);
/// The last lines of a conversation that an agent is told with each turn.
const LINES: usize = 20;

/// What an agent is told of a call of its own.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Signal {
    /// `call.incoming`, `call.turn`, `call.ended`.
    pub event: Event,
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
    pub handled_by: Mind,
    /// The last lines, the newest last; of ours, what was heard.
    pub history: Vec<Line>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system_prompt: Option<String>,
    /// Why it is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    #[serde(rename = "call.incoming")]
    Incoming,
    #[serde(rename = "call.turn")]
    Turn,
    #[serde(rename = "call.ended")]
    Ended,
}

impl Event {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Incoming => "call.incoming",
            Self::Turn => "call.turn",
            Self::Ended => "call.ended",
        }
    }
}

impl Signal {
    pub fn new(event: Event, state: &CallState) -> Self {
        let facts = &state.facts;
        let (from, to) = match facts.direction {
            Direction::Inbound => (&facts.remote, &facts.local),
            Direction::Outbound => (&facts.local, &facts.remote),
        };
        let is_turn = event == Event::Turn;
        let history = &state.history;
        let words = history.iter().rev().take_while(|line| line.by == Speaker::Caller);
        let mut words: Vec<&str> = words.map(|line| line.text.as_str()).collect();
        words.reverse();
        Self {
            event,
            call_id: facts.call.clone(),
            turn_id: is_turn.then(|| state.turn.to_string()),
            text: is_turn.then(|| words.join(" ")),
            direction: facts.direction,
            from: from.clone(),
            to: to.clone(),
            language: facts.language.clone(),
            handled_by: state.mind,
            history: history[history.len().saturating_sub(LINES)..].to_vec(),
            system_prompt: facts.plan.system_prompt.clone(),
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
pub async fn offer(comms: &Comms, agent: &AgentId, signal: &Signal) -> bool {
    let subject = subjects::call_signals(agent, &signal.call_id);
    let Ok(payload) = serde_json::to_vec(signal) else {
        return false;
    };
    let answer = comms
        .bus
        .request(&subject, Headers::new(), payload.into(), TAKEN_WITHIN)
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
pub async fn tell(comms: &Comms, agent: &AgentId, signal: &Signal) {
    let subject = subjects::call_signals(agent, &signal.call_id);
    let Ok(payload) = serde_json::to_vec(signal) else {
        return;
    };
    if let Err(error) = comms.bus.publish(&subject, Headers::new(), payload.into()).await {
        tracing::info!(%error, call = %signal.call_id, "who waits for a call is not told");
    }
}

/// Pushes it to the agent's live listeners. True when a client has it.
pub async fn push(comms: &Comms, agent: &AgentId, signal: &Signal) -> bool {
    let found = listeners::find_live(comms, agent).await;
    let listeners = found.unwrap_or_else(|error| {
        tracing::warn!(%error, "listeners can't be looked up");
        Vec::new()
    });
    let message = live::Message::new(&signal.for_listeners());
    for listener in &listeners {
        if live::push(comms, listener, vec![message.text.clone()]).await {
            return true;
        }
    }
    false
}

/// Whether the agent can be reached at all, as far as can be known without asking.
pub async fn is_reachable(comms: &Comms, agent: &AgentId, signal: &Signal) -> bool {
    if offer(comms, agent, signal).await {
        return true;
    }
    match (
        find_models(comms, agent).await,
        listeners::find_live(comms, agent).await,
    ) {
        (Ok(models), Ok(listeners)) => !models.is_empty() || !listeners.is_empty(),
        (Err(error), _) | (_, Err(error)) => {
            tracing::warn!(%error, "listeners can't be looked up");
            false
        }
    }
}

/// A client that lets us ask its model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientModel {
    pub connection: String,
    pub replica: ReplicaId,
}

/// An open push stream, as far as sampling needs it. Gateways write more into the same entry.
#[derive(Deserialize)]
struct Entry {
    id: String,
    agent: AgentId,
    replica: ReplicaId,
    #[serde(default)]
    initialized_at: Option<butt_dial_domain::clock::Timestamp>,
    #[serde(default)]
    peer: Option<Peer>,
}

#[derive(Deserialize)]
struct Peer {
    #[serde(default)]
    capabilities: Capabilities,
}

#[derive(Default, Deserialize)]
struct Capabilities {
    sampling: Option<Value>,
}

/// The agent's clients that sample, the latest first.
pub async fn find_models(comms: &Comms, agent: &AgentId) -> Result<Vec<ClientModel>, KvError> {
    let members = comms.kv.members(&keys::agent_connections(agent)).await?;
    if members.is_empty() {
        return Ok(Vec::new());
    }
    let entries: Vec<String> = members.iter().map(|id| keys::connection(id)).collect();
    let mut found: Vec<Entry> = comms
        .kv
        .get_many(&entries)
        .await?
        .into_iter()
        .filter_map(|text| serde_json::from_str::<Entry>(&text?).ok())
        .filter(|entry| &entry.agent == agent && entry.initialized_at.is_some())
        .filter(|entry| {
            entry
                .peer
                .as_ref()
                .is_some_and(|peer| peer.capabilities.sampling.is_some())
        })
        .collect();
    found.sort_by_key(|entry| std::cmp::Reverse(entry.initialized_at));
    let models = found.into_iter().map(|entry| ClientModel {
        connection: entry.id,
        replica: entry.replica,
    });
    Ok(models.collect())
}

/// A waiting tool call's ear for signals.
pub struct Ear {
    comms: Comms,
    signals: BoxStream<'static, Message>,
}

impl Ear {
    /// Of one call, or of all of the agent's. From now on signals are heard; relays are told, so that they say again what
    /// has not been answered yet.
    pub async fn open(comms: &Comms, agent: &AgentId, call: Option<&CallId>) -> Result<Self, BusError> {
        let subject = match call {
            Some(call) => subjects::call_signals(agent, call),
            None => subjects::all_call_signals(agent),
        };
        Ok(Self {
            signals: comms.bus.subscribe(&subject).await?,
            comms: comms.clone(),
        })
    }

    /// Relays say again what the agent has not answered yet.
    pub async fn announce(&mut self, agent: &AgentId) {
        let subject = subjects::call_presence(agent);
        if let Err(error) = self
            .comms
            .bus
            .publish(&subject, Headers::new(), bytes::Bytes::new())
            .await
        {
            tracing::info!(%error, "relays are not told that an agent waits");
        }
    }

    /// The next signal, taken. `None`: the bus is gone.
    pub async fn next(&mut self) -> Option<Signal> {
        self.next_of(|_| true).await
    }

    /// The next signal of this kind, taken; others are left to whoever wants them.
    pub async fn next_of(&mut self, is_wanted: impl Fn(&Signal) -> bool) -> Option<Signal> {
        loop {
            let message = self.signals.next().await?;
            let signal: Option<Signal> = serde_json::from_slice(&message.payload).ok();
            let Some(signal) = signal.filter(&is_wanted) else {
                continue;
            };
            if let Some(reply_to) = &message.reply_to {
                let taken = self.comms.bus.publish(reply_to, Headers::new(), "1".into()).await;
                taken
                    .inspect_err(|error| tracing::info!(%error, "a relay is not told that its signal is taken"))
                    .ok();
            }
            return Some(signal);
        }
    }
}

/// A request to a client's model, on its way to the gateway that holds the client's stream.
#[derive(Serialize, Deserialize)]
pub struct Ask {
    /// Ours; what `unask` names.
    pub id: String,
    pub connection: String,
    pub agent: AgentId,
    /// As JSON-RPC has it: `sampling/createMessage`.
    pub method: String,
    pub params: Value,
    /// How long the client may take.
    pub deadline_ms: u64,
}

/// What the client said.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Asked {
    /// The result of the JSON-RPC response.
    Result(Value),
    /// It answered with an error, or not at all, or is gone.
    Failed(String),
}

/// A request that is withdrawn at the client when this is dropped before it has been answered.
struct Withdrawal<'a> {
    comms: &'a Comms,
    replica: &'a ReplicaId,
    id: Option<String>,
}

impl Drop for Withdrawal<'_> {
    fn drop(&mut self) {
        let Some(id) = self.id.take() else { return };
        let (comms, subject) = (self.comms.clone(), subjects::unask(self.replica));
        self.comms.tasks.spawn(async move {
            let told = comms.bus.publish(&subject, Headers::new(), id.into()).await;
            told.inspect_err(|error| tracing::info!(%error, "a client goes on with what nobody wants"))
                .ok();
        });
    }
}

/// Asks the client's model. Dropped before the answer is there, the request is withdrawn at the client.
pub async fn sample(
    comms: &Comms,
    agent: &AgentId,
    model: &ClientModel,
    params: Value,
    deadline: Duration,
) -> Result<String, String> {
    let id = butt_dial_domain::ids::unique();
    let ask = Ask {
        id: id.clone(),
        connection: model.connection.clone(),
        agent: agent.clone(),
        method: "sampling/createMessage".into(),
        params,
        deadline_ms: u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX),
    };
    let payload = serde_json::to_vec(&ask).map_err(|error| error.to_string())?;
    let mut withdrawal = Withdrawal {
        comms,
        replica: &model.replica,
        id: Some(id),
    };
    let answer = comms
        .bus
        .request(&subjects::ask(&model.replica), Headers::new(), payload.into(), deadline)
        .await
        .map_err(|error| error.to_string())?;
    withdrawal.id = None;
    match serde_json::from_slice(&answer.payload) {
        Ok(Asked::Result(result)) => text_of(&result).ok_or_else(|| "the client's model answered with no text".into()),
        Ok(Asked::Failed(reason)) => Err(reason),
        Err(error) => Err(error.to_string()),
    }
}

/// The parameters of `sampling/createMessage`.
pub fn sampling_params(state: &CallState, max_tokens: u32) -> Value {
    let facts = &state.facts;
    let system = facts.plan.system_prompt.clone().unwrap_or_else(|| {
        format!(
            "You are {}, on a telephone call. Answer in the caller's language ({}), in one to three short sentences that \
             sound well when they are read aloud: no lists, no markup.",
            facts.name, facts.language
        )
    });
    let from = state.history.len().saturating_sub(LINES);
    let mut messages: Vec<Value> = Vec::new();
    for line in &state.history[from..] {
        let role = match line.by {
            Speaker::Caller => "user",
            Speaker::Agent | Speaker::Machine => "assistant",
        };
        // Models want roles to alternate.
        match messages.last_mut() {
            Some(last) if last["role"] == role => {
                let text = format!("{} {}", last["content"]["text"].as_str().unwrap_or_default(), line.text);
                last["content"]["text"] = json!(text);
            }
            _ => messages.push(json!({ "role": role, "content": { "type": "text", "text": line.text } })),
        }
    }
    json!({
        "messages": messages,
        "systemPrompt": system,
        "maxTokens": max_tokens,
        "metadata": { "callId": facts.call, "turnId": state.turn.to_string() },
    })
}

/// What a result of `sampling/createMessage` says. Content is one block up to 2025-06-18, and may be a list since.
pub fn text_of(result: &Value) -> Option<String> {
    let content = &result["content"];
    let blocks = match content {
        Value::Array(blocks) => blocks.as_slice(),
        block => std::slice::from_ref(block),
    };
    let texts: Vec<&str> = blocks.iter().filter_map(|block| block["text"].as_str()).collect();
    let text = texts.join(" ");
    (!text.trim().is_empty()).then_some(text)
}
