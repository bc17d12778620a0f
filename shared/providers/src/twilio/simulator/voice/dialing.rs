//! Dials another number from a call and connects both (Twilio, TwiML Dial).

use butt_dial_domain::call::CallStatus;

use super::{
    live_call::{Flow, LiveCall},
    twiml::Verb,
};
use crate::simulator::calls::{CalleeBehavior, Speaker};

/// From the dial until the network reports a busy or invalid number.
const RING_MS: u64 = 500;
/// How long two connected people talk.
const TALK_MS: u64 = 4_000;

/// Dials another number and connects both until they hang up.
pub async fn dial(
    live: &mut LiveCall,
    action: Option<String>,
    ring_ms: u64,
    number: &str,
    whisper: Option<String>,
) -> Flow {
    live.call.note(Speaker::Carrier, format!("dials {number}"));
    let behavior = live.simulator.callee_behavior(number);
    let (after, status) = match behavior {
        CalleeBehavior::Answers { after_ms, .. } | CalleeBehavior::Machine { after_ms, .. } if after_ms < ring_ms => {
            (after_ms, CallStatus::Completed)
        }
        CalleeBehavior::Busy => (RING_MS, CallStatus::Busy),
        CalleeBehavior::Fails => (RING_MS, CallStatus::Failed),
        _ => (ring_ms, CallStatus::NoAnswer),
    };
    let started_at = live.call.now_ms();
    if let Some(flow) = live.wait(Some(started_at + after)).await {
        return flow;
    }
    let child = format!("CA{}", uuid::Uuid::new_v4().simple());
    let mut more = vec![
        ("DialCallSid", child.clone()),
        ("DialCallStatus", status.as_str().to_owned()),
    ];
    if status == CallStatus::Completed {
        if let Some(url) = whisper {
            play_whisper(live, &url, &child, number).await;
        }
        live.call.note(Speaker::Carrier, format!("connected to {number}"));
        if let Some(flow) = live.wait(Some(live.call.now_ms() + TALK_MS)).await {
            return flow;
        }
        more.push(("DialCallDuration", (TALK_MS / 1_000).to_string()));
        more.push(("DialBridged", "true".to_owned()));
    }
    match action {
        Some(action) => live.fetch_and_run(&action, &more).await,
        None => Flow::Next,
    }
}

/// Plays the whisper to the dialed party before both are connected.
async fn play_whisper(live: &mut LiveCall, url: &str, child: &str, number: &str) {
    let more = [
        ("CallSid", child.to_owned()),
        ("ParentCallSid", live.call.id().to_owned()),
        ("Direction", "outbound-dial".to_owned()),
        ("To", number.to_owned()),
    ];
    let report = live.form(url, &more);
    let answered = live.simulator.post_for_response(&report).await;
    match super::twiml::parse(&answered.body) {
        Ok((verbs, _)) => {
            for verb in verbs {
                if let Verb::Say(text) = verb {
                    live.call
                        .note(Speaker::Carrier, format!("whispers to {number}: {text}"));
                }
            }
        }
        Err(code) => live.alert(code),
    }
}
