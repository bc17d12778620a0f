//! How a conversation ends: with words, that are heard before the socket closes; and the answering machine, which takes over
//! when the agent is away and ends within its limits.

use std::time::Duration;

use butt_dial_domain::clock::Timestamp;
use tokio::time::Instant;

use super::{
    super::{
        phrases,
        state::{AfterSession, Responder},
    },
    Conversation, Effect,
};

/// Slow speech, with the time that the synthesizer needs to begin.
const PER_CHARACTER: Duration = Duration::from_millis(90);
const TO_BEGIN: Duration = Duration::from_secs(2);
/// Numbers and pauses take longer than their characters.
const UNTOLD: Duration = Duration::from_secs(5);

impl Conversation {
    /// What the agent wants to happen once everything has been heard.
    pub fn end(&mut self, next: AfterSession, now: Instant) -> Vec<Effect> {
        if self.is_closed {
            return Vec::new();
        }
        // It is an answer too: should the call come back, nobody waits for another one.
        self.state.is_pending = false;
        self.closes_with(next, now);
        self.close_if_heard(now);
        self.take()
    }

    /// The budget is used up.
    pub fn out_of_money(&mut self, wall: Timestamp, now: Instant) -> Vec<Effect> {
        self.end_with(&self.phrases.clone().credit_exhausted, AfterSession::HangUp, wall, now);
        self.take()
    }

    /// Says a last sentence, in place of all that was to be said.
    pub(super) fn end_with(&mut self, words: &str, next: AfterSession, wall: Timestamp, now: Instant) {
        if self.is_ending() {
            return;
        }
        self.drop_turn(wall);
        self.notice(words, now);
        self.closes_with(next, now);
    }

    pub(super) fn closes_with(&mut self, next: AfterSession, now: Instant) {
        self.state.after_session = next;
        self.clocks.closing = Some(now + self.time_to_speak() + TO_BEGIN);
        self.clocks.silence = None;
        self.clocks.filler = None;
        self.clocks.give_up = None;
        self.acts.push(Effect::Save);
    }

    /// The last words have been said, or are being said.
    pub(super) fn is_ending(&self) -> bool {
        self.is_closed || self.clocks.closing.is_some()
    }

    /// How long what is queued takes at most.
    pub(super) fn time_to_speak(&self) -> Duration {
        PER_CHARACTER * self.queue.unheard_characters()
    }

    /// Carriers may tell less than they play, or play less than they were sent.
    pub(super) fn expect_to_be_heard(&mut self, now: Instant) {
        let speaks = !self.queue.is_empty();
        self.clocks.spoken = speaks.then(|| now + 2 * self.time_to_speak() + UNTOLD);
    }

    pub(super) fn presume_heard(&mut self, wall: Timestamp, now: Instant) {
        self.clocks.spoken = None;
        self.queue.outdate();
        if let Some(reply) = self.state.reply.as_mut() {
            reply.played = reply.planned.len();
            self.settle_reply(wall, now);
            self.acts.push(Effect::Save);
        }
        self.listen_for_silence(now);
        self.close_if_heard(now);
    }

    pub(super) fn close_if_heard(&mut self, _now: Instant) {
        if self.clocks.closing.is_some() && self.queue.is_empty() {
            self.close();
        }
    }

    pub(super) fn close(&mut self) {
        self.clocks = super::Deadlines::default();
        self.is_closed = true;
        self.acts.push(Effect::Close);
    }

    /// `from_the_start`: the agent has not been there at all.
    pub(super) fn machine_takes_over(&mut self, from_the_start: bool, wall: Timestamp, now: Instant) {
        tracing::info!(call = %self.state.info.call, from_the_start, "the answering machine takes the call");
        let name = self.state.info.name.clone();
        let words = match from_the_start {
            true => phrases::with(&self.phrases.away, &name),
            // That it is an AI, the greeting has said.
            false => self.phrases.apology.clone(),
        };
        if !self.has_model {
            let words = format!("{words} {}", self.phrases.record);
            return self.end_with(&words, AfterSession::Record, wall, now);
        }
        self.drop_turn(wall);
        self.state.responder = Responder::Voicemail;
        self.state.voicemail.since = Some(wall);
        self.clocks.machine = Some(now + self.machine_time_left(wall));
        let words = format!("{words} {}", self.phrases.who_calls);
        self.say(super::Speaker::Voicemail, &words, now);
    }

    pub(super) fn machine_time_left(&self, wall: Timestamp) -> Duration {
        let since = self.state.voicemail.since.unwrap_or(wall);
        let gone = (wall - since).to_std().unwrap_or_default();
        self.timeouts.voicemail_timeout.saturating_sub(gone)
    }

    /// It has asked what it had to, or has used up its turns or its time.
    pub fn machine_ends(&mut self, now: Instant) -> Vec<Effect> {
        self.closes_with(AfterSession::HangUp, now);
        self.close_if_heard(now);
        self.take()
    }

    pub(super) fn machine_is_done(&mut self, wall: Timestamp, now: Instant) {
        if self.state.responder == Responder::Voicemail {
            self.end_with(&self.phrases.clone().thanks, AfterSession::HangUp, wall, now);
        }
    }
}
