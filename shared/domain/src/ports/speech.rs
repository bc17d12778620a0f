//! The port to a speech synthesizer: a text becomes a sound file.

use async_trait::async_trait;
use bytes::Bytes;

/// What is to be spoken. Holds a text of an agent's: must not be logged.
#[derive(Clone)]
pub struct Utterance {
    pub text: String,
    /// The vendor's name of a voice; `None`: the one that is set up.
    pub voice: Option<String>,
    /// BCP 47.
    pub language: Option<String>,
    pub format: AudioFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AudioFormat {
    Mp3,
    /// Opus in Ogg: what messengers take for voice messages.
    Ogg,
    Wav,
}

impl AudioFormat {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mp3 => "mp3",
            Self::Ogg => "ogg",
            Self::Wav => "wav",
        }
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
    #[error("the speech synthesizer has too much to do")]
    Overloaded { retry_after_seconds: Option<u64> },
    /// Key, account or voice are not in order: the operator, or who chose the voice, has to act.
    #[error("the speech synthesizer refuses: {0}")]
    Configuration(String),
    #[error("the speech synthesizer does not take the text: {0}")]
    Refused(String),
    #[error("the speech synthesizer can't be reached")]
    Unreachable,
}

#[async_trait]
pub trait SpeechSynthesis: Send + Sync {
    /// The whole file, in the format that was asked for.
    async fn synthesize(&self, utterance: &Utterance) -> Result<Bytes, SpeechError>;

    /// The most characters that a text may have.
    fn max_characters(&self) -> usize;

    async fn check(&self) -> Result<(), String>;
}
