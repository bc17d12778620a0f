//! The port to a transcriber, which converts a recording of speech to text.

use async_trait::async_trait;
use bytes::Bytes;

use super::speech::SpeechError;

/// A recording of a person. Must not be logged.
#[derive(Clone)]
pub struct Recording {
    pub bytes: Bytes,
    /// The content type, such as `audio/ogg`.
    pub content_type: String,
    /// BCP 47. `None`: detected by the vendor.
    pub language: Option<String>,
}

/// The words of a recording. Must not be logged.
#[derive(Clone, PartialEq, Eq)]
pub struct Transcript {
    /// Empty: no word could be recognized.
    pub text: String,
    /// The detected or the given language, BCP 47.
    pub language: Option<String>,
}

impl std::fmt::Debug for Transcript {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transcript").finish_non_exhaustive()
    }
}

/// A vendor's transcriber. Its errors are those of speech synthesis: `Refused` names the recording as their cause.
#[async_trait]
pub trait Transcription: Send + Sync {
    async fn transcribe(&self, recording: &Recording) -> Result<Transcript, SpeechError>;

    /// Returns the largest recording, in bytes.
    fn max_bytes(&self) -> usize;

    /// Verifies the key with a cheap authenticated request. The error text says how to fix the settings.
    async fn check(&self) -> Result<(), String>;
}
