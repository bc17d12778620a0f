//! Requests a reply for one turn from the agent, by the best way there is now, or from the voicemail service's model. Dropping
//! the request cancels it at the agent or the model.

use std::{sync::Arc, time::Duration};

use butt_dial_calls::{
    Calls,
    notifications::{self, CallNotification, NotificationKind},
    sampling,
    speech::{self, SpeechStream},
    state::{CallState, LeftMessage, Responder},
    voicemail::{self, EndMarkerParser},
};
use butt_dial_domain::ports::model::{CompletionChunk, CompletionStream, ModelError};
use butt_dial_messaging::delivery::Listener;
use futures::StreamExt;
use tokio::{
    sync::{Notify, mpsc},
    time::sleep,
};

/// Maximum length of a reply by a client's model, in tokens: half a minute of speech.
const MAX_TOKENS: u32 = 300;
/// A model that fails before its first word is asked once more.
const MODEL_ATTEMPTS: u32 = 2;
const RETRY_PAUSE: Duration = Duration::from_millis(400);
/// Time for an agent to connect: its client opens another stream, or calls the next tool.
const RECONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// An event of a request for a reply.
pub struct ReplyEvent {
    /// The responder of the request. Another one may have taken over since.
    pub by: Responder,
    pub turn: u64,
    pub kind: ReplyKind,
}

pub enum ReplyKind {
    /// A tool call of the agent has claimed the turn. Its reply arrives as a command.
    Claimed,
    Text {
        text: String,
        is_last: bool,
    },
    /// The voicemail service has ended the conversation.
    VoicemailFinished(LeftMessage),
    /// No responder is available.
    Unavailable,
}

/// The events of one request.
struct ReplyEvents {
    by: Responder,
    turn: u64,
    sender: mpsc::Sender<ReplyEvent>,
}

impl ReplyEvents {
    async fn send(&self, kind: ReplyKind) {
        let (by, turn) = (self.by, self.turn);
        // Without a receiver the session has ended.
        drop(self.sender.send(ReplyEvent { by, turn, kind }).await);
    }

    async fn send_text(&self, text: String, is_last: bool) {
        self.send(ReplyKind::Text { text, is_last }).await;
    }
}

/// Requests a reply to the current turn of `state`. `arrivals` is notified when the agent connects meanwhile.
pub async fn request_reply(
    calls: Arc<Calls>,
    state: CallState,
    sender: mpsc::Sender<ReplyEvent>,
    arrivals: Arc<Notify>,
) {
    let (by, turn) = (state.responder, state.turn);
    let events = ReplyEvents { by, turn, sender };
    let is_available = match by {
        Responder::Agent => request_from_agent(&calls, &state, &events, &arrivals).await,
        Responder::Voicemail => request_from_model(&calls, &state, &events).await,
    };
    if !is_available {
        events.send(ReplyKind::Unavailable).await;
    }
}

/// The result of a request to the agent's connected clients.
enum ClientResult {
    /// A client has replied, or will reply with a command.
    Replied,
    Unavailable,
    /// Other clients have connected: the request has to start again.
    Outdated,
}

/// Returns false if the agent is unavailable.
async fn request_from_agent(calls: &Arc<Calls>, state: &CallState, events: &ReplyEvents, arrivals: &Notify) -> bool {
    let notification = CallNotification::new(NotificationKind::Turn, state);
    loop {
        if notifications::offer_claim(calls, &state.info.agent, &notification).await {
            events.send(ReplyKind::Claimed).await;
            return true;
        }
        match request_from_clients(calls, state, events, &notification, arrivals).await {
            ClientResult::Replied => return true,
            ClientResult::Unavailable => return false,
            ClientResult::Outdated => {}
        }
    }
}

async fn request_from_clients(
    calls: &Arc<Calls>,
    state: &CallState,
    events: &ReplyEvents,
    notification: &CallNotification,
    arrivals: &Notify,
) -> ClientResult {
    let (agent, settings) = (&state.info.agent, calls.settings());
    let listeners = notifications::find_listeners(calls, agent).await;
    for client in listeners.iter().filter(|listener| listener.samples()) {
        let params = sampling::sampling_params(state, MAX_TOKENS);
        let reply = tokio::select! {
            reply = sampling::sample(calls, agent, client, params, settings.sampling_timeout) => reply,
            better = wait_for_better_client(calls, notification, agent, client, &listeners, arrivals) => {
                if matches!(better, ClientResult::Replied) {
                    events.send(ReplyKind::Claimed).await;
                }
                return better;
            }
        };
        match reply {
            Ok(text)
                if speech::speakable(&text, &speech::options(&state.info.plan, state.caller_language())).is_empty() =>
            {
                tracing::info!(call = %state.info.call, "sampling failed: nothing of the reply can be spoken");
            }
            Ok(text) => {
                events.send_text(text, true).await;
                return ClientResult::Replied;
            }
            Err(reason) => tracing::info!(reason, call = %state.info.call, "sampling failed"),
        }
    }
    let wait = match notifications::push(calls, &listeners, notification).await {
        true => settings.push_timeout,
        // An agent that has attended this call has the whole reply timeout to come back; then it is asked again.
        false if state.is_attended => return ClientResult::Replied,
        false => RECONNECT_TIMEOUT,
    };
    tokio::select! {
        () = sleep(wait) => ClientResult::Unavailable,
        () = arrivals.notified() => ClientResult::Outdated,
    }
}

/// Waits during a sampling request for a tool call that claims the turn, or a client that should be asked instead. Other
/// arrivals, such as a client that polls for events, do not interrupt the request.
async fn wait_for_better_client(
    calls: &Calls,
    notification: &CallNotification,
    agent: &butt_dial_domain::AgentId,
    current: &Listener,
    known: &[Listener],
    arrivals: &Notify,
) -> ClientResult {
    loop {
        arrivals.notified().await;
        if notifications::offer_claim(calls, agent, notification).await {
            return ClientResult::Replied;
        }
        let connected = notifications::find_listeners(calls, agent).await;
        let is_gone = connected.iter().all(|listener| listener.id != current.id);
        let is_new = |listener: &&Listener| known.iter().all(|known| known.id != listener.id);
        let has_new = connected.iter().filter(is_new).any(Listener::samples);
        // An empty list can be an outage of the store. The request to a client that is gone fails anyway.
        if has_new || (is_gone && !connected.is_empty()) {
            return ClientResult::Outdated;
        }
    }
}

/// Returns false if there is no model, or it does not reply.
async fn request_from_model(calls: &Calls, state: &CallState, events: &ReplyEvents) -> bool {
    let Some(model) = calls.model_of(&state.info.org).await else {
        return false;
    };
    let max_turns = calls.settings().timeouts.voicemail_turns;
    let prompt = voicemail::prompt(state, max_turns.saturating_sub(state.voicemail.turns));
    for attempt in 1..=MODEL_ATTEMPTS {
        let completion = match model.complete(&prompt).await {
            Ok(completion) => completion,
            Err(error) => {
                tracing::warn!(%error, attempt, "voicemail model request failed");
                if !is_transient(&error) {
                    return false;
                }
                sleep(RETRY_PAUSE).await;
                continue;
            }
        };
        match stream_reply(completion, events, state.caller_language()).await {
            Streamed::Complete => return true,
            // The spoken part stands; the caller continues from there.
            Streamed::Interrupted => {
                events.send_text(String::new(), true).await;
                return true;
            }
            Streamed::Nothing => sleep(RETRY_PAUSE).await,
        }
    }
    false
}

fn is_transient(error: &ModelError) -> bool {
    !matches!(error, ModelError::Configuration(_) | ModelError::Refused(_))
}

enum Streamed {
    Complete,
    /// The completion broke off after its first words.
    Interrupted,
    Nothing,
}

async fn stream_reply(mut completion: CompletionStream, events: &ReplyEvents, language: &str) -> Streamed {
    let mut parser = EndMarkerParser::default();
    let mut speech = speech::stream(language);
    let mut has_spoken = false;
    loop {
        match completion.next().await {
            Some(Ok(CompletionChunk::Text(text))) => {
                let sentences = speech.push(&parser.push(&text));
                // The blank after a sentence makes the carrier speak it at once.
                let text = match sentences.trim() {
                    "" => String::new(),
                    sentences => format!("{sentences} "),
                };
                if !text.is_empty() {
                    has_spoken = true;
                    events.send_text(text, false).await;
                }
            }
            Some(Ok(CompletionChunk::End(_))) => break,
            Some(Err(error)) => {
                tracing::warn!(%error, has_spoken, "voicemail completion interrupted");
                return interrupted(events, speech, has_spoken).await;
            }
            None => return interrupted(events, speech, has_spoken).await,
        }
    }
    let (rest, message) = parser.finish();
    let rest = speech.push(&rest) + &speech.finish();
    if !has_spoken && rest.trim().is_empty() && message.is_none() {
        return Streamed::Nothing;
    }
    events.send_text(rest, true).await;
    if let Some(message) = message {
        events.send(ReplyKind::VoicemailFinished(message)).await;
    }
    Streamed::Complete
}

/// Speaks the beginning of the sentence that broke off.
async fn interrupted(events: &ReplyEvents, speech: SpeechStream, has_spoken: bool) -> Streamed {
    let rest = speech.finish();
    let has_rest = !rest.trim().is_empty();
    if has_rest {
        events.send_text(rest, false).await;
    }
    match has_spoken || has_rest {
        true => Streamed::Interrupted,
        false => Streamed::Nothing,
    }
}
