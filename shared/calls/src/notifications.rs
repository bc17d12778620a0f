//! Notifications of an agent about its calls. A tool call that waits claims a notification; otherwise the agent's client is
//! asked by sampling (`sampling.rs`), or notified by push. The serialized form is part of the API.

use std::{sync::Arc, time::Duration};

use butt_dial_domain::{
    AgentId, CallId,
    call::Direction,
    client_stream::PushOutcome,
    keys,
    ports::bus::{BusError, Headers, Message},
    spoken_revocation::SpokenRevocation,
    subjects,
};
use butt_dial_messaging::delivery::{Listener, PushMessage, ReachedSessions};
use futures::{StreamExt, stream::BoxStream};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{
    callee::Automaton,
    revocation,
    state::{CallState, Responder, Speaker, TranscriptEntry},
};
use crate::{Calls, waiters::NewerWaiters};

/// Time for a waiting tool call to claim a notification.
const CLAIM_TIMEOUT: Duration = Duration::from_millis(150);
/// Longer than a notification is in transit.
const CLAIM_TTL: Duration = Duration::from_secs(10);
/// Number of transcript entries that accompany a turn.
pub(crate) const HISTORY_LEN: usize = 20;

/// A notification about one call.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CallNotification {
    pub event: NotificationKind,
    pub call_id: CallId,
    /// Identifies the turn. A reply to an earlier turn is not spoken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn_id: Option<String>,
    /// The caller's words in this turn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The keys that the caller has pressed in this turn, without the one that ends the input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digits: Option<String>,
    /// The automaton that has answered an outbound call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub callee: Option<Automaton>,
    /// The caller's words in this turn revoke consent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revocation: Option<SpokenRevocation>,
    pub direction: Direction,
    pub from: String,
    pub to: String,
    /// The language of the caller's last words, else of the call.
    pub language: String,
    /// The party that replies to the caller at present.
    pub handled_by: Responder,
    /// The most recent transcript entries, oldest first.
    pub history: Vec<TranscriptEntry>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system_prompt: Option<String>,
    /// The end reason of a finished call.
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
        Self {
            event,
            call_id: info.call.clone(),
            turn_id: is_turn.then(|| state.turn.to_string()),
            text: is_turn.then(|| match state.unanswered.is_empty() {
                // The state was written by an earlier version of the program.
                true => caller_words(history),
                false => state.unanswered.clone(),
            }),
            digits: Some(state.unanswered_keys.clone()).filter(|keys| is_turn && !keys.is_empty()),
            callee: state.callee.filter(|_| is_turn),
            revocation: revocation::heard(&state.unanswered).filter(|_| is_turn && state.callee.is_none()),
            direction: info.direction,
            from: from.clone(),
            to: to.clone(),
            language: state.caller_language().to_owned(),
            handled_by: state.responder,
            history: history[history.len().saturating_sub(HISTORY_LEN)..].to_vec(),
            system_prompt: info.plan.system_prompt.clone(),
            reason: None,
        }
    }

    /// Returns the form for push and events: a flat object with a `type`.
    fn to_event(&self) -> Map<String, Value> {
        let mut data = match json!(self) {
            Value::Object(data) => data,
            _ => Map::new(),
        };
        data.insert("type".into(), json!(self.event));
        data
    }
}

/// Joins the caller's most recent utterances. Part of a reply by the voicemail service may follow them.
fn caller_words(history: &[TranscriptEntry]) -> String {
    let newest_first = history.iter().rev().skip_while(|entry| entry.by != Speaker::Caller);
    let utterances = newest_first.take_while(|entry| entry.by == Speaker::Caller);
    let mut words: Vec<&str> = utterances.map(|entry| entry.text.as_str()).collect();
    words.reverse();
    words.join(" ")
}

/// Offers a notification to the agent's waiting tool calls. Returns true if one of them claimed it.
pub async fn offer_claim(calls: &Calls, agent: &AgentId, notification: &CallNotification) -> bool {
    let subject = subjects::call_notifications(agent, &notification.call_id);
    let Ok(payload) = serde_json::to_vec(notification) else {
        return false;
    };
    let claim = calls
        .bus
        .request(&subject, Headers::new(), payload.into(), CLAIM_TIMEOUT);
    match claim.await {
        Ok(_) => true,
        Err(BusError::NoResponders(_)) => false,
        Err(error) => {
            tracing::info!(%error, call = %notification.call_id, "call notification not claimed");
            false
        }
    }
}

/// Publishes a notification to all subscribers, without a claim.
pub(crate) async fn broadcast(calls: &Calls, agent: &AgentId, notification: &CallNotification) {
    let subject = subjects::call_notifications(agent, &notification.call_id);
    let Ok(payload) = serde_json::to_vec(notification) else {
        return;
    };
    if let Err(error) = calls.bus.publish(&subject, Headers::new(), payload.into()).await {
        tracing::info!(%error, call = %notification.call_id, "call notification publish failed");
    }
}

/// Finds the agent's clients with an open stream, the newest first. Returns none if the registry is unavailable.
pub async fn find_listeners(calls: &Calls, agent: &AgentId) -> Vec<Listener> {
    let found = calls.delivery.find_initialized_listeners(agent).await;
    found.unwrap_or_else(|error| {
        tracing::warn!(%error, "listener registry unavailable");
        Vec::new()
    })
}

/// Pushes a notification to the first connected client. Returns true if a client received it.
pub async fn push(calls: &Calls, listeners: &[Listener], notification: &CallNotification) -> bool {
    let message = PushMessage::new(&notification.to_event());
    let now = calls.clock.now();
    let mut reached = ReachedSessions::default();
    for listener in listeners.iter().filter(|listener| listener.hears_calls(now)) {
        if reached.contains(listener) {
            continue;
        }
        match calls.delivery.push(listener, vec![message.text.clone()]).await {
            PushOutcome::Confirmed => return true,
            outcome => reached.record(listener, outcome),
        }
    }
    false
}

/// Returns whether a tool call of the agent waits, or one of its clients is connected.
pub async fn is_reachable(calls: &Calls, agent: &AgentId, notification: &CallNotification) -> bool {
    if offer_claim(calls, agent, notification).await {
        return true;
    }
    let (listeners, now) = (find_listeners(calls, agent).await, calls.clock.now());
    listeners
        .iter()
        .any(|listener| listener.samples() || listener.hears_calls(now))
}

/// Publishes that the agent has connected. Relays then repeat requests for pending replies.
pub async fn announce_presence(calls: &Calls, agent: &AgentId) {
    let subject = subjects::call_presence(agent);
    let published = calls.bus.publish(&subject, Headers::new(), bytes::Bytes::new()).await;
    published
        .inspect_err(|error| tracing::info!(%error, "agent presence publish failed"))
        .ok();
}

/// Subscribes to the agent's presence.
pub async fn subscribe_presence(calls: &Calls, agent: &AgentId) -> Result<BoxStream<'static, ()>, BusError> {
    let messages = calls.bus.subscribe(&subjects::call_presence(agent)).await?;
    Ok(messages.map(drop).boxed())
}

impl Calls {
    /// Returns whether the agent was not notified of this within `interval`. Relays repeat unanswered notifications whenever
    /// the agent waits.
    pub async fn is_first_within(&self, notification: &CallNotification, interval: Duration) -> bool {
        let item = notification.turn_id.as_deref().unwrap_or("incoming");
        let key = keys::call_notified(&notification.call_id, item);
        // Without the store, a notification is repeated rather than lost.
        self.kv.once(&key, interval).await.unwrap_or(true)
    }
}

/// A notification that can be claimed.
pub struct ClaimOffer {
    pub notification: CallNotification,
    /// `None`: a broadcast, which needs no claim.
    reply_to: Option<String>,
    /// The time that newer waiters have to claim it.
    delay: Duration,
}

impl ClaimOffer {
    /// Claims the notification. An agent can wait in several tool calls: `None` for all but the first to claim.
    pub async fn claim(self, calls: &Calls) -> Option<CallNotification> {
        let Some(reply_to) = &self.reply_to else {
            return Some(self.notification);
        };
        tokio::time::sleep(self.delay).await;
        let is_first = calls.kv.once(&keys::notification_claim(reply_to), CLAIM_TTL).await;
        // Without the store, a turn is handed out twice rather than never.
        if !is_first.unwrap_or(true) {
            return None;
        }
        let claimed = calls.bus.publish(reply_to, Headers::new(), "1".into()).await;
        claimed
            .inspect_err(|error| tracing::info!(%error, "notification claim publish failed"))
            .ok();
        Some(self.notification)
    }
}

/// A tool call's subscription to notifications.
pub struct CallSubscription {
    calls: Arc<Calls>,
    messages: BoxStream<'static, Message>,
    newer: NewerWaiters,
}

impl CallSubscription {
    /// Subscribes to one call, or to all calls of the agent. Notifications that are published after this returns are
    /// received.
    pub async fn open(calls: &Arc<Calls>, agent: &AgentId, call: Option<&CallId>) -> Result<Self, BusError> {
        let subject = match call {
            Some(call) => subjects::call_notifications(agent, call),
            None => subjects::all_call_notifications(agent),
        };
        Ok(Self {
            messages: calls.bus.subscribe(&subject).await?,
            newer: NewerWaiters::announce(calls, agent, call).await?,
            calls: calls.clone(),
        })
    }

    /// Publishes that the agent waits. Relays then repeat requests for pending replies.
    pub async fn announce_presence(&mut self, agent: &AgentId) {
        announce_presence(&self.calls, agent).await;
    }

    /// Claims the next notification. `None`: the bus is closed.
    pub async fn claim_next(&mut self) -> Option<CallNotification> {
        self.claim_next_matching(|_| true).await
    }

    /// Claims the next notification that matches. Others are left to other subscribers.
    pub async fn claim_next_matching(
        &mut self,
        matches: impl Fn(&CallNotification) -> bool,
    ) -> Option<CallNotification> {
        loop {
            let offer = self.recv().await?;
            if matches(&offer.notification)
                && let Some(notification) = offer.claim(&self.calls).await
            {
                return Some(notification);
            }
        }
    }

    /// Receives the next notification without a claim.
    pub async fn recv(&mut self) -> Option<ClaimOffer> {
        loop {
            let message = tokio::select! {
                // Announcements first: they decide which waiter claims the notification.
                biased;
                () = self.newer.listen() => continue,
                message = self.messages.next() => message?,
            };
            if let Ok(notification) = serde_json::from_slice::<CallNotification>(&message.payload) {
                return Some(ClaimOffer {
                    delay: self.newer.delay(&notification.call_id),
                    reply_to: message.reply_to,
                    notification,
                });
            }
        }
    }
}
