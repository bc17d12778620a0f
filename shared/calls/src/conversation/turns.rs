//! The current turn: the request for its reply, the reply, its playback, and the end of the session. These are the
//! transitions that `Conversation` composes; it decides which of them an event causes.

use std::time::Duration;

use butt_dial_domain::{call::AutomatonAction, clock::Timestamp};
use tokio::time::Instant;

use super::{
    super::{
        playback::start_of_word,
        settings::Timeouts,
        speech::{self, ReplyText, model_reply, speakable},
        state::{AfterSession, CallState, Reply, Speaker},
        words,
    },
    Effects,
    effect::{Effect, Moment, ReplyChunk},
    ending::Ending,
    input::{BargeIn, END_OF_KEYS, Input},
    output::Output,
    timers::Timers,
};

/// An acknowledgement over fewer letters is an answer: the speech was over for the caller.
const MIN_LEFT: usize = 12;

/// Longest wait in a queue.
const HOLD_TIMEOUT: Duration = Duration::from_secs(600);

pub(super) struct Turns {
    pub state: CallState,
    pub timeouts: Timeouts,
    pub input: Input,
    pub output: Output,
    /// The parts of the current reply.
    pub parts: ReplyText,
    pub timers: Timers,
    pub ending: Ending,
}

impl Turns {
    /// Begins a turn of the caller.
    pub fn begin(&mut self, now: Instant, effects: &mut Effects) {
        self.input.end_barge_in();
        self.timers.silence_prompts = 0;
        self.state.turn += 1;
        self.state.is_pending = true;
        self.request_reply(now, effects);
        effects.push(Effect::Save);
    }

    /// Requests a reply to the current turn.
    pub fn request_reply(&mut self, now: Instant, effects: &mut Effects) {
        self.timers.start_request(&self.timeouts, now);
        effects.push(Effect::RequestReply { turn: self.state.turn });
    }

    /// Ends the turn in flight: its request is cancelled, and only the played part of its reply is kept.
    pub fn drop(&mut self, at: Timestamp, effects: &mut Effects) {
        if self.state.is_pending || self.state.is_replying() {
            effects.push(Effect::CancelRequest);
        }
        self.state.is_pending = false;
        self.timers.stop_request();
        self.state.finish_reply(at);
    }

    /// The caller started or stopped speaking.
    pub fn on_speech(&mut self, is_speaking: bool, now: Instant, effects: &mut Effects) {
        if self.state.is_caller_speaking != is_speaking {
            self.state.is_caller_speaking = is_speaking;
            effects.push(Effect::Save);
        }
        if is_speaking {
            self.timers.silence_prompts = 0;
        }
        self.input.on_speech(is_speaking, &self.timeouts, now);
        self.restart_silence(now);
    }

    pub fn on_keys(&mut self, keys: &str, now: Instant, effects: &mut Effects) {
        self.timers.silence_prompts = 0;
        let finish = self.state.info.plan.finish_on_key.as_deref().unwrap_or(END_OF_KEYS);
        self.input.press(keys, finish, &self.timeouts, now);
        let pressed = self.input.pressed().to_owned();
        self.guard_heard(&pressed, effects);
        self.restart_silence(now);
    }

    /// Records pressed keys as part of the turn.
    pub fn hear_keys(&mut self, keys: &str, at: Timestamp) {
        if keys.is_empty() {
            return;
        }
        self.state.hear(&format!("[pressed {keys}]"), at);
        let finish = self.state.info.plan.finish_on_key.as_deref().unwrap_or(END_OF_KEYS);
        let digits = keys.trim_end_matches(|key| finish.contains(key));
        self.state.unanswered_keys.push_str(digits);
    }

    pub fn has_words(&self, text: &str) -> bool {
        words::has_words(text, self.state.caller_language())
    }

    /// Returns whether the sound answers the question that was spoken last.
    pub fn is_answered_by_sound(&self, text: &str) -> bool {
        let is_question = |text: &str| text.trim_end().ends_with(['?', '？', '؟']);
        let asked = match &self.state.reply {
            Some(reply) => is_question(reply.played_text()) && reply.is_played(),
            None => self
                .state
                .history
                .last()
                .is_some_and(|entry| entry.by != Speaker::Caller && is_question(&entry.text)),
        };
        asked && words::is_sound_of_answer(text)
    }

    /// Returns whether a reply to the current turn has begun, and more of it is expected.
    pub fn is_replying_to_current_turn(&self) -> bool {
        let turn = self.state.turn;
        let is_begun = |reply: &Reply| reply.turn == turn && !reply.is_complete && !reply.planned.is_empty();
        self.state.reply.as_ref().is_some_and(is_begun)
    }

    /// Returns whether the caller talks over speech of which a good part is left. Then an acknowledgement shows that the
    /// caller listens. It is an answer after a question.
    pub fn is_talked_over(&self) -> bool {
        let rest = match self.input.barge_in() {
            Some(BargeIn::Reply { rest, .. }) => rest.as_str(),
            Some(BargeIn::PendingReply) => return true,
            None if self.output.is_idle() => return false,
            None => match &self.state.reply {
                Some(reply) => reply.unplayed(),
                // A filler or another prompt about the call.
                None => return self.state.is_pending,
            },
        };
        let rest = rest.trim_end();
        let is_end_of_question = rest.ends_with(['?', '？', '؟', ';']) && !rest.contains(['.', '!', '。', '！', '।']);
        let letters = rest.chars().filter(|c| c.is_alphanumeric()).count();
        letters >= MIN_LEFT && !is_end_of_question
    }

    /// Notes the language of the caller's words, as the carrier reports it.
    pub fn set_caller_language(&mut self, language: Option<String>) {
        if language.is_some() && language != self.state.heard_language {
            self.state.heard_language = language;
            self.output
                .set_languages(&self.state.info.language, self.state.caller_language());
        }
    }

    /// The caller has interrupted the reply or the wait for it. Without words that follow, it may have been noise.
    /// `is_told`: the carrier has reported the heard text.
    pub fn interrupt(&mut self, is_told: bool, now: Moment, effects: &mut Effects) {
        let was_pending = self.state.is_pending;
        let has_reports = self.output.has_reports();
        let unplayed = self.state.reply.as_ref().map(|reply| {
            let rest = match reply.played {
                // The carrier reports no playback: the caller may have heard all of it.
                0 if !is_told && !has_reports => String::new(),
                played => {
                    let start = start_of_word(&reply.planned, played.min(reply.planned.len()));
                    reply.planned[start..].trim().to_owned()
                }
            };
            (rest, reply.language.clone())
        });
        if self.state.reply.is_some() {
            // Late pieces of the reply are not wanted.
            self.state.answered = Some(self.state.turn);
        }
        let is_cut = self
            .state
            .reply
            .as_ref()
            .is_some_and(|reply| !reply.played_text().trim().is_empty());
        self.output.clear();
        self.drop(now.wall, effects);
        if let Some((rest, _)) = unplayed.as_ref().filter(|_| is_cut) {
            self.state.set_unheard(rest);
        }
        let barge_in = match unplayed {
            Some((rest, language)) => BargeIn::Reply { rest, language },
            None if was_pending => BargeIn::PendingReply,
            None => BargeIn::Reply {
                rest: String::new(),
                language: None,
            },
        };
        self.state.is_pending = matches!(barge_in, BargeIn::PendingReply);
        self.input.begin_barge_in(barge_in, &self.timeouts, now.instant);
        effects.push(Effect::Save);
    }

    /// Speaks a complete reply. If the socket is lost, the next session continues after the part that was played.
    pub fn speak(
        &mut self,
        (by, language): (Speaker, Option<String>),
        words: String,
        now: Instant,
        effects: &mut Effects,
    ) {
        let info = &self.state.info;
        let options = speech::options(&info.plan, language.as_deref().unwrap_or(&info.language));
        let words = speakable(&words, &options);
        if words.is_empty() {
            return;
        }
        self.state.reply = Some(Reply {
            turn: self.state.turn,
            by,
            planned: words.clone(),
            played: 0,
            is_complete: true,
            language: language.clone(),
        });
        self.guard_reply(effects);
        effects.extend(self.output.reply(&words, true, language));
        self.restart_silence(now);
        effects.push(Effect::Save);
    }

    /// Speaks a piece of a reply.
    pub fn speak_chunk(&mut self, chunk: &ReplyChunk, now: Moment, effects: &mut Effects) {
        if self.state.is_pending {
            self.state.is_pending = false;
            self.state.latencies.extend(self.timers.take_latency(now.instant));
        }
        self.timers.await_chunk(chunk.is_last, &self.timeouts, now.instant);
        self.input.end_barge_in();
        self.state.clear_unanswered();
        let text = self.append(chunk, now.wall);
        self.guard_reply(effects);
        // Without words before it, there is no utterance to end.
        let is_begun = self.state.reply.as_ref().is_some_and(|reply| !reply.planned.is_empty());
        if !text.is_empty() || (chunk.is_last && is_begun) {
            let language = self.state.reply.as_ref().and_then(|reply| reply.language.clone());
            effects.extend(self.output.reply(&text, chunk.is_last, language));
        }
        let is_blank = |reply: &mut Reply| reply.is_complete && reply.planned.trim().is_empty();
        // An agent may have nothing to say.
        self.state.reply.take_if(is_blank);
        self.restart_silence(now.instant);
        effects.push(Effect::Save);
    }

    /// Appends a piece to the current reply, or begins a new one. Returns the text to be spoken.
    fn append(&mut self, chunk: &ReplyChunk, at: Timestamp) -> String {
        let turn = self.state.turn;
        let is_same = |reply: &Reply| reply.turn == turn && reply.by == chunk.by;
        let is_new = !self.state.reply.as_ref().is_some_and(is_same);
        if is_new {
            // The previous utterance is finished as far as it was played. The carrier continues to play it.
            self.state.finish_reply(at);
            self.output.detach_reply();
        }
        let language = self.output.heard_language().filter(|_| chunk.is_in_callers_language);
        let reply = self.state.reply.get_or_insert_with(|| Reply {
            turn,
            by: chunk.by,
            planned: String::new(),
            played: 0,
            is_complete: false,
            language,
        });
        let info = &self.state.info;
        let options = speech::options(&info.plan, reply.language.as_deref().unwrap_or(&info.language));
        if is_new || reply.is_complete {
            self.parts = ReplyText::default();
        }
        let mut text = match chunk.is_in_callers_language && chunk.is_last && reply.planned.is_empty() {
            true => model_reply(&chunk.text, &options).unwrap_or_default(),
            false => self.parts.add(&chunk.text, chunk.is_last, &options),
        };
        // Two replies to one turn are two sentences.
        if reply.is_complete && !text.is_empty() && !text.starts_with(char::is_whitespace) {
            text.insert(0, ' ');
        }
        reply.planned.push_str(&text);
        reply.is_complete = chunk.is_last;
        text
    }

    /// Speaks a prompt about the call, which noise cannot interrupt.
    pub fn announce(&mut self, text: &str, now: Instant, effects: &mut Effects) {
        effects.push(self.output.announce(text));
        self.restart_silence(now);
    }

    /// Adds playback to the current reply. Returns true if that finishes the reply.
    pub fn advance_reply(&mut self, bytes: usize, at: Timestamp, effects: &mut Effects) -> bool {
        let Some(reply) = &mut self.state.reply else {
            return false;
        };
        reply.played = reply.played.saturating_add(bytes).min(reply.planned.len());
        effects.push(Effect::Save);
        self.finish_if_played(at)
    }

    /// Completes a reply that broke off. Returns true if all of it was played.
    pub fn cut_reply(&mut self, at: Timestamp, effects: &mut Effects) -> bool {
        let Some(reply) = self.state.reply.as_mut().filter(|reply| !reply.is_complete) else {
            return false;
        };
        reply.is_complete = true;
        effects.push(Effect::CancelRequest);
        if !reply.planned.is_empty() {
            effects.extend(self.output.reply("", true, None));
        }
        effects.push(Effect::Save);
        self.timers.filler.clear();
        self.finish_if_played(at)
    }

    /// Moves a complete and played reply to the transcript.
    fn finish_if_played(&mut self, at: Timestamp) -> bool {
        let is_finished = |reply: &Reply| reply.is_complete && reply.is_played();
        let is_finished = self.state.reply.as_ref().is_some_and(is_finished);
        if is_finished {
            self.state.finish_reply(at);
        }
        is_finished
    }

    /// Speaks a filler if the caller waits and nothing else is heard.
    pub fn fill_pause(&mut self, now: Instant, effects: &mut Effects) {
        let is_awaited = self.state.is_pending || self.state.is_replying();
        let next = now + self.timeouts.filler_interval;
        self.timers.filler.set_if(is_awaited, next);
        if is_awaited && self.output.is_idle() && !self.state.is_caller_speaking {
            effects.push(self.output.fill_pause(now));
        }
    }

    /// Restarts the wait for silence: it counts from the last speech of either side.
    pub fn restart_silence(&mut self, now: Instant) {
        self.output.await_playback(now);
        let is_awaited = !self.state.is_pending && !self.ending.has_begun();
        let actions = &self.state.info.plan.automata;
        let silence = match self.state.callee.map(|automaton| automaton.action(actions)) {
            // Music is no silence.
            Some(AutomatonAction::Wait) => HOLD_TIMEOUT.max(self.timeouts.silence_timeout),
            _ => self.timeouts.silence_timeout,
        };
        let deadline = now + silence + self.output.time_to_speak();
        self.timers.silence.set_if(is_awaited, deadline);
    }

    /// Ends the session once everything queued is played.
    pub fn end(&mut self, after_session: AfterSession, now: Instant, effects: &mut Effects) {
        self.begin_ending(after_session, now, effects);
        self.close_if_played(effects);
    }

    /// Ends the session with a last sentence, in place of everything else that was to be spoken.
    pub fn end_with_words(&mut self, words: &str, after_session: AfterSession, now: Moment, effects: &mut Effects) {
        if self.ending.has_begun() {
            return;
        }
        self.drop(now.wall, effects);
        self.announce(words, now.instant, effects);
        self.begin_ending(after_session, now.instant, effects);
    }

    fn begin_ending(&mut self, after_session: AfterSession, now: Instant, effects: &mut Effects) {
        self.state.after_session = after_session;
        self.ending.begin(self.output.time_to_speak(), now);
        self.timers.begin_ending();
        effects.push(Effect::Save);
    }

    pub fn close_if_played(&mut self, effects: &mut Effects) {
        if self.ending.is_pending() && self.output.is_idle() {
            self.close(effects);
        }
    }

    pub fn close(&mut self, effects: &mut Effects) {
        self.ending.close();
        self.timers.clear();
        self.input.clear_deadlines();
        self.output.clear_deadline();
        effects.push(Effect::Close);
    }

    pub fn deadline(&self) -> Option<Instant> {
        let others = [self.output.deadline(), self.ending.deadline()];
        let all = self
            .timers
            .deadlines()
            .into_iter()
            .chain(self.input.deadlines())
            .chain(others);
        all.filter_map(|deadline| deadline.get()).min()
    }
}
