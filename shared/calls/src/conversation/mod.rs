//! Who says what, when: the conversation of one call as a machine without I/O. It is told what is heard, what the mind
//! answers and how late it is, and says what is to be done. Whoever owns the socket does it (`services/voice-relay`).
//!
//! One turn at a time: when the caller speaks again, or interrupts, the turn in flight is over, and what still comes for it
//! is dropped. What was planned is kept apart from what was heard: only the latter has been said.

mod ending;
mod input;
mod output;
#[cfg(test)]
mod tests;
mod timers;

use std::{sync::Arc, time::Duration};

use butt_dial_domain::{
    call::{Direction, Purpose},
    clock::Timestamp,
    ports::voice::OutgoingFrame,
};
use tokio::time::Instant;

use super::{
    CallSettings,
    phrases::{self, Phrases, PromptCatalog},
    playback::{PlaybackQueue, UtteranceKind},
    state::{AfterSession, CallState, Reply, Responder, Speaker, TranscriptEntry},
};

pub use output::{Answer, ReplyRejected};

/// How long everything may take. Settings.
#[derive(Clone, Debug)]
pub struct Timeouts {
    /// Silence of ours after the caller's last word, before a filler is said.
    pub filler_after: Duration,
    /// Between fillers.
    pub filler_interval: Duration,
    /// Until the answering machine takes over from an agent that says nothing.
    pub reply_timeout: Duration,
    /// Between two pieces of a reply.
    pub chunk_timeout: Duration,
    /// Silence of both, before the caller is asked whether they are there; as long again, and the call ends.
    pub silence: Duration,
    /// After an interruption that no words follow.
    pub barge_in_timeout: Duration,
    /// After the last key that was pressed.
    pub dtmf_timeout: Duration,
    /// What the answering machine may say.
    pub voicemail_turns: u32,
    pub voicemail_timeout: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            filler_after: Duration::from_millis(1_200),
            filler_interval: Duration::from_secs(5),
            reply_timeout: Duration::from_secs(12),
            chunk_timeout: Duration::from_secs(8),
            silence: Duration::from_secs(20),
            barge_in_timeout: Duration::from_secs(3),
            dtmf_timeout: Duration::from_secs(2),
            voicemail_turns: 12,
            voicemail_timeout: Duration::from_secs(120),
        }
    }
}

/// What is to be done, in this order.
#[derive(Clone, PartialEq, Eq)]
pub enum Effect {
    Send(OutgoingFrame),
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

pub struct Conversation {
    pub state: CallState,
    timeouts: Timeouts,
    /// Whether there is a model for the answering machine.
    has_model: bool,
    catalog: Arc<PromptCatalog>,
    phrases: Arc<Phrases>,
    queue: PlaybackQueue,
    clocks: Deadlines,
    /// The filler that was said last: never twice the same.
    last_filler: Option<usize>,
    /// In this turn.
    fillers: u32,
    /// How often the caller was asked whether they are there.
    silence_prompts: u32,
    pressed: String,
    /// The session ends: nothing is said any more.
    is_closed: bool,
    /// What an interruption has cut that no words have followed yet.
    cut: Option<BargeIn>,
    acts: Vec<Effect>,
}

enum BargeIn {
    /// What was not heard of a reply. Nothing, where it was heard to its end.
    Reply(String),
    /// The mind was still thinking.
    Question,
}

/// What time is waited for. `None`: nothing.
#[derive(Default)]
struct Deadlines {
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

impl Deadlines {
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

impl Conversation {
    pub fn new(state: CallState, settings: &CallSettings, has_model: bool) -> Self {
        Self {
            phrases: settings.phrases.of(&state.info.language),
            catalog: settings.phrases.clone(),
            state,
            timeouts: settings.timeouts.clone(),
            has_model,
            queue: PlaybackQueue::default(),
            clocks: Deadlines::default(),
            last_filler: None,
            fillers: 0,
            silence_prompts: 0,
            pressed: String::new(),
            is_closed: false,
            cut: None,
            acts: Vec::new(),
        }
    }

    /// The socket is open. `is_reachable`: there is an agent that can be asked.
    pub fn open(&mut self, is_reachable: bool, wall: Timestamp, now: Instant) -> Vec<Effect> {
        let left = (self.state.info.limit_at - wall).to_std().unwrap_or_default();
        self.clocks.limit = Some(now + left);
        self.state.sessions += 1;
        let next = std::mem::take(&mut self.state.after_session);
        if self.state.is_greeted {
            self.resume(wall, now);
        } else {
            self.greet(is_reachable, wall, now);
        }
        if next != AfterSession::Resume {
            // The socket before this one was lost over the last words.
            self.closes_with(next, now);
            self.close_if_heard(now);
        }
        self.acts.push(Effect::Save);
        self.take()
    }

    fn greet(&mut self, is_reachable: bool, wall: Timestamp, now: Instant) {
        self.state.is_greeted = true;
        let info = &self.state.info;
        if !is_reachable && info.plan.purpose == Purpose::Converse {
            return self.machine_takes_over(true, wall, now);
        }
        let greeting = match (&info.plan.greeting, info.direction) {
            (Some(greeting), _) => greeting.clone(),
            (None, Direction::Inbound) => phrases::with(&self.phrases.greeting, &info.name),
            (None, Direction::Outbound) => String::new(),
        };
        // A call of ours says first for whom it calls; who calls us knows whom.
        let words = match info.direction {
            Direction::Inbound => format!("{} {greeting}", self.phrases.disclosure),
            Direction::Outbound => format!("{} {greeting}", phrases::with(&self.phrases.calling, &info.name)),
        };
        self.say(Speaker::Agent, &words, now);
    }

    /// Something of ours that is part of the conversation: should the socket be lost, it goes on from what was heard.
    fn say(&mut self, by: Speaker, words: &str, now: Instant) {
        self.state.reply = Some(Reply {
            turn: self.state.turn,
            by,
            planned: words.to_owned(),
            played: 0,
            is_complete: true,
        });
        self.queue.push(UtteranceKind::Reply, words);
        self.speak(words.to_owned(), true, false);
        self.listen_for_silence(now);
        self.acts.push(Effect::Save);
    }

    /// On another replica, or another socket: from the first words that were not heard.
    fn resume(&mut self, wall: Timestamp, now: Instant) {
        if self.state.responder == Responder::Voicemail {
            self.clocks.machine = Some(now + self.machine_time_left(wall));
        }
        let rest = self
            .state
            .reply
            .as_ref()
            .map(|reply| (reply.unplayed().to_owned(), reply.is_complete));
        match rest {
            // The rest of what it was about to say went with the relay that heard it.
            Some((_, false)) if self.state.responder == Responder::Voicemail => {
                self.finish_reply(wall);
                self.state.is_pending = true;
                self.ask(now);
            }
            Some((rest, is_complete)) if !rest.trim().is_empty() => {
                self.queue.push(UtteranceKind::Reply, &rest);
                self.speak(rest, is_complete, false);
                if !is_complete {
                    self.clocks.give_up = Some(now + self.timeouts.chunk_timeout);
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
        self.queue.push(UtteranceKind::Notice, text);
        self.speak(text.to_owned(), true, false);
        self.listen_for_silence(now);
    }

    fn speak(&mut self, text: String, is_last: bool, preemptible: bool) {
        self.acts.push(Effect::Send(OutgoingFrame::Speak {
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
        self.state.history.push(TranscriptEntry {
            by,
            text: text.to_owned(),
            is_cut,
            at,
        });
    }

    fn take(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.acts)
    }
}
