//! Who says what, when: the conversation of one call as a machine without I/O. It is told what is heard, what the mind
//! answers and how late it is, and says what is to be done. Whoever owns the socket does it (`services/voice-relay`).
//!
//! One turn at a time: when the caller speaks again, or interrupts, the turn in flight is over, and what still comes for it
//! is dropped. What was planned is kept apart from what was heard: only the latter has been said.

mod closing;
mod listening;
mod replying;
#[cfg(test)]
mod tests;
mod waiting;

use std::{sync::Arc, time::Duration};

use butt_dial_domain::{
    call::{Direction, Purpose},
    clock::Timestamp,
    ports::voice::ToCaller,
};
use tokio::time::Instant;

use super::{
    CallSettings,
    heard::{Kind, Queue},
    phrases::{self, Book, Phrases},
    state::{CallState, Line, Mind, Next, Reply, Speaker},
};

pub use replying::{Answer, Stale};

/// How long everything may take. Settings.
#[derive(Clone, Debug)]
pub struct Budgets {
    /// Silence of ours after the caller's last word, before a filler is said.
    pub filler_after: Duration,
    /// Between fillers.
    pub filler_again: Duration,
    /// Until the answering machine takes over from an agent that says nothing.
    pub reply_within: Duration,
    /// Between two pieces of a reply.
    pub piece_within: Duration,
    /// Silence of both, before the caller is asked whether they are there; as long again, and the call ends.
    pub silence: Duration,
    /// After an interruption that no words follow.
    pub after_interruption: Duration,
    /// After the last key that was pressed.
    pub keys_within: Duration,
    /// What the answering machine may say.
    pub machine_turns: u32,
    pub machine_within: Duration,
}

impl Default for Budgets {
    fn default() -> Self {
        Self {
            filler_after: Duration::from_millis(1_200),
            filler_again: Duration::from_secs(5),
            reply_within: Duration::from_secs(12),
            piece_within: Duration::from_secs(8),
            silence: Duration::from_secs(20),
            after_interruption: Duration::from_secs(3),
            keys_within: Duration::from_secs(2),
            machine_turns: 12,
            machine_within: Duration::from_secs(120),
        }
    }
}

/// What is to be done, in this order.
#[derive(Clone, PartialEq, Eq)]
pub enum Act {
    Send(ToCaller),
    /// The mind shall answer this turn; whoever that is.
    Ask {
        turn: u64,
    },
    /// Whatever the mind is at, it is not wanted any more.
    Cancel,
    /// The state has changed.
    Save,
    /// The session ends, once the state is saved.
    Close,
}

pub struct Dialogue {
    pub state: CallState,
    budgets: Budgets,
    /// Whether there is a model for the answering machine.
    has_model: bool,
    book: Arc<Book>,
    phrases: Arc<Phrases>,
    queue: Queue,
    clocks: Clocks,
    /// The filler that was said last: never twice the same.
    last_filler: Option<usize>,
    /// In this turn.
    fillers: u32,
    /// How often the caller was asked whether they are there.
    prods: u32,
    pressed: String,
    /// The session ends: nothing is said any more.
    is_closed: bool,
    /// What an interruption has cut that no words have followed yet.
    cut: Option<Cut>,
    acts: Vec<Act>,
}

enum Cut {
    /// What was not heard of a reply. Nothing, where it was heard to its end.
    Reply(String),
    /// The mind was still thinking.
    Question,
}

/// What time is waited for. `None`: nothing.
#[derive(Default)]
struct Clocks {
    /// The mind was asked.
    asked: Option<Instant>,
    filler: Option<Instant>,
    /// The mind has been silent for too long.
    give_up: Option<Instant>,
    silence: Option<Instant>,
    interruption: Option<Instant>,
    keys: Option<Instant>,
    /// What was sent should have been heard by then, whatever the carrier tells.
    spoken: Option<Instant>,
    /// The last words should have been heard by then.
    closing: Option<Instant>,
    machine: Option<Instant>,
    limit: Option<Instant>,
}

impl Clocks {
    fn all(&self) -> [Option<Instant>; 9] {
        [
            self.spoken,
            self.filler,
            self.give_up,
            self.silence,
            self.interruption,
            self.keys,
            self.closing,
            self.machine,
            self.limit,
        ]
    }
}

impl Dialogue {
    pub fn new(state: CallState, settings: &CallSettings, has_model: bool) -> Self {
        Self {
            phrases: settings.phrases.of(&state.facts.language),
            book: settings.phrases.clone(),
            state,
            budgets: settings.budgets.clone(),
            has_model,
            queue: Queue::default(),
            clocks: Clocks::default(),
            last_filler: None,
            fillers: 0,
            prods: 0,
            pressed: String::new(),
            is_closed: false,
            cut: None,
            acts: Vec::new(),
        }
    }

    /// The socket is open. `is_reachable`: there is an agent that can be asked.
    pub fn open(&mut self, is_reachable: bool, wall: Timestamp, now: Instant) -> Vec<Act> {
        let left = (self.state.facts.limit_at - wall).to_std().unwrap_or_default();
        self.clocks.limit = Some(now + left);
        self.state.sessions += 1;
        let next = std::mem::take(&mut self.state.next);
        if self.state.is_greeted {
            self.resume(wall, now);
        } else {
            self.greet(is_reachable, wall, now);
        }
        if next != Next::Resume {
            // The socket before this one was lost over the last words.
            self.closes_with(next, now);
            self.close_if_heard(now);
        }
        self.acts.push(Act::Save);
        self.take()
    }

    fn greet(&mut self, is_reachable: bool, wall: Timestamp, now: Instant) {
        self.state.is_greeted = true;
        let facts = &self.state.facts;
        if !is_reachable && facts.plan.purpose == Purpose::Converse {
            return self.machine_takes_over(true, wall, now);
        }
        let greeting = match (&facts.plan.greeting, facts.direction) {
            (Some(greeting), _) => greeting.clone(),
            (None, Direction::Inbound) => phrases::with(&self.phrases.greeting, &facts.name),
            (None, Direction::Outbound) => String::new(),
        };
        // A call of ours says first for whom it calls; who calls us knows whom.
        let words = match facts.direction {
            Direction::Inbound => format!("{} {greeting}", self.phrases.disclosure),
            Direction::Outbound => format!("{} {greeting}", phrases::with(&self.phrases.calling, &facts.name)),
        };
        self.say(Speaker::Agent, &words, now);
    }

    /// Something of ours that is part of the conversation: should the socket be lost, it goes on from what was heard.
    fn say(&mut self, by: Speaker, words: &str, now: Instant) {
        self.state.reply = Some(Reply {
            turn: self.state.turn,
            by,
            planned: words.to_owned(),
            heard: 0,
            is_complete: true,
        });
        self.queue.push(Kind::Reply, words);
        self.speak(words.to_owned(), true, false);
        self.listen_for_silence(now);
        self.acts.push(Act::Save);
    }

    /// On another replica, or another socket: from the first words that were not heard.
    fn resume(&mut self, wall: Timestamp, now: Instant) {
        if self.state.mind == Mind::Machine {
            self.clocks.machine = Some(now + self.machine_time_left(wall));
        }
        let rest = self
            .state
            .reply
            .as_ref()
            .map(|reply| (reply.unheard().to_owned(), reply.is_complete));
        match rest {
            // The rest of what it was about to say went with the relay that heard it.
            Some((_, false)) if self.state.mind == Mind::Machine => {
                self.finish_reply(wall);
                self.state.is_pending = true;
                self.ask(now);
            }
            Some((rest, is_complete)) if !rest.trim().is_empty() => {
                self.queue.push(Kind::Reply, &rest);
                self.speak(rest, is_complete, false);
                if !is_complete {
                    self.clocks.give_up = Some(now + self.budgets.piece_within);
                }
            }
            _ if self.state.is_pending => self.ask(now),
            // What was being said has not been heard to its end.
            _ if self.state.is_caller_speaking => self.notice(&self.phrases.clone().missed, now),
            // Nobody notices a gap in a silence.
            _ => {}
        }
        self.state.is_caller_speaking = false;
        self.listen_for_silence(now);
    }

    /// What the caller is to hear of us, and what has to be waited for, is nothing: the call can be handed over unnoticed.
    pub fn is_quiet(&self) -> bool {
        self.queue.is_empty() && !self.state.is_caller_speaking && !self.state.is_pending && self.pressed.is_empty()
    }

    /// When `tick` is to be called.
    pub fn deadline(&self) -> Option<Instant> {
        self.clocks.all().into_iter().flatten().min()
    }

    /// Something about the call itself. Not to be interrupted by noise, and not part of what anybody said.
    fn notice(&mut self, text: &str, now: Instant) {
        self.queue.push(Kind::Notice, text);
        self.speak(text.to_owned(), true, false);
        self.listen_for_silence(now);
    }

    fn speak(&mut self, text: String, is_last: bool, preemptible: bool) {
        self.acts.push(Act::Send(ToCaller::Speak {
            text,
            is_last,
            language: None,
            interruptible: None,
            preemptible,
        }));
    }

    fn note(&mut self, by: Speaker, text: &str, is_cut: bool, at: Timestamp) {
        /// A long call must not make its state grow without end.
        const MAX_LINES: usize = 400;
        /// Who called, and why, is said first.
        const FIRST_LINES: usize = 40;
        let text = text.trim();
        if text.is_empty() {
            return;
        }
        if self.state.history.len() >= MAX_LINES {
            self.state.history.remove(FIRST_LINES);
        }
        self.state.history.push(Line {
            by,
            text: text.to_owned(),
            is_cut,
            at,
        });
    }

    fn take(&mut self) -> Vec<Act> {
        std::mem::take(&mut self.acts)
    }
}
