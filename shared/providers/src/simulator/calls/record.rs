//! The records of a call. Times are milliseconds of the call's time, independent of its pace.

use serde::{Deserialize, Serialize};

/// One sound that the caller heard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HeardSound {
    /// When the sound ended.
    pub at_ms: u64,
    pub sound: Sound,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Sound {
    /// A complete word. Interrupted words are not recorded.
    Word(String),
    /// An audio file.
    File(String),
    /// DTMF tones.
    Keys(String),
    Beep,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Speaker {
    Person,
    /// The part of our speech that the caller heard.
    Us,
    /// An action of the carrier, without a sound.
    Carrier,
}

/// One line of the transcript.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TranscriptLine {
    pub at_ms: u64,
    pub who: Speaker,
    pub text: String,
}

/// One socket session of a conversation. A call can have several, one after the other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Session {
    /// The carrier's id.
    pub id: String,
    pub url: String,
    pub opened_ms: u64,
    pub ended_ms: Option<u64>,
    /// The carrier's label: `ended`, `failed`, `completed`; `redirected` when no callback is sent.
    pub outcome: Option<String>,
    pub error_code: Option<u32>,
}

/// A recording.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SimulatedRecording {
    pub id: String,
    /// The recorded speech.
    pub text: String,
}

/// A recording of both sides that has not ended.
#[derive(Clone, Debug)]
pub struct RunningRecording {
    pub id: String,
    /// The URL of its reports.
    pub callback: Option<String>,
    pub since_ms: u64,
    /// The recorded lines before the last pause.
    pub lines: Vec<String>,
    /// The first line of the transcript after it. `None`: the recording is paused.
    pub from: Option<usize>,
}

/// How the socket of a conversation breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SocketDrop {
    /// The connection is reset; the carrier notices at once.
    Reset,
    /// No data passes in either direction, and neither side notices.
    BlackHole,
    /// The carrier closes it normally, without a reason.
    Close1000,
    /// The carrier closes it because of unreadable frames.
    Close1007,
}
