//! What the carrier is told to do with a call, at each point where it asks.

use std::time::Duration;

use butt_dial_domain::{
    CallId,
    call::{AnsweredBy, Purpose},
    ids, keys,
    ports::{
        kv::KvError,
        voice::{ConversationSocket, Dial, Script, Speech, Step},
    },
};
use serde::{Deserialize, Serialize};

use super::{
    phrases,
    state::{AfterSession, CallState},
};
use crate::Comms;

/// How long a token waits for its socket: the carrier opens it within a second.
const TOKEN_TTL: Duration = Duration::from_secs(120);
/// The longest message that a caller may leave after the beep.
const MESSAGE_SECONDS: u32 = 120;
const RING_SECONDS: u32 = 25;
/// Time to say goodbye.
const SHORTEST_DIAL_SECONDS: u32 = 30;

/// What a socket's token stands for.
#[derive(Serialize, Deserialize)]
pub struct SocketTicket {
    pub call: CallId,
}

/// The call begins, or goes on, over a socket to whichever relay.
pub async fn connect_relay(comms: &Comms, state: &CallState) -> Result<Script, KvError> {
    let info = &state.info;
    let (Some(base), Some(action_url)) = (
        comms.settings.public_url.as_deref(),
        comms.settings.call_url(&info.carrier, "action", info.call.as_str()),
    ) else {
        tracing::error!("WEBHOOK_BASE_URL is not set, so no call can be talked with");
        return Ok(unavailable(comms, &info.language));
    };
    let token = format!("{}{}", ids::random(), ids::random());
    let admission = serde_json::to_string(&SocketTicket {
        call: info.call.clone(),
    })
    .unwrap_or_default();
    comms.kv.set(&keys::call_token(&token), &admission, TOKEN_TTL).await?;
    Ok(Script(vec![Step::Converse(Box::new(ConversationSocket {
        socket_url: socket_url(base, &token),
        action_url,
        // We say it over the socket, so that it is said once, whatever happens to the socket.
        greeting: None,
        language: info.language.clone(),
        voice: info.plan.voice.clone(),
        languages: Vec::new(),
        hints: Vec::new(),
        partial_transcripts: true,
    }))]))
}

/// The carrier opens `wss` only.
pub fn socket_url(base: &str, token: &str) -> String {
    let host = base.split_once("://").map_or(base, |(_, host)| host);
    format!("wss://{host}/relay/{token}")
}

/// A message after the beep, where nobody and nothing can talk. Needs no state.
pub fn record_message(comms: &Comms, carrier: &str, call: &CallId, language: &str, words: Option<String>) -> Script {
    let urls = comms.settings.call_url(carrier, "message", call.as_str());
    let urls = urls.zip(comms.settings.call_url(carrier, "recording", call.as_str()));
    let Some((action_url, recording_url)) = urls else {
        return unavailable(comms, language);
    };
    let mut steps: Vec<Step> = words.map(|words| say(language, &words)).into_iter().collect();
    steps.push(Step::Record {
        max_seconds: MESSAGE_SECONDS,
        action_url: action_url.clone(),
        recording_url,
    });
    // Who says nothing is not asked about as an action; the call shall not end without a word, and unknown to us.
    steps.push(Step::Redirect { url: action_url });
    Script(steps)
}

/// Nobody can be asked whether the agent is there: the caller can still leave a message.
pub fn offer_voicemail(comms: &Comms, carrier: &str, call: &CallId, language: &str, name: &str) -> Script {
    let phrases = comms.settings.calls.phrases.of(language);
    let words = format!("{} {}", phrases::with(&phrases.away, name), phrases.record);
    record_message(comms, carrier, call, language, Some(words))
}

/// After a message.
pub fn thank_caller(comms: &Comms, language: &str) -> Script {
    let phrases = comms.settings.calls.phrases.of(language);
    Script(vec![say(language, &phrases.thanks), Step::Hangup])
}

/// After a beep that nothing was said to.
pub fn say_goodbye(comms: &Comms, language: &str) -> Script {
    let phrases = comms.settings.calls.phrases.of(language);
    Script(vec![say(language, &phrases.goodbye), Step::Hangup])
}

/// The call can go nowhere.
pub fn unavailable(comms: &Comms, language: &str) -> Script {
    let phrases = comms.settings.calls.phrases.of(language);
    Script(vec![say(language, &phrases.unavailable), Step::Hangup])
}

/// The socket has ended as the call's state says.
pub async fn after_session(comms: &Comms, state: &CallState) -> Result<Script, KvError> {
    let info = &state.info;
    Ok(match &state.after_session {
        AfterSession::Resume => connect_relay(comms, state).await?,
        AfterSession::HangUp => Script(vec![Step::Hangup]),
        AfterSession::Record => record_message(comms, &info.carrier, &info.call, &info.language, None),
        AfterSession::Transfer { to, whisper } => transfer(comms, state, to, whisper.is_some()),
    })
}

fn transfer(comms: &Comms, state: &CallState, to: &str, whispers: bool) -> Script {
    let info = &state.info;
    // Whoever takes over talks for as long as the call may last.
    let left = (info.limit_at - comms.clock.now()).num_seconds();
    let left = u32::try_from(left).unwrap_or(0).max(SHORTEST_DIAL_SECONDS);
    let url = |what| comms.settings.call_url(&info.carrier, what, info.call.as_str());
    let Some(action_url) = url("dialled") else {
        return unavailable(comms, &info.language);
    };
    Script(vec![Step::Dial(Dial {
        to: to.to_owned(),
        caller_id: Some(info.local.clone()),
        ring_seconds: RING_SECONDS,
        limit_seconds: Some(left),
        action_url,
        whisper_url: whispers.then(|| url("whisper")).flatten(),
    })])
}

/// Somebody has answered a call of ours.
pub async fn on_answer(comms: &Comms, state: &CallState, by: Option<AnsweredBy>) -> Result<Script, KvError> {
    let info = &state.info;
    Ok(match &info.plan.purpose {
        _ if by == Some(AnsweredBy::Fax) => Script(vec![Step::Hangup]),
        Purpose::Converse => connect_relay(comms, state).await?,
        Purpose::Message { text, sound_url } => {
            let message = match sound_url {
                Some(url) => Step::Play(url.clone()),
                None => speech(state, text),
            };
            Script(vec![disclosure(comms, state), message, Step::Hangup])
        }
        Purpose::Connect { to } => transfer(comms, state, to, false),
    })
}

/// What the one who is called in a warm transfer hears.
pub fn whisper(state: &CallState) -> Script {
    match &state.after_session {
        AfterSession::Transfer {
            whisper: Some(words), ..
        } => Script(vec![speech(state, words)]),
        _ => Script::default(),
    }
}

/// A call of ours that was to be a conversation has reached a machine: it is told what the call was about.
pub fn leave_voicemail(comms: &Comms, state: &CallState) -> Script {
    let mut steps = vec![disclosure(comms, state)];
    steps.extend(
        state
            .info
            .plan
            .greeting
            .as_deref()
            .map(|greeting| speech(state, greeting)),
    );
    steps.push(Step::Hangup);
    Script(steps)
}

/// Whoever is called by a machine has to be told so, first.
fn disclosure(comms: &Comms, state: &CallState) -> Step {
    let info = &state.info;
    let phrases = comms.settings.calls.phrases.of(&info.language);
    speech(state, &phrases::with(&phrases.calling, &info.name))
}

pub(super) fn speech(state: &CallState, text: &str) -> Step {
    Step::Say(Speech {
        text: text.to_owned(),
        language: Some(state.info.language.clone()),
        voice: state.info.plan.voice.clone(),
    })
}

fn say(language: &str, text: &str) -> Step {
    Step::Say(Speech {
        text: text.to_owned(),
        language: Some(language.to_owned()),
        voice: None,
    })
}
