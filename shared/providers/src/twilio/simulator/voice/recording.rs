//! Recordings: of a whole call, and of the caller's message after a beep (Twilio, TwiML Record and Start Recording;
//! Recordings resource; recording status callbacks).

use axum::{
    http::header,
    response::{IntoResponse, Response},
};

use super::live_call::{Flow, LiveCall};
use crate::{
    simulator::calls::{Command, SimulatedRecording, Sound, Speaker},
    twilio::{
        simulator::{ACCOUNT_SID, ID},
        wire::VERSION,
    },
};

/// The silence that ends a `Record`.
const SILENCE_MS: u64 = 5_000;
const BEEP_MS: u64 = 500;

/// A running recording of both sides.
pub struct ActiveRecording {
    id: String,
    callback: Option<String>,
    since_ms: u64,
}

pub fn new_id() -> String {
    format!("RE{}", uuid::Uuid::new_v4().simple())
}

pub async fn start(live: &mut LiveCall, id: String, callback: Option<String>) {
    let active_recording = ActiveRecording {
        id,
        callback,
        since_ms: live.call.now_ms(),
    };
    live.call.note(Speaker::Carrier, "is recorded");
    if let Some(url) = &active_recording.callback {
        let more = recording_fields(live, &active_recording.id, "in-progress", None);
        live.spawn_webhook(live.form(url, &more));
    }
    live.active_recording = Some(active_recording);
}

/// Completes the running recording at the end of the call.
pub async fn finish(live: &mut LiveCall) {
    let Some(active_recording) = live.active_recording.take() else {
        return;
    };
    let text = live
        .call
        .transcript()
        .iter()
        .map(|line| line.text.clone())
        .collect::<Vec<_>>();
    keep(live, &active_recording.id, text.join(" "));
    if let Some(url) = &active_recording.callback {
        let seconds = live.call.now_ms().saturating_sub(active_recording.since_ms) / 1_000;
        let more = recording_fields(live, &active_recording.id, "completed", Some(seconds));
        live.spawn_webhook(live.form(url, &more));
    }
}

/// Beeps, records until the caller is silent, presses a key or hangs up, and requests the action. Without speech, the
/// next verb follows and no request is made (Twilio, TwiML Record: action).
pub async fn record(live: &mut LiveCall, action: Option<String>, callback: Option<String>, max_ms: u64) -> Flow {
    let beep = live.call.now_ms() + BEEP_MS;
    if let Some(flow) = live.wait(Some(beep)).await {
        return flow;
    }
    live.call.hear(beep, Sound::Beep);
    let (end, mut quiet) = (beep + max_ms, beep + SILENCE_MS);
    let (mut text, mut digits, mut flow) = (Vec::new(), None, None);
    loop {
        let Some(command) = live.next_command(Some(quiet.min(end))).await else {
            break;
        };
        match command {
            Ok(Command::Say(words, done) | Command::BargeIn(_, words, done)) => {
                live.sleep(words.split_whitespace().count() as u64 * 300).await;
                live.call.note(Speaker::Person, words.clone());
                text.push(words);
                quiet = live.call.now_ms() + SILENCE_MS;
                let _ = done.send(true);
            }
            Ok(Command::Press(keys, done)) => {
                let _ = done.send(true);
                digits = Some(keys);
                break;
            }
            Ok(command) => {
                flow = live.handle_command(command).await;
                if flow.is_some() {
                    break;
                }
            }
            Err(over) => {
                flow = Some(over);
                break;
            }
        }
    }
    let id = new_id();
    if text.is_empty() {
        if let Some(url) = callback {
            let more = recording_fields(live, &id, "absent", None);
            live.spawn_webhook(live.form(&url, &more));
        }
        return flow.unwrap_or(Flow::Next);
    }
    let seconds = live.call.now_ms().saturating_sub(beep) / 1_000;
    keep(live, &id, text.join(" "));
    if let Some(url) = callback {
        let more = recording_fields(live, &id, "completed", Some(seconds));
        live.spawn_webhook(live.form(&url, &more));
    }
    let mut more = vec![
        ("RecordingSid", id.clone()),
        ("RecordingUrl", url(live, &id)),
        ("RecordingDuration", seconds.to_string()),
    ];
    match (flow, action) {
        (Some(Flow::Over(status)), Some(action)) => {
            more.extend([
                ("Digits", "hangup".to_owned()),
                ("CallStatus", status.as_str().to_owned()),
            ]);
            live.spawn_webhook(live.form(&action, &more));
            Flow::Over(status)
        }
        (Some(flow), _) => flow,
        (None, Some(action)) => {
            more.push(("Digits", digits.unwrap_or_default()));
            live.fetch_and_run(&action, &more).await
        }
        (None, None) => Flow::Next,
    }
}

fn keep(live: &LiveCall, id: &str, text: String) {
    let id = id.to_owned();
    live.call
        .change(|state| state.recordings.push(SimulatedRecording { id, text }));
}

fn recording_fields(live: &LiveCall, id: &str, status: &str, seconds: Option<u64>) -> Vec<(&'static str, String)> {
    let mut more = vec![
        ("RecordingSid", id.to_owned()),
        ("RecordingUrl", url(live, id)),
        ("RecordingStatus", status.to_owned()),
        ("RecordingChannels", "2".to_owned()),
        ("RecordingSource", "StartCallRecordingAPI".to_owned()),
        ("ErrorCode", "0".to_owned()),
    ];
    more.extend(seconds.map(|seconds| ("RecordingDuration", seconds.to_string())));
    more
}

fn url(live: &LiveCall, id: &str) -> String {
    format!(
        "{}/{ID}/{VERSION}/Accounts/{ACCOUNT_SID}/Recordings/{id}",
        live.simulator.base_url()
    )
}

/// Returns a second of silence: 8,000 samples of one byte.
pub async fn sound() -> Response {
    const SAMPLES: u32 = 8_000;
    let mut wav = Vec::new();
    wav.extend(b"RIFF");
    wav.extend((36 + SAMPLES).to_le_bytes());
    wav.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
    wav.extend(SAMPLES.to_le_bytes());
    wav.extend(SAMPLES.to_le_bytes());
    wav.extend(b"\x01\0\x08\0data");
    wav.extend(SAMPLES.to_le_bytes());
    wav.resize(wav.len() + SAMPLES as usize, 0x80);
    ([(header::CONTENT_TYPE, "audio/x-wav")], wav).into_response()
}
