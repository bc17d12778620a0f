//! What is answered: pieces of a reply, from whoever is the mind now.

use butt_dial_domain::{clock::Timestamp, ports::voice::OutgoingFrame};
use tokio::time::Instant;

use super::{
    super::{
        playback::UtteranceKind,
        state::{Reply, Responder, Speaker},
    },
    Conversation, Effect,
};

/// A piece of what the agent or the machine says.
pub struct Answer {
    pub by: Speaker,
    /// The turn that it answers; `None`: whichever is the last.
    pub turn: Option<u64>,
    pub text: String,
    /// Nothing follows that belongs to it.
    pub is_last: bool,
}

/// Why it is not spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyRejected {
    /// The caller has spoken again since.
    Superseded,
    /// Somebody else answers: the turn has its answer, or the call is ending.
    Answered,
}

impl Conversation {
    pub fn answer(&mut self, answer: Answer, wall: Timestamp, now: Instant) -> Result<Vec<Effect>, ReplyRejected> {
        if answer.turn.is_some_and(|turn| turn != self.state.turn) {
            return Err(ReplyRejected::Superseded);
        }
        if self.is_ending() || (answer.turn.is_some() && answer.turn == self.state.answered) {
            return Err(ReplyRejected::Answered);
        }
        match (self.state.responder, answer.by) {
            (Responder::Agent, Speaker::Agent) | (Responder::Voicemail, Speaker::Voicemail) => {}
            (Responder::Voicemail, Speaker::Agent) => self.agent_takes_over(wall, now),
            _ => return Err(ReplyRejected::Answered),
        }
        if answer.is_last {
            self.state.answered = Some(self.state.turn);
            self.state.voicemail.turns += u32::from(answer.by == Speaker::Voicemail);
        }
        self.piece(answer, wall, now);
        Ok(self.take())
    }

    fn piece(&mut self, answer: Answer, wall: Timestamp, now: Instant) {
        let turn = self.state.turn;
        if self.state.is_pending {
            self.state.is_pending = false;
            if let Some(asked) = self.clocks.asked.take() {
                let took = (now - asked).as_millis();
                self.state.latencies.push(u32::try_from(took).unwrap_or(u32::MAX));
            }
        }
        // Between two pieces it can be quiet for long, too.
        self.clocks.filler = (!answer.is_last).then(|| now + self.timeouts.filler_interval);
        self.clocks.interruption = None;
        self.cut = None;
        let text = spoken(&answer.text);
        // What came before is another utterance: it has been said as far as it is heard, and goes on being so.
        let continues = self
            .state
            .reply
            .as_ref()
            .is_some_and(|reply| reply.turn == turn && reply.by == answer.by);
        if !continues {
            self.finish_reply(wall);
            self.queue.detach();
        }
        let reply = self.state.reply.get_or_insert_with(|| Reply {
            turn,
            by: answer.by,
            planned: String::new(),
            played: 0,
            is_complete: false,
        });
        // Two replies to one turn are two sentences.
        let text = match reply.is_complete && !text.is_empty() && !text.starts_with(char::is_whitespace) {
            true => format!(" {text}"),
            false => text,
        };
        reply.planned.push_str(&text);
        reply.is_complete = answer.is_last;
        self.clocks.give_up = (!answer.is_last).then(|| now + self.timeouts.chunk_timeout);
        if !text.is_empty() {
            self.queue.push(UtteranceKind::Reply, &text);
        }
        if !text.is_empty() || answer.is_last {
            self.speak(text, answer.is_last, false);
        }
        let is_empty = self
            .state
            .reply
            .as_ref()
            .is_some_and(|reply| reply.is_complete && reply.planned.trim().is_empty());
        if is_empty {
            // An agent may have nothing to say.
            self.state.reply = None;
        }
        self.listen_for_silence(now);
        self.acts.push(Effect::Save);
    }

    /// Tones, after what is to be said before them.
    pub fn press(&mut self, digits: &str) -> Vec<Effect> {
        self.queue.push(UtteranceKind::Digits, digits);
        self.acts.push(Effect::Send(OutgoingFrame::Digits(digits.to_owned())));
        self.take()
    }

    /// From now on both speak this language.
    pub fn speak_in(&mut self, language: &str) -> Vec<Effect> {
        language.clone_into(&mut self.state.info.language);
        self.phrases = self.catalog.of(language);
        self.acts
            .push(Effect::Send(OutgoingFrame::Language(language.to_owned())));
        self.acts.push(Effect::Save);
        self.take()
    }

    /// The mind that was asked can't answer this turn: it is not there, or it failed.
    pub fn cannot_answer(&mut self, turn: u64, wall: Timestamp, now: Instant) -> Vec<Effect> {
        if turn == self.state.turn && !self.is_ending() {
            self.mind_is_silent(wall, now);
        }
        self.take()
    }

    /// The agent is with the call again, or for the first time.
    pub fn attend(&mut self, wall: Timestamp, now: Instant) -> Vec<Effect> {
        self.state.is_attended = true;
        if self.state.responder == Responder::Voicemail && !self.is_ending() {
            self.agent_takes_over(wall, now);
        }
        self.acts.push(Effect::Save);
        self.take()
    }

    fn agent_takes_over(&mut self, wall: Timestamp, now: Instant) {
        tracing::info!(call = %self.state.info.call, "the agent takes the call over from the answering machine");
        let is_answering = self.state.reply.as_ref().is_some_and(|reply| !reply.is_complete);
        if self.state.is_pending || is_answering {
            self.acts.push(Effect::Cancel);
        }
        if is_answering {
            // The carrier would take what the agent says for the rest of the machine's sentence.
            self.speak(String::new(), true, false);
            // Half an answer is none.
            self.state.is_pending = self.state.turn > 0;
        }
        self.finish_reply(wall);
        self.state.responder = Responder::Agent;
        self.state.is_attended = true;
        self.clocks.machine = None;
        // Whoever takes over can go silent as well.
        self.clocks.give_up = self.state.is_pending.then(|| now + self.timeouts.reply_timeout);
        self.clocks.filler = self.state.is_pending.then(|| now + self.timeouts.filler_after);
    }
}

/// What a synthesizer can speak: no control characters.
fn spoken(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\n' | '\r' | '\t' => ' ',
            c => c,
        })
        .filter(|c| !c.is_control())
        .collect()
}
