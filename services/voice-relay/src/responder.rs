//! Whoever answers a turn, asked: the agent by the best way there is now, or the answering machine's model. Dropped, whatever
//! was asked is cancelled upstream.

use std::{sync::Arc, time::Duration};

use butt_dial_comms::{
    Comms,
    calls::{
        notifications::{self, CallNotification, NotificationKind},
        sampling,
        state::{CallState, LeftMessage, Responder},
        voicemail::{self, EndMarkerParser},
    },
    delivery::listeners::Listener,
};
use butt_dial_domain::{
    AgentId,
    ports::model::{CompletionChunk, ModelError},
};
use futures::StreamExt;
use tokio::{
    sync::{Notify, mpsc},
    time::sleep,
};

/// The longest answer that a client's model is asked for, in tokens: half a minute of speech.
const MAX_TOKENS: u32 = 300;
/// A model that failed before its first word is asked once more.
const TRIES: u32 = 2;
const RETRY_PAUSE: Duration = Duration::from_millis(400);
/// An agent that was there, or is about to be: its client opens another stream, or calls the next tool.
const BACK_WITHIN: Duration = Duration::from_secs(3);

/// What a mind says, or that it can't.
pub struct ReplyEvent {
    /// Who was asked. It may be somebody else's turn by now.
    pub by: Responder,
    pub turn: u64,
    pub what: ReplyKind,
}

pub enum ReplyKind {
    /// A tool call of the agent's has the turn; the answer comes as an order.
    OwnedCall,
    Said {
        text: String,
        is_last: bool,
    },
    /// The machine has found out what it could, and said goodbye.
    MachineEnds(LeftMessage),
    /// Nobody answers this turn.
    Nobody,
}

/// Where a mind's answer to one turn goes.
struct Thoughts {
    by: Responder,
    turn: u64,
    to: mpsc::Sender<ReplyEvent>,
}

impl Thoughts {
    async fn send(&self, what: ReplyKind) {
        let (by, turn) = (self.by, self.turn);
        // Without a reader the call is over.
        drop(self.to.send(ReplyEvent { by, turn, what }).await);
    }
}

/// Answers one turn of the call, as it stood when the turn began.
/// `arrivals`: the agent has come meanwhile.
pub async fn request_reply(comms: Comms, state: CallState, to: mpsc::Sender<ReplyEvent>, arrivals: Arc<Notify>) {
    let (by, turn) = (state.responder, state.turn);
    let thoughts = Thoughts { by, turn, to };
    let answered = match state.responder {
        Responder::Agent => ask_agent(&comms, &state, &thoughts, &arrivals).await,
        Responder::Voicemail => ask_machine(&comms, &state, &thoughts).await,
    };
    if !answered {
        thoughts.send(ReplyKind::Nobody).await;
    }
}

/// What came of asking those who are there.
enum Asked {
    Answered,
    Nobody,
    /// Somebody else is there by now.
    Outdated,
}

/// False: nobody is there who could answer.
async fn ask_agent(comms: &Comms, state: &CallState, thoughts: &Thoughts, arrivals: &Notify) -> bool {
    let signal = CallNotification::new(NotificationKind::Turn, state);
    loop {
        if notifications::offer_claim(comms, &state.info.agent, &signal).await {
            thoughts.send(ReplyKind::OwnedCall).await;
            return true;
        }
        match ask_listeners(comms, state, thoughts, &signal, arrivals).await {
            Asked::Answered => return true,
            Asked::Nobody => return false,
            Asked::Outdated => {}
        }
    }
}

async fn ask_listeners(
    comms: &Comms,
    state: &CallState,
    thoughts: &Thoughts,
    signal: &CallNotification,
    arrivals: &Notify,
) -> Asked {
    let agent = &state.info.agent;
    let listeners = notifications::find_listeners(comms, agent).await;
    for client in listeners.iter().filter(|listener| listener.samples()) {
        let params = sampling::sampling_params(state, MAX_TOKENS);
        let answer = tokio::select! {
            answer = sampling::sample(comms, agent, client, params, comms.settings.calls.sampling_timeout) => answer,
            asked = somebody_better(comms, signal, agent, (client, &listeners), arrivals) => {
                if matches!(asked, Asked::Answered) {
                    thoughts.send(ReplyKind::OwnedCall).await;
                }
                return asked;
            }
        };
        match answer {
            Ok(text) => {
                let said = ReplyKind::Said { text, is_last: true };
                thoughts.send(said).await;
                return Asked::Answered;
            }
            Err(reason) => tracing::info!(reason, call = %state.info.call, "a client's model has not answered"),
        }
    }
    let patience = match notifications::push(comms, &listeners, signal).await {
        true => comms.settings.calls.push_timeout,
        // When it is back, it is asked again. One that has talked in this call has all of its budget for that.
        false if state.is_attended => return Asked::Answered,
        false => BACK_WITHIN,
    };
    tokio::select! {
        () = sleep(patience) => Asked::Nobody,
        () = arrivals.notified() => Asked::Outdated,
    }
}

/// Whoever comes while a client's model thinks: a tool call that takes the turn, or a client that is to be asked instead. All
/// others (one that looks for events every other second, say) disturb nobody.
async fn somebody_better(
    comms: &Comms,
    signal: &CallNotification,
    agent: &AgentId,
    (asked, known): (&Listener, &[Listener]),
    arrivals: &Notify,
) -> Asked {
    loop {
        arrivals.notified().await;
        if notifications::offer_claim(comms, agent, signal).await {
            return Asked::Answered;
        }
        let there = notifications::find_listeners(comms, agent).await;
        let is_gone = there.iter().all(|listener| listener.id != asked.id);
        let is_new = |listener: &&Listener| known.iter().all(|known| known.id != listener.id);
        let has_new = there.iter().filter(is_new).any(Listener::samples);
        // Where nobody can be seen at all, that may be the store's fault; a client that is gone fails by itself.
        if has_new || (is_gone && !there.is_empty()) {
            return Asked::Outdated;
        }
    }
}

async fn ask_machine(comms: &Comms, state: &CallState, thoughts: &Thoughts) -> bool {
    let Some(model) = &comms.model else { return false };
    let left = comms
        .settings
        .calls
        .timeouts
        .voicemail_turns
        .saturating_sub(state.voicemail.turns);
    let prompt = voicemail::prompt(state, left);
    for attempt in 1..=TRIES {
        let answer = match model.complete(&prompt).await {
            Ok(answer) => answer,
            Err(error) => {
                tracing::warn!(%error, attempt, "the answering machine's model does not answer");
                if !may_help(&error) {
                    return false;
                }
                sleep(RETRY_PAUSE).await;
                continue;
            }
        };
        match speak(answer, thoughts).await {
            Spoken::Whole => return true,
            // What was said stands; the caller goes on from there.
            Spoken::BargeIn => {
                let end = ReplyKind::Said {
                    text: String::new(),
                    is_last: true,
                };
                thoughts.send(end).await;
                return true;
            }
            Spoken::Nothing => sleep(RETRY_PAUSE).await,
        }
    }
    false
}

fn may_help(error: &ModelError) -> bool {
    !matches!(error, ModelError::Configuration(_) | ModelError::Refused(_))
}

enum Spoken {
    Whole,
    BargeIn,
    Nothing,
}

async fn speak(mut answer: butt_dial_domain::ports::model::CompletionStream, thoughts: &Thoughts) -> Spoken {
    let mut splitter = EndMarkerParser::default();
    let mut has_spoken = false;
    loop {
        match answer.next().await {
            Some(Ok(CompletionChunk::Text(text))) => {
                let text = splitter.push(&text);
                if !text.is_empty() {
                    has_spoken = true;
                    thoughts.send(ReplyKind::Said { text, is_last: false }).await;
                }
            }
            Some(Ok(CompletionChunk::End(_))) => break,
            Some(Err(error)) => {
                tracing::warn!(%error, has_spoken, "the answering machine's model broke off");
                return if has_spoken { Spoken::BargeIn } else { Spoken::Nothing };
            }
            None => return if has_spoken { Spoken::BargeIn } else { Spoken::Nothing },
        }
    }
    let (rest, taken) = splitter.finish();
    if !has_spoken && rest.trim().is_empty() && taken.is_none() {
        return Spoken::Nothing;
    }
    let said = ReplyKind::Said {
        text: rest,
        is_last: true,
    };
    thoughts.send(said).await;
    if let Some(taken) = taken {
        thoughts.send(ReplyKind::MachineEnds(taken)).await;
    }
    Spoken::Whole
}
