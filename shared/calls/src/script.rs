//! Scripts: the carrier's instructions for a call, for each point at which it requests them.

use butt_dial_domain::{
    CallId,
    call::{AnsweredBy, Purpose},
    ports::{
        kv::KvError,
        voice::{ConversationSocket, Dial, Script, Speech, Step},
    },
};
use butt_dial_language::SpeechOptions;

use super::{
    handle::Calls,
    legs, phrases,
    socket_ticket::{self, socket_url},
    speech::{self, speakable},
    state::{AfterSession, CallState, RecordingState},
};

/// Maximum length of a recorded message.
const MAX_RECORDING_SECONDS: u32 = 120;
const TRANSFER_RING_SECONDS: u32 = 25;
/// A leg that is not recorded is not charged after its first minute.
const UNRECORDED_LEG_SECONDS: u32 = 60;
/// Minimum time for a transferred call, enough to say goodbye.
const MIN_TRANSFER_SECONDS: u32 = 30;

/// Opens a socket to any relay, which begins or continues the conversation.
pub async fn connect_relay(calls: &Calls, state: &CallState) -> Result<Script, KvError> {
    let info = &state.info;
    let action_url = calls.callback_url(&info.carrier, "action", &info.call);
    let Some((base, action_url)) = calls.public_urls.base().zip(action_url) else {
        tracing::error!("call not connected: WEBHOOK_BASE_URL is not set");
        return Ok(unavailable(calls, &info.language));
    };
    let token = socket_ticket::issue(calls, &info.call).await?;
    Ok(Script(vec![Step::Converse(Box::new(ConversationSocket {
        socket_url: socket_url(base, &token),
        action_url,
        // The relay greets over the socket, so that the greeting is spoken once even if the socket is lost.
        greeting: None,
        language: info.language.clone(),
        voice: info.plan.voice.clone(),
        languages: Vec::new(),
        hints: info.plan.hints.clone(),
        partial_transcripts: true,
        interrupt_sensitivity: info.plan.interrupt_sensitivity.unwrap_or_default(),
    }))]))
}

/// Begins the conversation of an answered call. A recorded one begins with the announcement, and is recorded from its end on.
pub(crate) async fn begin_conversation(calls: &Calls, state: &CallState) -> Result<Script, KvError> {
    let mut script = connect_relay(calls, state).await?;
    if let Some(steps) = recording(calls, state) {
        script.0.splice(0..0, steps);
    }
    Ok(script)
}

/// Announces and starts the recording of a conversation. `None`: it is not recorded, or cannot be announced.
fn recording(calls: &Calls, state: &CallState) -> Option<[Step; 2]> {
    let info = &state.info;
    state
        .recording
        .filter(|recording| *recording == RecordingState::Running)?;
    let announcement = calls.settings.phrases.get(&info.language).recorded.clone();
    if announcement.trim().is_empty() {
        tracing::warn!(call = %info.call, language = info.language, "call not recorded: the announcement is missing");
        return None;
    }
    let status_url = calls.callback_url(&info.carrier, "recorded", &info.call)?;
    Some([spoken(state, &announcement), Step::StartRecording { status_url }])
}

/// Records a message after the beep. Needs no call state.
pub(crate) fn record_message(
    calls: &Calls,
    carrier: &str,
    call: &CallId,
    language: &str,
    words: Option<&str>,
) -> Script {
    let url = |kind| calls.callback_url(carrier, kind, call);
    let Some((action_url, recording_url)) = url("message").zip(url("recording")) else {
        return unavailable(calls, language);
    };
    let mut steps: Vec<Step> = words.map(|words| say(language, words)).into_iter().collect();
    steps.push(Step::Record {
        max_seconds: MAX_RECORDING_SECONDS,
        action_url: action_url.clone(),
        recording_url,
    });
    // Silence after the beep requests no action. Without the redirect the call would end without words or a report.
    steps.push(Step::Redirect { url: action_url });
    Script(steps)
}

/// Asks the caller for a recording, because a conversation cannot continue.
pub(crate) fn apologize_and_record(calls: &Calls, state: &CallState) -> Script {
    let info = &state.info;
    let phrases = calls.settings.phrases.get(&info.language);
    record_message(calls, &info.carrier, &info.call, &info.language, Some(&phrases.record))
}

/// Asks the caller for a recording, because it is unknown whether the agent is there.
pub(crate) fn offer_recording(calls: &Calls, state: &CallState) -> Script {
    let info = &state.info;
    let phrases = calls.settings.phrases.get(&info.language);
    let words = format!("{} {}", phrases::with_name(&phrases.away, &info.name), phrases.record);
    record_message(calls, &info.carrier, &info.call, &info.language, Some(&words))
}

/// Ends the call after a recorded message.
pub(crate) fn thank_caller(calls: &Calls, language: &str) -> Script {
    let phrases = calls.settings.phrases.get(language);
    Script(vec![say(language, &phrases.thanks), Step::Hangup])
}

/// Ends the call after silence at the beep.
pub(crate) fn say_goodbye(calls: &Calls, language: &str) -> Script {
    let phrases = calls.settings.phrases.get(language);
    Script(vec![say(language, &phrases.goodbye), Step::Hangup])
}

/// Ends a call that cannot continue.
pub(crate) fn unavailable(calls: &Calls, language: &str) -> Script {
    let phrases = calls.settings.phrases.get(language);
    Script(vec![say(language, &phrases.unavailable), Step::Hangup])
}

/// Continues the call after the end of a socket session.
pub(crate) async fn after_session(calls: &Calls, state: &CallState) -> Result<Script, KvError> {
    let info = &state.info;
    Ok(match &state.after_session {
        AfterSession::Resume => connect_relay(calls, state).await?,
        AfterSession::HangUp => Script(vec![Step::Hangup]),
        AfterSession::Record => record_message(calls, &info.carrier, &info.call, &info.language, None),
        AfterSession::Transfer { to, whisper, digits } => {
            dial(calls, state, to, whisper.is_some(), digits.clone()).await
        }
    })
}

/// Connects the call with another number for the time that is left of the call.
async fn dial(calls: &Calls, state: &CallState, to: &str, whispers: bool, digits: Option<String>) -> Script {
    let info = &state.info;
    let left = (info.limit_at - calls.clock.now()).num_seconds();
    let left = u32::try_from(left).unwrap_or(0).max(MIN_TRANSFER_SECONDS);
    let url = |kind| calls.callback_url(&info.carrier, kind, &info.call);
    let Some(action_url) = url("dialled") else {
        return unavailable(calls, &info.language);
    };
    let left = match legs::open(calls, info, to).await {
        true => left,
        false => left.min(UNRECORDED_LEG_SECONDS),
    };
    Script(vec![Step::Dial(Dial {
        to: to.to_owned(),
        caller_id: Some(info.local.clone()),
        ring_seconds: TRANSFER_RING_SECONDS,
        limit_seconds: Some(left),
        action_url,
        whisper_url: whispers.then(|| url("whisper")).flatten(),
        digits,
    })])
}

/// Begins an outbound call that was answered.
pub(crate) async fn on_answer(calls: &Calls, state: &CallState, by: Option<AnsweredBy>) -> Result<Script, KvError> {
    Ok(match &state.info.plan.purpose {
        _ if by == Some(AnsweredBy::Fax) => Script(vec![Step::Hangup]),
        Purpose::Converse => begin_conversation(calls, state).await?,
        Purpose::Message { text, sound_url } => {
            let message = match sound_url {
                Some(url) => Step::Play(url.clone()),
                None => spoken(state, text),
            };
            Script(vec![disclosure(calls, state), message, Step::Hangup])
        }
        Purpose::Connect { to } => dial(calls, state, to, false, None).await,
    })
}

/// Speaks to the callee of a warm transfer before the two are connected.
pub(crate) fn whisper(state: &CallState) -> Script {
    match &state.after_session {
        AfterSession::Transfer {
            whisper: Some(words), ..
        } => Script(vec![spoken(state, words)]),
        _ => Script::default(),
    }
}

/// Leaves a message, because an outbound conversation has reached an answering machine.
pub(crate) fn leave_voicemail(calls: &Calls, state: &CallState) -> Script {
    let mut steps = vec![disclosure(calls, state)];
    let greeting = state.info.plan.greeting.as_deref();
    steps.extend(greeting.map(|greeting| spoken(state, greeting)));
    steps.push(Step::Hangup);
    Script(steps)
}

/// Discloses to a callee that an AI is calling.
fn disclosure(calls: &Calls, state: &CallState) -> Step {
    let info = &state.info;
    let phrases = calls.settings.phrases.get(&info.language);
    spoken(state, &phrases::with_name(&phrases.calling, &info.name))
}

pub(crate) fn spoken(state: &CallState, text: &str) -> Step {
    Step::Say(Speech {
        text: speakable(text, &speech::options(&state.info.plan, &state.info.language)),
        language: Some(state.info.language.clone()),
        voice: state.info.plan.voice.clone(),
    })
}

fn say(language: &str, text: &str) -> Step {
    Step::Say(Speech {
        text: speakable(text, &SpeechOptions::new(language)),
        language: Some(language.to_owned()),
        voice: None,
    })
}

#[cfg(test)]
mod tests {
    use butt_dial_domain::call::Plan;

    use super::*;
    use crate::tests::{Bench, inbound_state};

    fn said(script: &Script) -> String {
        let texts = script.0.iter().filter_map(|step| match step {
            Step::Say(speech) => Some(speech.text.as_str()),
            _ => None,
        });
        texts.collect::<Vec<_>>().join(" ")
    }

    #[tokio::test]
    async fn spoken_steps_have_no_markup() {
        let bench = Bench::new().await;
        let mut state = inbound_state();
        state.info.plan = Plan {
            purpose: Purpose::Message {
                text: "See [our page](https://example.com/a) 😀".into(),
                sound_url: None,
            },
            greeting: Some("Hi, about **your** order 😀".into()),
            ..Plan::default()
        };
        assert!(said(&leave_voicemail(&bench.calls, &state)).ends_with("Hi, about your order"));
        let answered = on_answer(&bench.calls, &state, None).await.unwrap();
        assert!(said(&answered).ends_with("See our page"));
        state.after_session = AfterSession::Transfer {
            to: "+14155550123".into(),
            whisper: Some("*Ann* calls.".into()),
            digits: None,
        };
        assert_eq!(said(&whisper(&state)), "Ann calls.");
        state.info.plan.spoken_forms = Some(true);
        let read = said(&Script(vec![spoken(&state, "It costs $5.")]));
        assert!(read.contains("five dollars"), "{read}");
    }
}
