//! Recordings and their status callbacks; the recording of a whole call (Twilio, Start Recording; Recordings resource;
//! recording status callbacks).

use axum::{
    http::header,
    response::{IntoResponse, Response},
};

use butt_dial_domain::ports::voice::RecordingChange;

use super::call_webhooks;
use crate::{
    simulator::{
        SimulatorState,
        calls::{Call, RunningRecording, SimulatedRecording, Speaker},
    },
    twilio::{
        simulator::{ACCOUNT_SID, ID},
        wire::VERSION,
    },
};

pub fn new_id() -> String {
    format!("RE{}", uuid::Uuid::new_v4().simple())
}

/// Starts a recording of both sides. It replaces a running one.
pub fn start(simulator: &SimulatorState, call: &Call, id: String, callback: Option<String>) {
    call.note(Speaker::Carrier, "is recorded");
    if let Some(url) = &callback {
        report(simulator, call, url, &fields(simulator, &id, "in-progress", None));
    }
    let since_ms = call.now_ms();
    call.change(|state| {
        state.running_recording = Some(RunningRecording {
            id,
            callback,
            since_ms,
            lines: Vec::new(),
            from: Some(state.transcript.len()),
        });
    });
}

/// Pauses, resumes or ends the running recording. Returns false if there is none.
pub fn change(simulator: &SimulatorState, call: &Call, change: RecordingChange) -> bool {
    let mut ended = None;
    let mut is_running = false;
    call.change(|state| {
        let Some(mut recording) = state.running_recording.take() else {
            return;
        };
        is_running = true;
        if let Some(from) = recording.from {
            let recorded = state.transcript.iter().skip(from);
            recording.lines.extend(recorded.map(|line| line.text.clone()));
        }
        recording.from = (change == RecordingChange::Resume).then_some(state.transcript.len());
        match change {
            RecordingChange::Stop => ended = Some(recording),
            RecordingChange::Pause | RecordingChange::Resume => state.running_recording = Some(recording),
        }
    });
    if let Some(recording) = ended {
        complete(simulator, call, &recording);
    }
    is_running
}

fn complete(simulator: &SimulatorState, call: &Call, recording: &RunningRecording) {
    keep(call, &recording.id, recording.lines.join(" "));
    if let Some(url) = &recording.callback {
        let seconds = call.now_ms().saturating_sub(recording.since_ms) / 1_000;
        let fields = fields(simulator, &recording.id, "completed", Some(seconds));
        report(simulator, call, url, &fields);
    }
}

/// Sends a status callback in the background.
pub fn report(simulator: &SimulatorState, call: &Call, url: &str, fields: &[(&str, String)]) {
    call_webhooks::spawn(simulator, call_webhooks::form(simulator, call, url, fields));
}

pub fn keep(call: &Call, id: &str, text: String) {
    let id = id.to_owned();
    call.change(|state| state.recordings.push(SimulatedRecording { id, text }));
}

/// Returns the fields of a status callback.
pub fn fields(simulator: &SimulatorState, id: &str, status: &str, seconds: Option<u64>) -> Vec<(&'static str, String)> {
    let mut more = vec![
        ("RecordingSid", id.to_owned()),
        ("RecordingUrl", url(simulator, id)),
        ("RecordingStatus", status.to_owned()),
        ("RecordingChannels", "2".to_owned()),
        ("RecordingSource", "StartCallRecordingAPI".to_owned()),
        ("ErrorCode", "0".to_owned()),
    ];
    more.extend(seconds.map(|seconds| ("RecordingDuration", seconds.to_string())));
    more
}

pub fn url(simulator: &SimulatorState, id: &str) -> String {
    format!(
        "{}/{ID}/{VERSION}/Accounts/{ACCOUNT_SID}/Recordings/{id}",
        simulator.base_url()
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
