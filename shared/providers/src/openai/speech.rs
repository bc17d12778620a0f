//! The adapter for speech synthesis: one request per file. OpenAI detects the language from the text, so the request
//! has none.

use async_trait::async_trait;
use butt_dial_domain::ports::speech::{AudioFormat, SpeechError, SpeechSynthesis, Utterance};
use bytes::Bytes;

use super::{Client, DEFAULT_SPEECH_MODEL, DEFAULT_SPEECH_VOICE, SPEECH_MODEL, SPEECH_VOICE, errors, wire::Speech};
use crate::{Secret, audio, vendor::Credentials};

/// OpenAI, API reference: Create speech.
const MAX_CHARACTERS: usize = 4_096;
/// The sample rate.
const RATE: u32 = 24_000;

pub struct Speaker {
    client: Client,
    model: String,
    voice: String,
}

impl Speaker {
    pub fn new(credentials: &Credentials, client: Client) -> Self {
        let setting = |env, default| credentials.find(env).map_or(default, Secret::expose).to_owned();
        Self {
            client,
            model: setting(SPEECH_MODEL, DEFAULT_SPEECH_MODEL),
            voice: setting(SPEECH_VOICE, DEFAULT_SPEECH_VOICE),
        }
    }
}

/// The voices of the speech models (API reference, autumn 2026).
const VOICES: [&str; 13] = [
    "alloy", "ash", "ballad", "cedar", "coral", "echo", "fable", "marin", "nova", "onyx", "sage", "shimmer", "verse",
];

#[async_trait]
impl SpeechSynthesis for Speaker {
    async fn synthesize(&self, utterance: &Utterance) -> Result<Bytes, SpeechError> {
        audio::check(&utterance.text, MAX_CHARACTERS)?;
        let speech = Speech {
            model: &self.model,
            input: &utterance.text,
            voice: utterance.voice.as_ref().unwrap_or(&self.voice),
            response_format: match utterance.format {
                AudioFormat::Mp3 => "mp3",
                AudioFormat::Ogg => "opus",
                AudioFormat::Wav => "pcm",
            },
        };
        let request = self.client.http.post(format!("{}/audio/speech", self.client.endpoint));
        let request = self.client.sign(request).timeout(self.client.deadline).json(&speech);
        audio::finish(audio::fetch(request, errors::speech).await?, utterance.format, RATE)
    }

    fn max_characters(&self) -> usize {
        MAX_CHARACTERS
    }

    async fn check(&self) -> Result<(), String> {
        self.client.check_model(&self.model, SPEECH_MODEL).await
    }

    fn voices(&self) -> Vec<String> {
        VOICES.map(str::to_owned).into()
    }
}
