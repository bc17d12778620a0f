//! What happens when nothing does: fillers, an agent that does not answer, silence, keys, and the call's end.

use butt_dial_domain::clock::Timestamp;
use rand::RngExt;
use tokio::time::Instant;

use super::{
    super::{
        playback::UtteranceKind,
        state::{AfterSession, Responder},
    },
    BargeIn, Conversation, Effect,
};

impl Conversation {
    /// To be called at `deadline`, and harmless before.
    pub fn tick(&mut self, wall: Timestamp, now: Instant) -> Vec<Effect> {
        let is_due = |clock: Option<Instant>| clock.is_some_and(|at| at <= now);
        if is_due(self.clocks.limit) {
            self.clocks.limit = None;
            self.end_with(&self.phrases.clone().time_is_up, AfterSession::HangUp, wall, now);
        }
        if is_due(self.clocks.spoken) {
            self.presume_heard(wall, now);
        }
        if is_due(self.clocks.closing) {
            // It should have been heard by now; the caller shall not wait for what may never come.
            self.close();
        }
        if is_due(self.clocks.keys) {
            self.keys_are_complete(wall, now);
        }
        if is_due(self.clocks.filler) {
            self.fill(now);
        }
        if is_due(self.clocks.give_up) {
            self.mind_is_silent(wall, now);
        }
        if is_due(self.clocks.machine) {
            self.clocks.machine = None;
            self.machine_is_done(wall, now);
        }
        if is_due(self.clocks.interruption) {
            self.nothing_followed(wall, now);
        }
        if is_due(self.clocks.silence) {
            self.break_silence(wall, now);
        }
        self.take()
    }

    /// Only while nothing is to be heard: of us, or of the caller.
    fn fill(&mut self, now: Instant) {
        let is_answering = self.state.reply.as_ref().is_some_and(|reply| !reply.is_complete);
        let is_awaited = self.state.is_pending || is_answering;
        self.clocks.filler = is_awaited.then(|| now + self.timeouts.filler_interval);
        if !is_awaited || !self.queue.is_empty() || self.state.is_caller_speaking {
            return;
        }
        let count = self.phrases.fillers.len();
        let mut choice = rand::rng().random_range(0..count);
        if Some(choice) == self.last_filler {
            choice = (choice + 1) % count;
        }
        self.last_filler = Some(choice);
        self.fillers += 1;
        let text = self.phrases.fillers[choice].clone();
        self.queue.push(UtteranceKind::Filler, &text);
        self.speak(text, true, true);
        self.expect_to_be_heard(now);
    }

    /// No answer, or none any more, from whoever was asked.
    pub(super) fn mind_is_silent(&mut self, wall: Timestamp, now: Instant) {
        self.clocks.give_up = None;
        if !self.state.is_pending {
            // The reply broke off: what there is of it is all there is.
            if let Some(reply) = self.state.reply.as_mut().filter(|reply| !reply.is_complete) {
                reply.is_complete = true;
                self.acts.push(Effect::Cancel);
                self.speak(String::new(), true, false);
                self.acts.push(Effect::Save);
                self.clocks.filler = None;
                self.settle_reply(wall, now);
            }
            return;
        }
        self.clocks.filler = None;
        self.acts.push(Effect::Cancel);
        match self.state.responder {
            Responder::Agent => self.machine_takes_over(false, wall, now),
            // Without a model that answers, the caller can still leave a message.
            Responder::Voicemail => {
                let words = format!("{} {}", self.phrases.apology, self.phrases.record);
                self.end_with(&words, AfterSession::Record, wall, now);
            }
        }
    }

    /// An interruption that no words followed: we go on where we were.
    fn nothing_followed(&mut self, wall: Timestamp, now: Instant) {
        self.clocks.interruption = None;
        // It was no speech, or the carrier has made no words of it.
        self.state.is_caller_speaking = false;
        match self.cut.take() {
            Some(BargeIn::Reply(rest)) if !rest.is_empty() => {
                let by = match self.state.responder {
                    Responder::Agent => super::Speaker::Agent,
                    Responder::Voicemail => super::Speaker::Voicemail,
                };
                self.finish_reply(wall);
                self.say(by, &rest, now);
            }
            Some(BargeIn::Reply(_)) => self.notice(&self.phrases.clone().missed, now),
            Some(BargeIn::Question) => self.ask(now),
            None => {}
        }
    }

    /// Silence counts from the last thing that was heard of anybody.
    pub(super) fn listen_for_silence(&mut self, now: Instant) {
        // Somebody who speaks is told of all the time.
        self.expect_to_be_heard(now);
        let is_silent = !self.state.is_pending && !self.is_ending();
        self.clocks.silence = is_silent.then(|| now + self.timeouts.silence + self.time_to_speak());
    }

    fn break_silence(&mut self, wall: Timestamp, now: Instant) {
        self.state.is_caller_speaking = false;
        self.silence_prompts += 1;
        if self.silence_prompts > 1 {
            return self.end_with(&self.phrases.clone().goodbye, AfterSession::HangUp, wall, now);
        }
        self.notice(&self.phrases.clone().still_there, now);
    }
}
