//! Whoever answers a turn, asked: the agent by the best way there is now, or the answering machine's model. Dropped, whatever
//! was asked is cancelled upstream.

use std::time::Duration;

use butt_dial_comms::{
    Comms,
    calls::{
        machine::{self, Splitter, Taken},
        sampling,
        signal::{self, Event, Signal},
        state::{CallState, Mind},
    },
};
use butt_dial_domain::ports::model::{ModelError, Piece};
use futures::StreamExt;
use tokio::sync::mpsc;

/// The longest answer that a client's model is asked for, in tokens: half a minute of speech.
const MAX_TOKENS: u32 = 300;
/// A model that failed before its first word is asked once more.
const TRIES: u32 = 2;
const RETRY_PAUSE: Duration = Duration::from_millis(400);
/// An agent that was there, or is about to be: its client opens another stream, or calls the next tool.
const BACK_WITHIN: Duration = Duration::from_secs(3);

/// What a mind says, or that it can't.
pub struct Thought {
    /// Who was asked. It may be somebody else's turn by now.
    pub by: Mind,
    pub turn: u64,
    pub what: What,
}

pub enum What {
    /// A tool call of the agent's has the turn; the answer comes as an order.
    Taken,
    Said {
        text: String,
        is_last: bool,
    },
    /// The machine has found out what it could, and said goodbye.
    MachineEnds(Taken),
    /// Nobody answers this turn.
    Nobody,
}

/// Where a mind's answer to one turn goes.
struct Thoughts {
    by: Mind,
    turn: u64,
    to: mpsc::Sender<Thought>,
}

impl Thoughts {
    async fn send(&self, what: What) {
        let (by, turn) = (self.by, self.turn);
        // Without a reader the call is over.
        drop(self.to.send(Thought { by, turn, what }).await);
    }
}

/// Answers one turn of the call, as it stood when the turn began.
pub async fn think(comms: Comms, state: CallState, to: mpsc::Sender<Thought>) {
    let (by, turn) = (state.mind, state.turn);
    let thoughts = Thoughts { by, turn, to };
    let answered = match state.mind {
        Mind::Agent => ask_agent(&comms, &state, &thoughts).await,
        Mind::Machine => ask_machine(&comms, &state, &thoughts).await,
    };
    if !answered {
        thoughts.send(What::Nobody).await;
    }
}

/// False: nobody is there who could answer.
async fn ask_agent(comms: &Comms, state: &CallState, thoughts: &Thoughts) -> bool {
    let agent = &state.facts.agent;
    let signal = Signal::new(Event::Turn, state);
    if signal::offer(comms, agent, &signal).await {
        thoughts.send(What::Taken).await;
        return true;
    }
    let listeners = signal::find_listeners(comms, agent).await;
    for client in listeners.iter().filter(|listener| listener.samples()) {
        let params = sampling::sampling_params(state, MAX_TOKENS);
        match sampling::sample(comms, agent, client, params, comms.settings.calls.sampling_within).await {
            Ok(text) => {
                let said = What::Said { text, is_last: true };
                thoughts.send(said).await;
                return true;
            }
            Err(reason) => tracing::info!(reason, call = %state.facts.call, "a client's model has not answered"),
        }
    }
    if signal::push(comms, &listeners, &signal).await {
        tokio::time::sleep(comms.settings.calls.push_within).await;
        return false;
    }
    // When it is back, it is asked again. One that has talked in this call has all of its budget for that.
    if !state.is_attended {
        tokio::time::sleep(BACK_WITHIN).await;
    }
    state.is_attended
}

async fn ask_machine(comms: &Comms, state: &CallState, thoughts: &Thoughts) -> bool {
    let Some(model) = &comms.model else { return false };
    let left = comms
        .settings
        .calls
        .budgets
        .machine_turns
        .saturating_sub(state.machine.turns);
    let prompt = machine::prompt(state, left);
    for attempt in 1..=TRIES {
        let answer = match model.ask(&prompt).await {
            Ok(answer) => answer,
            Err(error) => {
                tracing::warn!(%error, attempt, "the answering machine's model does not answer");
                if !may_help(&error) {
                    return false;
                }
                tokio::time::sleep(RETRY_PAUSE).await;
                continue;
            }
        };
        match speak(answer, thoughts).await {
            Spoken::Whole => return true,
            // What was said stands; the caller goes on from there.
            Spoken::Cut => {
                let end = What::Said {
                    text: String::new(),
                    is_last: true,
                };
                thoughts.send(end).await;
                return true;
            }
            Spoken::Nothing => tokio::time::sleep(RETRY_PAUSE).await,
        }
    }
    false
}

fn may_help(error: &ModelError) -> bool {
    !matches!(error, ModelError::Configuration(_) | ModelError::Refused(_))
}

enum Spoken {
    Whole,
    Cut,
    Nothing,
}

async fn speak(mut answer: butt_dial_domain::ports::model::Answer, thoughts: &Thoughts) -> Spoken {
    let mut splitter = Splitter::default();
    let mut has_spoken = false;
    loop {
        match answer.next().await {
            Some(Ok(Piece::Text(text))) => {
                let text = splitter.push(&text);
                if !text.is_empty() {
                    has_spoken = true;
                    thoughts.send(What::Said { text, is_last: false }).await;
                }
            }
            Some(Ok(Piece::End(_))) => break,
            Some(Err(error)) => {
                tracing::warn!(%error, has_spoken, "the answering machine's model broke off");
                return if has_spoken { Spoken::Cut } else { Spoken::Nothing };
            }
            None => return if has_spoken { Spoken::Cut } else { Spoken::Nothing },
        }
    }
    let (rest, taken) = splitter.finish();
    if !has_spoken && rest.trim().is_empty() && taken.is_none() {
        return Spoken::Nothing;
    }
    let said = What::Said {
        text: rest,
        is_last: true,
    };
    thoughts.send(said).await;
    if let Some(taken) = taken {
        thoughts.send(What::MachineEnds(taken)).await;
    }
    Spoken::Whole
}
