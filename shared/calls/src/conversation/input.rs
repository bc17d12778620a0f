//! What is heard: the caller's words, keys and interruptions, and what of ours has been played.

use std::time::Duration;

use butt_dial_domain::{
    clock::Timestamp,
    ports::voice::{self, IncomingFrame},
};
use tokio::time::Instant;

use super::{
    super::{
        playback::{PlaybackProgress, UtteranceKind},
        state::{Reply, Responder, Speaker},
    },
    BargeIn, Conversation, Effect,
};

/// Keys that end what is pressed.
const END_OF_KEYS: char = '#';
const MAX_KEYS: usize = 64;
/// The longest that somebody says something before any word of it is told.
const PHRASE_WITHIN: Duration = Duration::from_secs(10);

impl Conversation {
    pub fn on_frame(&mut self, frame: IncomingFrame, wall: Timestamp, now: Instant) -> Vec<Effect> {
        match frame {
            IncomingFrame::Said {
                text, is_last: true, ..
            } => self.said(&text, wall, now),
            IncomingFrame::Said { is_last: false, .. } => self.is_speaking(true, now),
            IncomingFrame::Interrupted { .. } => self.interrupted(wall, now),
            IncomingFrame::Key(key) => self.key(key, now),
            IncomingFrame::Played(text) => self.played(&text, wall, now),
            IncomingFrame::Speaking { who, is_speaking } => match who {
                voice::Speaker::Caller => self.is_speaking(is_speaking, now),
                voice::Speaker::Us => self.listen_for_silence(now),
            },
            IncomingFrame::Opened { .. } | IncomingFrame::Fault(_) | IncomingFrame::Other => {}
        }
        self.take()
    }

    fn is_speaking(&mut self, is_speaking: bool, now: Instant) {
        if self.state.is_caller_speaking != is_speaking {
            self.state.is_caller_speaking = is_speaking;
            self.acts.push(Effect::Save);
        }
        let follows_within = match is_speaking {
            true => PHRASE_WITHIN,
            false => self.timeouts.barge_in_timeout,
        };
        self.silence_prompts = if is_speaking { 0 } else { self.silence_prompts };
        self.clocks.interruption = self.cut.is_some().then(|| now + follows_within);
        self.listen_for_silence(now);
    }

    /// The caller has finished a turn.
    fn said(&mut self, text: &str, wall: Timestamp, now: Instant) {
        if text.trim().is_empty() {
            return self.is_speaking(false, now);
        }
        if self.is_ending() {
            return self.note(Speaker::Caller, text, false, wall);
        }
        self.state.is_caller_speaking = false;
        self.drop_turn(wall);
        self.queue.outdate();
        self.note(Speaker::Caller, text, false, wall);
        self.begin_turn(now);
    }

    pub(super) fn begin_turn(&mut self, now: Instant) {
        self.cut = None;
        self.clocks.interruption = None;
        self.silence_prompts = 0;
        self.state.turn += 1;
        self.state.is_pending = true;
        self.ask(now);
        self.acts.push(Effect::Save);
    }

    /// Asks the mind about the last turn.
    pub(super) fn ask(&mut self, now: Instant) {
        self.fillers = 0;
        self.clocks.asked = Some(now);
        self.clocks.filler = Some(now + self.timeouts.filler_after);
        self.clocks.give_up = Some(now + self.timeouts.reply_timeout);
        self.clocks.silence = None;
        self.acts.push(Effect::Ask { turn: self.state.turn });
    }

    /// Whatever was being said or thought is over. What was heard of it stays.
    pub(super) fn drop_turn(&mut self, wall: Timestamp) {
        if self.state.is_pending || self.state.reply.as_ref().is_some_and(|reply| !reply.is_complete) {
            self.acts.push(Effect::Cancel);
        }
        self.state.is_pending = false;
        self.clocks.asked = None;
        self.clocks.filler = None;
        self.clocks.give_up = None;
        self.finish_reply(wall);
    }

    /// What was heard of the reply has been said.
    pub(super) fn finish_reply(&mut self, wall: Timestamp) {
        if let Some(reply) = self.state.reply.take() {
            let is_cut = !reply.unplayed().trim().is_empty() || !reply.is_complete;
            self.note(reply.by, reply.played_text(), is_cut, wall);
        }
    }

    /// The carrier has thrown away all that was queued. What was heard of it has been told before (`Played`).
    fn interrupted(&mut self, wall: Timestamp, now: Instant) {
        if self.is_ending() {
            // Goodbye was said; that it was talked over changes nothing.
            self.queue.clear();
            return self.close_if_heard(now);
        }
        let was_pending = self.state.is_pending;
        let unheard = self
            .state
            .reply
            .as_ref()
            .map(|reply| reply.unplayed().trim().to_owned());
        if self.state.reply.is_some() {
            // What still comes of it was not what the caller wanted to hear.
            self.state.answered = Some(self.state.turn);
        }
        self.queue.clear();
        self.drop_turn(wall);
        // Until words follow, it may have been a cough.
        self.cut = Some(match unheard {
            Some(unheard) => BargeIn::Reply(unheard),
            None if was_pending => BargeIn::Question,
            None => BargeIn::Reply(String::new()),
        });
        self.state.is_pending = was_pending && matches!(self.cut, Some(BargeIn::Question));
        self.clocks.interruption = Some(now + self.timeouts.barge_in_timeout);
        self.acts.push(Effect::Save);
    }

    fn key(&mut self, key: char, now: Instant) {
        if self.pressed.len() < MAX_KEYS {
            self.pressed.push(key);
        }
        self.silence_prompts = 0;
        // They are what follows.
        self.clocks.interruption = None;
        self.listen_for_silence(now);
        let wait = match key {
            END_OF_KEYS => std::time::Duration::ZERO,
            _ => self.timeouts.dtmf_timeout,
        };
        self.clocks.keys = Some(now + wait);
    }

    pub(super) fn keys_are_complete(&mut self, wall: Timestamp, now: Instant) {
        self.clocks.keys = None;
        let pressed = std::mem::take(&mut self.pressed);
        if pressed.is_empty() || self.is_ending() {
            return;
        }
        self.drop_turn(wall);
        self.note(Speaker::Caller, &format!("[pressed {pressed}]"), false, wall);
        self.begin_turn(now);
    }

    fn played(&mut self, text: &str, wall: Timestamp, now: Instant) {
        let told = self.queue.played(text);
        let of_reply: usize = told
            .iter()
            .filter(|heard| heard.kind == UtteranceKind::Reply)
            .map(|heard| heard.bytes)
            .sum();
        if let Some(reply) = self.state.reply.as_mut().filter(|_| of_reply > 0) {
            reply.played = (reply.played + of_reply).min(reply.planned.len());
            self.settle_reply(wall, now);
            self.acts.push(Effect::Save);
        }
        let is_reply_over = |heard: &PlaybackProgress| heard.kind == UtteranceKind::Reply && heard.is_over;
        self.expect_to_be_heard(now);
        if self.queue.is_empty() || told.iter().any(is_reply_over) {
            self.listen_for_silence(now);
        }
        self.close_if_heard(now);
    }

    /// A reply that is complete has been said once it is heard.
    pub(super) fn settle_reply(&mut self, wall: Timestamp, now: Instant) {
        let is_done = |reply: &Reply| reply.is_complete && reply.unplayed().trim().is_empty();
        if !self.state.reply.as_ref().is_some_and(is_done) {
            return;
        }
        self.finish_reply(wall);
        // An answering machine that has come to its end says goodbye and goes.
        if self.state.responder == Responder::Voicemail && self.state.voicemail.turns >= self.timeouts.voicemail_turns {
            self.machine_is_done(wall, now);
        }
    }
}
