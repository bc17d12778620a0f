//! What is written down of a call. Times are milliseconds of the call's own time, whatever pace it runs at.

use serde::{Deserialize, Serialize};

/// One thing that the person on the line heard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HeardSound {
    /// When it was over.
    pub at_ms: u64,
    pub sound: Sound,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Sound {
    /// One word, to its end. A word that was cut is none.
    Word(String),
    /// A sound file.
    File(String),
    /// Tones.
    Keys(String),
    Beep,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Speaker {
    Person,
    /// What of our words the person heard.
    Us,
    /// What the carrier did: nothing that is heard.
    Carrier,
}

/// One line of the call's transcript.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TranscriptLine {
    pub at_ms: u64,
    pub who: Speaker,
    pub text: String,
}

/// A conversation's socket, one after the other on the same call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Session {
    /// The carrier's id.
    pub id: String,
    pub url: String,
    pub opened_ms: u64,
    pub ended_ms: Option<u64>,
    /// The carrier's word: `ended`, `failed`, `completed`; `redirected` where nobody is told.
    pub outcome: Option<String>,
    pub error_code: Option<u32>,
}

/// Something that was recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SimulatedRecording {
    pub id: String,
    /// What the person said into it.
    pub text: String,
}

/// How a conversation's socket gets lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SocketDrop {
    /// The connection is reset; the carrier notices at once.
    Reset,
    /// Nothing passes any more in either direction, and nobody notices.
    BlackHole,
    /// The carrier closes it normally, out of the blue.
    Close1000,
    /// The carrier closes it for frames that it could not read.
    Close1007,
}
