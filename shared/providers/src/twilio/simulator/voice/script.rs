//! Runs TwiML verb by verb, until the call is over.

use butt_dial_domain::call::CallStatus;

use super::{
    dialing,
    live_call::{Flow, LiveCall},
    message_recording, recording, relay,
    speech::WORD_MS,
    twiml::Verb,
};
use crate::simulator::calls::{Sound, Speaker};

/// The limit of chained documents, so that a redirect loop ends.
const MAX_DOCUMENTS: u32 = 200;

/// Runs the verbs and the documents that they lead to, until the call is over.
pub async fn execute(live: &mut LiveCall, mut verbs: Vec<Verb>) -> CallStatus {
    for _ in 0..MAX_DOCUMENTS {
        let mut next = None;
        for verb in verbs {
            match execute_verb(live, verb).await {
                Flow::Next => {}
                Flow::Goto(verbs) => {
                    next = Some(verbs);
                    break;
                }
                Flow::Over(status) => return status,
            }
        }
        match next {
            Some(next) => verbs = next,
            // No verb is left: Twilio hangs up.
            None => return CallStatus::Completed,
        }
    }
    CallStatus::Failed
}

async fn execute_verb(live: &mut LiveCall, verb: Verb) -> Flow {
    match verb {
        Verb::Reject { busy } => {
            let status = if busy { CallStatus::Busy } else { CallStatus::NoAnswer };
            return Flow::Over(status);
        }
        // The relay connects while the call still rings.
        Verb::Converse { .. } | Verb::StartRecording(_) | Verb::Redirect(_) => {}
        _ => live.answer(),
    }
    match verb {
        Verb::Say(text) => say(live, &text).await,
        Verb::Play(url) => hear_after(live, 3_000, Sound::File(url)).await,
        Verb::Pause(ms) => pause(live, ms).await,
        Verb::Converse { action, relay } => relay::run_session(live, action, *relay).await,
        Verb::Record {
            action,
            callback,
            max_ms,
        } => message_recording::record(live, action, callback, max_ms).await,
        Verb::StartRecording(callback) => {
            recording::start(&live.simulator, &live.call, recording::new_id(), callback);
            Flow::Next
        }
        Verb::Dial {
            action,
            ring_ms,
            number,
            whisper,
        } => dialing::dial(live, action, ring_ms, &number, whisper).await,
        Verb::Conference(name) => {
            live.call.note(Speaker::Carrier, format!("in the conference {name}"));
            live.call.change(|state| state.conferences.push(name));
            live.wait(None).await.unwrap_or(Flow::Next)
        }
        Verb::Redirect(url) => live.fetch_and_run(&url, &[]).await,
        Verb::Reject { .. } | Verb::Hangup => Flow::Over(CallStatus::Completed),
    }
}

async fn say(live: &mut LiveCall, text: &str) -> Flow {
    let started_at = live.call.now_ms();
    let words: Vec<&str> = text.split_whitespace().collect();
    for (count, word) in (1..).zip(&words) {
        let at = started_at + count * WORD_MS;
        if let Some(flow) = live.wait(Some(at)).await {
            live.call.note(Speaker::Us, words[..count as usize - 1].join(" "));
            return flow;
        }
        live.call.hear(at, Sound::Word((*word).to_owned()));
    }
    live.call.note(Speaker::Us, words.join(" "));
    Flow::Next
}

async fn hear_after(live: &mut LiveCall, ms: u64, sound: Sound) -> Flow {
    let at = live.call.now_ms() + ms;
    let flow = live.wait(Some(at)).await;
    if flow.is_none() {
        live.call.hear(at, sound);
    }
    flow.unwrap_or(Flow::Next)
}

async fn pause(live: &mut LiveCall, ms: u64) -> Flow {
    let at = live.call.now_ms() + ms;
    live.wait(Some(at)).await.unwrap_or(Flow::Next)
}
