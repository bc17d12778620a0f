//! The words, keys and interruptions of the caller.

use std::time::Duration;

use butt_dial_domain::call::{AutomatonAction, Direction, InterruptSensitivity};

use super::{
    super::{
        callee,
        state::{AfterSession, Responder, Speaker},
        words::is_acknowledgement,
    },
    Conversation, Effects,
    effect::{Effect, Moment},
    input::{BargeIn, join_partial},
};

/// Characters of one utterance. Five minutes of speech are below it.
const MAX_UTTERANCE: usize = 4_000;
/// Words of an utterance that continues are persisted this often.
const PARTIAL_INTERVAL: Duration = Duration::from_secs(1);

/// Returns the beginning of an utterance that is too long to be kept.
fn truncated(text: &str) -> &str {
    let end = text.char_indices().nth(MAX_UTTERANCE);
    end.map_or(text, |(end, _)| &text[..end])
}

impl Conversation {
    /// The carrier has transcribed what the caller says.
    pub(super) fn on_transcript(
        &mut self,
        text: &str,
        language: Option<String>,
        is_last: bool,
        now: Moment,
        effects: &mut Effects,
    ) {
        let text = truncated(text);
        self.turns.guard_heard(text, effects);
        if text.chars().any(char::is_alphanumeric) {
            self.turns.set_caller_language(language);
        }
        match is_last {
            true => self.on_utterance(text, now, effects),
            false => self.on_partial(text, now, effects),
        }
    }

    /// The caller continues an utterance.
    fn on_partial(&mut self, text: &str, now: Moment, effects: &mut Effects) {
        let turns = &mut self.turns;
        if !turns.has_words(text) {
            return;
        }
        let is_first = turns.state.partial.is_empty();
        turns.state.partial = truncated(&join_partial(&turns.state.partial, text)).to_owned();
        if is_first
            || turns
                .timers
                .partial_saved
                .is_none_or(|at| now.instant - at >= PARTIAL_INTERVAL)
        {
            turns.timers.partial_saved = Some(now.instant);
            effects.push(Effect::Save);
        }
        if !turns.ending.has_begun() {
            turns.input.await_end_of_utterance(now.instant);
            turns.on_speech(true, now.instant, effects);
        }
    }

    /// The end of the utterance was not reported: its words so far are what the caller has said.
    pub(super) fn on_partial_over(&mut self, now: Moment, effects: &mut Effects) {
        let words = std::mem::take(&mut self.turns.state.partial);
        self.turns.input.answer_partial(&words, now.instant);
        self.on_words(&words, now, effects);
    }

    /// The caller has finished an utterance.
    fn on_utterance(&mut self, text: &str, now: Moment, effects: &mut Effects) {
        let is_blank = !text.chars().any(char::is_alphanumeric);
        if is_blank && !self.turns.state.partial.is_empty() && !self.turns.ending.has_begun() {
            // The words so far stand, unless another end of the utterance follows.
            self.turns.on_speech(false, now.instant, effects);
            return self.turns.input.expect_end_of_utterance(now.instant);
        }
        self.turns.state.partial.clear();
        match self.turns.input.complete_utterance(text, now.instant) {
            Some(words) => self.on_words(words, now, effects),
            None => self.turns.on_speech(false, now.instant, effects),
        }
    }

    /// The caller has said something.
    fn on_words(&mut self, text: &str, now: Moment, effects: &mut Effects) {
        if !self.turns.has_words(text) && !self.turns.is_answered_by_sound(text) {
            // Noise.
            return self.on_acknowledgement(now, effects);
        }
        if self.turns.ending.has_begun() {
            return self.turns.state.record(Speaker::Caller, text, false, now.wall);
        }
        let sensitivity = self.turns.state.info.plan.interrupt_sensitivity.unwrap_or_default();
        let is_patient = sensitivity != InterruptSensitivity::High;
        if is_patient && self.turns.is_talked_over() && is_acknowledgement(text, self.turns.state.caller_language()) {
            return self.on_acknowledgement(now, effects);
        }
        self.turns.state.is_caller_speaking = false;
        if self.is_handled_as_automaton(text, now, effects) {
            return;
        }
        self.turns.drop(now.wall, effects);
        self.turns.output.mark_stale();
        let keys = self.turns.input.take_keys_before_words();
        self.turns.hear_keys(&keys, now.wall);
        self.turns.state.hear(text, now.wall);
        self.turns.begin(now.instant, effects);
    }

    /// Recognizes what has answered an outbound call, and does what the agent has chosen for it. Returns true if its words need no
    /// turn of the agent.
    fn is_handled_as_automaton(&mut self, text: &str, now: Moment, effects: &mut Effects) -> bool {
        let state = &mut self.turns.state;
        if state.info.direction == Direction::Inbound || state.responder != Responder::Agent {
            return false;
        }
        state.callee = callee::recognize(text);
        let Some(automaton) = state.callee else { return false };
        let action = automaton.action(&state.info.plan.automata);
        let is_repeated = action == AutomatonAction::Introduce && state.is_introduced;
        if is_repeated || action == AutomatonAction::Tell {
            return false;
        }
        let kind: &str = automaton.into();
        tracing::info!(call = %state.info.call, kind, ?action, "automaton answered an outbound call");
        state.record(Speaker::Caller, text, false, now.wall);
        match action {
            AutomatonAction::Introduce => {
                state.is_introduced = true;
                self.turns.drop(now.wall, effects);
                self.turns.output.mark_stale();
                let words = self.turns.output.phrases().greet(&self.turns.state.info);
                self.turns.speak((Speaker::Agent, None), words, now.instant, effects);
            }
            AutomatonAction::End => {
                self.turns.end(AfterSession::HangUp, now.instant, effects);
                return true;
            }
            AutomatonAction::Wait | AutomatonAction::Tell => {}
        }
        self.turns.restart_silence(now.instant);
        effects.push(Effect::Save);
        true
    }

    /// The caller requires no reply. The interrupted speech continues.
    fn on_acknowledgement(&mut self, now: Moment, effects: &mut Effects) {
        self.turns.on_speech(false, now.instant, effects);
        self.continue_after_barge_in(now, effects);
    }

    /// The carrier has discarded everything that was queued. Most carriers have reported before which part of it was played.
    pub(super) fn on_interruption(&mut self, spoken: &str, now: Moment, effects: &mut Effects) {
        let heard = self.turns.output.heard_of_reply(spoken);
        if heard > 0 {
            self.advance_reply(heard, now, effects);
        }
        if self.turns.ending.has_begun() {
            // Talking over a goodbye changes nothing.
            self.turns.output.clear();
            return self.turns.close_if_played(effects);
        }
        let is_told = spoken.chars().any(char::is_alphanumeric);
        self.turns.interrupt(is_told, now, effects);
    }

    pub(super) fn on_keys_complete(&mut self, keys: &str, now: Moment, effects: &mut Effects) {
        if keys.is_empty() || self.turns.ending.has_begun() {
            return;
        }
        self.turns.drop(now.wall, effects);
        self.turns.hear_keys(keys, now.wall);
        self.turns.begin(now.instant, effects);
    }

    /// No words have followed a barge-in: it was noise, or the carrier recognized none. Continues where it interrupted.
    pub(super) fn continue_after_barge_in(&mut self, now: Moment, effects: &mut Effects) {
        self.turns.state.is_caller_speaking = false;
        match self.turns.input.take_barge_in() {
            Some(BargeIn::Reply { rest, language }) if !rest.is_empty() => {
                let by = self.turns.state.responder.speaker();
                self.turns.state.finish_reply(now.wall);
                self.turns.state.set_unheard("");
                self.turns.speak((by, language), rest, now.instant, effects);
            }
            Some(BargeIn::Reply { .. }) => {
                let missed = &self.turns.output.phrases().missed;
                self.turns.announce(missed, now.instant, effects);
            }
            Some(BargeIn::PendingReply) => self.turns.request_reply(now.instant, effects),
            None => {}
        }
    }
}
