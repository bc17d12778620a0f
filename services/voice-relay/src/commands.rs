//! Executes the agent's commands on a conversation. No I/O: the session executes the effects.

use butt_dial_calls::{
    commands::{CallCommand, CommandOutcome},
    conversation::{Conversation, Effect, Moment, ReplyChunk, ReplyRejected},
    notifications::{CallNotification, NotificationKind},
    state::{AfterSession, CallState, Speaker},
};
use butt_dial_domain::ports::voice::OutgoingFrame;

/// Number of idempotency keys that a call remembers.
const MAX_KEYS: usize = 32;

/// Applies a command. The effects have to be executed before the outcome is sent.
pub fn apply(conversation: &mut Conversation, command: CallCommand, now: Moment) -> (Vec<Effect>, CommandOutcome) {
    let mut effects = Vec::new();
    let applied = match command {
        CallCommand::Answer {
            turn,
            text,
            is_last,
            ends,
            key,
            language,
            voice,
        } => {
            let speech = Speech {
                turn,
                text,
                is_last,
                language,
                voice,
            };
            answer(conversation, speech, ends, key, now, &mut effects)
        }
        CallCommand::Attend => {
            effects.extend(conversation.attend(now));
            Ok(())
        }
        CallCommand::HangUp { text } => say_then_end(conversation, text, AfterSession::HangUp, now, &mut effects),
        CallCommand::Transfer {
            to,
            announcement,
            whisper,
            digits,
        } => {
            let transfer = AfterSession::Transfer { to, whisper, digits };
            say_then_end(conversation, announcement, transfer, now, &mut effects)
        }
        CallCommand::Play { url } => {
            let preemptible = false;
            effects.push(Effect::Send(OutgoingFrame::Play { url, preemptible }));
            Ok(())
        }
        CallCommand::Digits { digits, key } => {
            let state = conversation.state();
            if key.as_ref().is_none_or(|key| !state.keys.contains(key)) {
                effects.extend(conversation.send_digits(&digits));
                remember(conversation.state_mut(), key);
                effects.push(Effect::Save);
            }
            Ok(())
        }
        CallCommand::Language { language } => {
            effects.extend(conversation.set_language(Some(&language), None));
            Ok(())
        }
        CallCommand::OwnerChanged { .. } => Ok(()),
    };
    let outcome = outcome(conversation.state(), applied);
    (effects, outcome)
}

/// The words of the agent.
struct Speech {
    turn: Option<u64>,
    text: String,
    is_last: bool,
    language: Option<String>,
    voice: Option<String>,
}

fn answer(
    conversation: &mut Conversation,
    speech: Speech,
    ends: bool,
    key: Option<String>,
    now: Moment,
    effects: &mut Vec<Effect>,
) -> Result<(), ReplyRejected> {
    let state = conversation.state();
    if key.as_ref().is_some_and(|key| state.keys.contains(key)) {
        return Ok(());
    }
    if !state.is_attended {
        effects.extend(conversation.attend(now));
    }
    // A call can end without last words.
    if !ends || !conversation.is_silent(&speech.text) {
        say(conversation, speech, now, effects)?;
    }
    remember(conversation.state_mut(), key);
    if ends {
        effects.extend(conversation.end(AfterSession::HangUp, now));
    }
    Ok(())
}

fn say_then_end(
    conversation: &mut Conversation,
    text: Option<String>,
    after_session: AfterSession,
    now: Moment,
    effects: &mut Vec<Effect>,
) -> Result<(), ReplyRejected> {
    if let Some(text) = text.filter(|text| !conversation.is_silent(text)) {
        let speech = Speech {
            turn: None,
            text,
            is_last: true,
            language: None,
            voice: None,
        };
        say(conversation, speech, now, effects)?;
    }
    effects.extend(conversation.end(after_session, now));
    Ok(())
}

fn say(
    conversation: &mut Conversation,
    speech: Speech,
    now: Moment,
    effects: &mut Vec<Effect>,
) -> Result<(), ReplyRejected> {
    let chunk = ReplyChunk {
        by: Speaker::Agent,
        turn: speech.turn,
        text: speech.text,
        is_last: speech.is_last,
        is_in_callers_language: false,
    };
    let spoken = conversation.reply(chunk, now)?;
    // The agent has replied, so the model of its client need not.
    effects.push(Effect::CancelRequest);
    effects.extend(conversation.set_language(speech.language.as_deref(), speech.voice.as_deref()));
    effects.extend(spoken);
    Ok(())
}

/// Remembers an idempotency key, so that a repeated command speaks nothing.
fn remember(state: &mut CallState, key: Option<String>) {
    if state.keys.len() >= MAX_KEYS {
        state.keys.remove(0);
    }
    state.keys.extend(key);
}

fn outcome(state: &CallState, applied: Result<(), ReplyRejected>) -> CommandOutcome {
    let turn = state.turn;
    match applied {
        Ok(()) => CommandOutcome::Done {
            turn,
            pending: state
                .is_pending
                .then(|| Box::new(CallNotification::new(NotificationKind::Turn, state))),
        },
        Err(ReplyRejected::Superseded) => CommandOutcome::Superseded { turn },
        Err(ReplyRejected::Answered) => CommandOutcome::Answered,
        Err(ReplyRejected::Silent) => CommandOutcome::Silent,
    }
}
