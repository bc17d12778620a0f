//! The voicemail service takes over from an agent that is away or does not reply, and ends within its limits.

use super::{
    super::{
        phrases,
        state::{AfterSession, Responder, Speaker},
    },
    Effects,
    effect::{Effect, Moment},
    turns::Turns,
};

pub(super) struct VoicemailService {
    /// A model is configured. Otherwise the caller is asked to leave a recording.
    pub has_model: bool,
}

impl VoicemailService {
    /// Replaces the agent. `from_start`: the agent was never there, and the caller was not greeted.
    pub fn start(&self, turns: &mut Turns, from_start: bool, now: Moment, effects: &mut Effects) {
        let (info, phrases) = (&turns.state.info, turns.output.phrases());
        tracing::info!(call = %info.call, from_start, "voicemail service started");
        let words = match from_start {
            true => phrases::with_name(&phrases.away, &info.name),
            // The greeting has disclosed that an AI is speaking.
            false => phrases.apology.clone(),
        };
        if !self.has_model {
            let words = format!("{words} {}", phrases.record);
            return turns.end_with_words(&words, AfterSession::Record, now, effects);
        }
        turns.drop(now.wall, effects);
        turns.state.responder = Responder::Voicemail;
        turns.state.voicemail.since = Some(now.wall);
        resume(turns, now);
        let words = format!("{words} {}", phrases.who_calls);
        let language = turns.output.phrases_language();
        turns.speak((Speaker::Voicemail, language), words, now.instant, effects);
    }
}

/// Restarts the time limit of the service: a new session continues with the remaining time.
pub(super) fn resume(turns: &mut Turns, now: Moment) {
    let since = turns.state.voicemail.since.unwrap_or(now.wall);
    let elapsed = (now.wall - since).to_std().unwrap_or_default();
    let left = turns.timeouts.voicemail_timeout.saturating_sub(elapsed);
    turns.timers.voicemail.set(now.instant + left);
}

/// Returns the call to the agent.
pub(super) fn end(turns: &mut Turns, now: Moment, effects: &mut Effects) {
    tracing::info!(call = %turns.state.info.call, "agent replaced the voicemail service");
    let is_replying = turns.state.is_replying();
    if turns.state.is_pending || is_replying {
        effects.push(Effect::CancelRequest);
    }
    if is_replying {
        // Otherwise the carrier would append the agent's words to the sentence of the voicemail service.
        if turns
            .state
            .reply
            .as_ref()
            .is_some_and(|reply| !reply.planned.is_empty())
        {
            effects.extend(turns.output.reply("", true, None));
        }
        // Half a reply does not count.
        turns.state.is_pending = turns.state.turn > 0;
    }
    turns.state.finish_reply(now.wall);
    turns.state.responder = Responder::Agent;
    turns.state.is_attended = true;
    turns.timers.voicemail.clear();
    turns
        .timers
        .restart_request(turns.state.is_pending, &turns.timeouts, now.instant);
}

/// Thanks the caller and ends the call, if the service has used up its turns.
pub(super) fn finish_if_used_up(turns: &mut Turns, now: Moment, effects: &mut Effects) {
    if turns.state.voicemail.turns >= turns.timeouts.voicemail_turns {
        finish(turns, now, effects);
    }
}

/// Thanks the caller and ends the call.
pub(super) fn finish(turns: &mut Turns, now: Moment, effects: &mut Effects) {
    if turns.state.responder == Responder::Voicemail {
        let thanks = &turns.output.phrases().thanks;
        turns.end_with_words(thanks, AfterSession::HangUp, now, effects);
    }
}
