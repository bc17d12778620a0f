//! The turn-taking of one call, as a state machine without I/O. It gets frames, replies and moments, and returns effects,
//! which the relay that holds the socket executes (`services/voice-relay`). Time is always a parameter.
//!
//! One turn is current at a time. When the caller speaks again or interrupts, the turn in flight is over, and late pieces
//! of its reply are rejected. Planned text and played text are kept apart: only played text enters the transcript.

mod effect;
mod ending;
mod hearing;
mod input;
mod output;
mod recording;
#[cfg(test)]
mod tests;
mod timers;
mod turns;
mod voicemail_service;

use butt_dial_domain::{
    call::Purpose,
    ports::voice::{self, IncomingFrame, OutgoingFrame},
};
use butt_dial_language::SpeechOptions;
use tokio::time::Instant;

use super::{
    settings::CallSettings,
    speech::{ReplyText, speakable},
    state::{AfterSession, CallState, Responder, Speaker},
};
pub use effect::{Effect, Moment, ReplyChunk, ReplyRejected};
use ending::Ending;
use input::Input;
use output::Output;
use timers::Timers;
use turns::Turns;
use voicemail_service::VoicemailService;

type Effects = Vec<Effect>;

pub struct Conversation {
    turns: Turns,
    voicemail: VoicemailService,
}

impl Conversation {
    pub fn new(state: CallState, settings: &CallSettings, has_model: bool) -> Self {
        let mut output = Output::new(&settings.phrases, &state.info.language);
        output.set_languages(&state.info.language, state.caller_language());
        let turns = Turns {
            output,
            parts: ReplyText::default(),
            state,
            timeouts: settings.timeouts.clone(),
            input: Input::default(),
            timers: Timers::default(),
            ending: Ending::default(),
        };
        Self {
            turns,
            voicemail: VoicemailService { has_model },
        }
    }

    pub fn state(&self) -> &CallState {
        &self.turns.state
    }

    pub fn state_mut(&mut self) -> &mut CallState {
        &mut self.turns.state
    }

    /// Returns the number of barge-ins since the last call, for the metrics.
    pub fn take_barge_ins(&mut self) -> u64 {
        self.turns.input.take_count()
    }

    /// Begins a session: greets the caller, or resumes after the part that an earlier session played. With `is_reachable`
    /// false no agent can be asked for replies, and the voicemail service answers.
    pub fn open(&mut self, is_reachable: bool, now: Moment) -> Effects {
        let mut effects = Effects::new();
        let left = (self.turns.state.info.limit_at - now.wall).to_std().unwrap_or_default();
        self.turns.timers.limit.set(now.instant + left);
        self.turns.state.sessions += 1;
        let after_session = std::mem::take(&mut self.turns.state.after_session);
        if self.turns.state.is_greeted {
            self.resume(now, &mut effects);
        } else {
            self.greet(is_reachable, now, &mut effects);
        }
        if after_session != AfterSession::Resume {
            // The previous socket was lost during the last words.
            self.turns.end(after_session, now.instant, &mut effects);
        }
        effects.push(Effect::Save);
        effects
    }

    pub fn on_frame(&mut self, frame: IncomingFrame, now: Moment) -> Effects {
        let mut effects = Effects::new();
        match frame {
            IncomingFrame::Transcript {
                text,
                language,
                is_last,
            } => self.on_transcript(&text, language, is_last, now, &mut effects),
            IncomingFrame::Interrupted { spoken } => self.on_interruption(&spoken, now, &mut effects),
            IncomingFrame::Keys(keys) => self.turns.on_keys(&keys, now.instant, &mut effects),
            IncomingFrame::Played(text) => self.on_playback(&text, now, &mut effects),
            IncomingFrame::Speaking { who, is_speaking } => match who {
                voice::Speaker::Caller => self.turns.on_speech(is_speaking, now.instant, &mut effects),
                voice::Speaker::Us => self.turns.restart_silence(now.instant),
            },
            IncomingFrame::Opened { .. } | IncomingFrame::Fault(_) | IncomingFrame::Other => {}
        }
        effects
    }

    /// Speaks a piece of a reply to the current turn.
    pub fn reply(&mut self, chunk: ReplyChunk, now: Moment) -> Result<Effects, ReplyRejected> {
        if chunk.turn.is_some_and(|turn| turn != self.turns.state.turn) {
            return Err(ReplyRejected::Superseded);
        }
        if self.turns.ending.has_begun() || (chunk.turn.is_some() && chunk.turn == self.turns.state.answered) {
            return Err(ReplyRejected::Answered);
        }
        if !self.turns.is_replying_to_current_turn() {
            match chunk.is_last {
                true if self.is_silent(&chunk.text) => return Err(ReplyRejected::Silent),
                // A blank begins no reply.
                false if chunk.text.trim().is_empty() => return Ok(Effects::new()),
                _ => {}
            }
        }
        let mut effects = Effects::new();
        match (self.turns.state.responder, chunk.by) {
            (Responder::Agent, Speaker::Agent) | (Responder::Voicemail, Speaker::Voicemail) => {}
            (Responder::Voicemail, Speaker::Agent) => voicemail_service::end(&mut self.turns, now, &mut effects),
            _ => return Err(ReplyRejected::Answered),
        }
        if chunk.is_last {
            self.turns.state.answered = Some(self.turns.state.turn);
            self.turns.state.voicemail.turns += u32::from(chunk.by == Speaker::Voicemail);
        }
        self.turns.speak_chunk(&chunk, now, &mut effects);
        Ok(effects)
    }

    /// Returns whether nothing of the text can be spoken.
    pub fn is_silent(&self, text: &str) -> bool {
        speakable(text, &SpeechOptions::new(&self.turns.state.info.language)).is_empty()
    }

    pub fn send_digits(&mut self, digits: &str) -> Effects {
        vec![self.turns.output.send_digits(digits)]
    }

    /// Changes the language of both sides, and the voice. `None`: it stays; a voice stays only with its language. Returns no
    /// effects if nothing changes.
    pub fn set_language(&mut self, language: Option<&str>, voice: Option<&str>) -> Effects {
        let info = &mut self.turns.state.info;
        let language = language.unwrap_or(&info.language).to_owned();
        let is_same_language = language == info.language;
        let voice = match voice {
            None if is_same_language => info.plan.voice.clone(),
            voice => voice.map(str::to_owned),
        };
        if is_same_language && voice == info.plan.voice {
            return Effects::new();
        }
        info.language.clone_from(&language);
        info.plan.voice.clone_from(&voice);
        self.turns.state.heard_language = None;
        self.turns.output.set_languages(&language, &language);
        vec![Effect::Send(OutgoingFrame::Language { language, voice }), Effect::Save]
    }

    /// The responder cannot reply to this turn: it is not there, or it failed.
    pub fn reply_unavailable(&mut self, turn: u64, now: Moment) -> Effects {
        let mut effects = Effects::new();
        if turn == self.turns.state.turn && !self.turns.ending.has_begun() {
            self.reply_overdue(now, &mut effects);
        }
        effects
    }

    /// The agent attends the call, and replaces the voicemail service.
    pub fn attend(&mut self, now: Moment) -> Effects {
        let mut effects = Effects::new();
        self.turns.state.is_attended = true;
        if self.turns.state.responder == Responder::Voicemail && !self.turns.ending.has_begun() {
            voicemail_service::end(&mut self.turns, now, &mut effects);
        }
        effects.push(Effect::Save);
        effects
    }

    /// Ends the session once everything queued was played. Has no effect on a closed session.
    pub fn end(&mut self, after_session: AfterSession, now: Moment) -> Effects {
        let mut effects = Effects::new();
        if !self.turns.ending.is_closed() {
            // This counts as the reply: a resumed call does not wait for another one.
            self.turns.state.is_pending = false;
            self.turns.state.clear_unanswered();
            self.turns.end(after_session, now.instant, &mut effects);
        }
        effects
    }

    /// The agent's budget is used up.
    pub fn credit_exhausted(&mut self, now: Moment) -> Effects {
        let mut effects = Effects::new();
        let words = &self.turns.output.phrases().credit_exhausted;
        self.turns
            .end_with_words(words, AfterSession::HangUp, now, &mut effects);
        effects
    }

    /// The voicemail service has spoken its last reply.
    pub fn voicemail_finished(&mut self, now: Moment) -> Effects {
        let mut effects = Effects::new();
        self.turns.end(AfterSession::HangUp, now.instant, &mut effects);
        effects
    }

    /// Returns whether neither side is active and no reply is awaited: the call can move to another relay unnoticed.
    pub fn is_quiet(&self) -> bool {
        let is_awaiting =
            self.turns.state.is_caller_speaking || self.turns.state.is_pending || self.turns.input.has_keys();
        self.turns.output.is_idle() && !is_awaiting
    }

    /// Returns the time of the next `tick`.
    pub fn deadline(&self) -> Option<Instant> {
        self.turns.deadline()
    }

    /// Handles the deadlines that have passed. Harmless before `deadline`.
    pub fn tick(&mut self, now: Moment) -> Effects {
        let mut effects = Effects::new();
        if self.turns.timers.limit.take_due(now.instant) {
            let words = &self.turns.output.phrases().time_is_up;
            self.turns
                .end_with_words(words, AfterSession::HangUp, now, &mut effects);
        }
        if self.turns.output.is_playback_over(now.instant) {
            self.presume_played(now, &mut effects);
        }
        if self.turns.ending.is_overdue(now.instant) {
            self.turns.close(&mut effects);
        }
        if self.turns.input.is_utterance_over(now.instant) {
            self.on_partial_over(now, &mut effects);
        }
        if let Some(keys) = self.turns.input.take_keys(now.instant) {
            self.on_keys_complete(&keys, now, &mut effects);
        }
        if self.turns.timers.filler.take_due(now.instant) {
            self.turns.fill_pause(now.instant, &mut effects);
        }
        if self.turns.timers.reply.take_due(now.instant) {
            self.reply_overdue(now, &mut effects);
        }
        if self.turns.timers.voicemail.take_due(now.instant) {
            voicemail_service::finish(&mut self.turns, now, &mut effects);
        }
        if self.turns.input.is_barge_in_over(now.instant) {
            self.continue_after_barge_in(now, &mut effects);
        }
        if self.turns.timers.silence.take_due(now.instant) {
            self.break_silence(now, &mut effects);
        }
        effects
    }

    fn greet(&mut self, is_reachable: bool, now: Moment, effects: &mut Effects) {
        self.turns.state.is_greeted = true;
        if !is_reachable && self.turns.state.info.plan.purpose == Purpose::Converse {
            return self.voicemail.start(&mut self.turns, true, now, effects);
        }
        let words = self.turns.output.phrases().greet(&self.turns.state.info);
        self.turns.speak((Speaker::Agent, None), words, now.instant, effects);
    }

    /// Continues on another relay or another socket, after the last words that were played.
    fn resume(&mut self, now: Moment, effects: &mut Effects) {
        let is_voicemail = self.turns.state.responder == Responder::Voicemail;
        let is_interrupted = self.turns.state.is_caller_speaking;
        let words = std::mem::take(&mut self.turns.state.partial);
        if self.turns.has_words(&words) {
            self.turns.state.hear(&words, now.wall);
        }
        if is_voicemail {
            voicemail_service::resume(&mut self.turns, now);
        }
        let reply = self.turns.state.reply.as_ref();
        let reply = reply.map(|reply| (reply.unplayed().to_owned(), reply.is_complete, reply.language.clone()));
        match reply {
            // The rest of the model's reply was lost with the relay that received it.
            Some((_, false, _)) if is_voicemail => {
                self.turns.state.finish_reply(now.wall);
                self.turns.state.is_pending = true;
                self.turns.request_reply(now.instant, effects);
            }
            Some((rest, is_complete, language)) if !rest.trim().is_empty() => {
                effects.extend(self.turns.output.reply(&rest, is_complete, language));
                if !is_complete {
                    self.turns
                        .timers
                        .reply
                        .set(now.instant + self.turns.timeouts.chunk_timeout);
                }
            }
            _ if self.turns.state.is_pending => self.turns.request_reply(now.instant, effects),
            // The end of the utterance was lost.
            _ if is_interrupted => {
                let missed = &self.turns.output.phrases().missed;
                self.turns.announce(missed, now.instant, effects);
            }
            // A gap in a silence needs no words.
            _ => {}
        }
        self.turns.state.is_caller_speaking = false;
        self.turns.restart_silence(now.instant);
    }

    fn on_playback(&mut self, text: &str, now: Moment, effects: &mut Effects) {
        self.turns.input.note_heard();
        let played = self.turns.output.played(text);
        if played.reply_bytes > 0 {
            self.advance_reply(played.reply_bytes, now, effects);
        }
        self.turns.output.await_playback(now.instant);
        if self.turns.output.is_idle() || played.is_reply_over {
            self.turns.restart_silence(now.instant);
        }
        self.turns.close_if_played(effects);
    }

    /// The carrier should have played everything by now.
    fn presume_played(&mut self, now: Moment, effects: &mut Effects) {
        self.advance_reply(usize::MAX, now, effects);
        self.turns.restart_silence(now.instant);
        self.turns.close_if_played(effects);
    }

    fn advance_reply(&mut self, bytes: usize, now: Moment, effects: &mut Effects) {
        if self.turns.advance_reply(bytes, now.wall, effects) {
            voicemail_service::finish_if_used_up(&mut self.turns, now, effects);
        }
    }

    /// The responder has not sent a reply, or the rest of it, in time.
    fn reply_overdue(&mut self, now: Moment, effects: &mut Effects) {
        self.turns.timers.reply.clear();
        if !self.turns.state.is_pending {
            if self.turns.cut_reply(now.wall, effects) {
                voicemail_service::finish_if_used_up(&mut self.turns, now, effects);
            }
            return;
        }
        self.turns.timers.filler.clear();
        effects.push(Effect::CancelRequest);
        match self.turns.state.responder {
            Responder::Agent => self.voicemail.start(&mut self.turns, false, now, effects),
            // Without a working model the caller can still leave a recording.
            Responder::Voicemail => {
                let phrases = self.turns.output.phrases();
                let words = format!("{} {}", phrases.apology, phrases.record);
                self.turns.end_with_words(&words, AfterSession::Record, now, effects);
            }
        }
    }

    /// Asks the caller once whether they are still there, and ends the call after the next silence.
    fn break_silence(&mut self, now: Moment, effects: &mut Effects) {
        let phrases = self.turns.output.phrases();
        self.turns.state.is_caller_speaking = false;
        self.turns.timers.silence_prompts += 1;
        match self.turns.timers.silence_prompts {
            1 => self.turns.announce(&phrases.still_there, now.instant, effects),
            _ => self
                .turns
                .end_with_words(&phrases.goodbye, AfterSession::HangUp, now, effects),
        }
    }
}
