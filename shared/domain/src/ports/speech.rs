//! The port to a speech synthesizer, which converts a text to an audio file.

use async_trait::async_trait;
use bytes::Bytes;

/// A text to synthesize. Contains an agent's text: must not be logged.
#[derive(Clone)]
pub struct Utterance {
    pub text: String,
    /// The vendor's name of a voice. `None`: the configured one.
    pub voice: Option<String>,
    /// BCP 47. `None`: detected by the vendor.
    pub language: Option<String>,
    pub format: AudioFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, strum::IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub enum AudioFormat {
    Mp3,
    /// Opus in Ogg, the format of voice messages in messengers.
    Ogg,
    Wav,
}

impl AudioFormat {
    /// Returns the file extension: `mp3`, `ogg` or `wav`.
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    pub fn content_type(self) -> &'static str {
        match self {
            Self::Mp3 => "audio/mpeg",
            Self::Ogg => "audio/ogg",
            Self::Wav => "audio/wav",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpeechError {
    /// The vendor is overloaded or has reached our rate limit. `retry_after_seconds` is `None` when the vendor gave no
    /// time.
    #[error("the speech synthesizer is overloaded")]
    Overloaded { retry_after_seconds: Option<u64> },
    /// The key, the account or the voice is not valid. The operator, or the agent that chose the voice, has to fix it.
    #[error("the speech synthesizer rejects the key, the account or the voice: {0}")]
    Configuration(String),
    #[error("the speech synthesizer rejects the text: {0}")]
    Refused(String),
    #[error("the speech synthesizer is unreachable")]
    Unreachable,
}

/// A vendor's speech synthesizer.
#[async_trait]
pub trait SpeechSynthesis: Send + Sync {
    /// Returns the whole file in the requested format.
    async fn synthesize(&self, utterance: &Utterance) -> Result<Bytes, SpeechError>;

    /// Returns the limit of a text, in characters.
    fn max_characters(&self) -> usize;

    /// Verifies the key with a cheap authenticated request. The error text says how to fix the settings.
    async fn check(&self) -> Result<(), String>;

    /// Lists voices that an utterance may name. Others may exist.
    fn voices(&self) -> Vec<String> {
        Vec::new()
    }
}
