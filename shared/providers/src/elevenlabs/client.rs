//! The adapter: one request per file. It never retries and keeps no state.

use std::time::Duration;

use async_trait::async_trait;
use butt_dial_domain::ports::speech::{AudioFormat, SpeechError, SpeechSynthesis, Utterance};
use bytes::Bytes;
use reqwest::RequestBuilder;

use super::{
    API_KEY, DEFAULT_MODEL, DEFAULT_VOICE, ENDPOINT, MODEL, VOICE, errors,
    wire::{Request, Voice, code},
};
use crate::{Secret, audio, http, vendor::Credentials};

const DEADLINE: Duration = Duration::from_secs(30);
/// The sample rate. Higher rates need a larger plan.
const RATE: u32 = 24_000;
/// The faster models take 40,000 characters; synthesizing that many takes too long for a request (ElevenLabs, Models).
const MAX_CHARACTERS: usize = 10_000;
const MAX_CHARACTERS_V3: usize = 3_000;

pub struct Client {
    http: reqwest::Client,
    /// Without a trailing slash.
    endpoint: String,
    key: Secret,
    voice: String,
    model: String,
    deadline: Duration,
}

impl Client {
    /// Checks the form of the credentials. Makes no request.
    pub fn new(credentials: &Credentials, http: reqwest::Client) -> Result<Self, String> {
        let endpoint = credentials.checked_endpoint(ENDPOINT)?.to_owned();
        let key = credentials.get(API_KEY)?.clone();
        if !key.expose().bytes().all(|b| b.is_ascii_graphic()) {
            return Err(format!("{API_KEY} has characters that an API key can't have"));
        }
        let setting = |env, default| credentials.find(env).map_or(default, Secret::expose).to_owned();
        let voice = setting(VOICE, DEFAULT_VOICE);
        if !is_voice(&voice) {
            return Err(format!("{VOICE} has characters that a voice id can't have"));
        }
        Ok(Self {
            http,
            endpoint,
            key,
            voice,
            model: setting(MODEL, DEFAULT_MODEL),
            deadline: DEADLINE,
        })
    }

    /// Limits each request, from DNS resolution to the last byte of the response.
    #[must_use]
    pub fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    fn sign(&self, request: RequestBuilder) -> RequestBuilder {
        request.header("xi-api-key", self.key.expose()).timeout(self.deadline)
    }
}

/// The voice id becomes part of a path and can come from an agent.
fn is_voice(id: &str) -> bool {
    !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric())
}

#[async_trait]
impl SpeechSynthesis for Client {
    async fn synthesize(&self, utterance: &Utterance) -> Result<Bytes, SpeechError> {
        audio::check(&utterance.text, self.max_characters())?;
        let voice = utterance.voice.as_ref().unwrap_or(&self.voice);
        if !is_voice(voice) {
            return Err(errors::no_such_voice());
        }
        let format = match utterance.format {
            AudioFormat::Mp3 => "mp3_44100_128",
            AudioFormat::Ogg => "opus_48000_32",
            AudioFormat::Wav => "pcm_24000",
        };
        let url = format!("{}/v1/text-to-speech/{voice}?output_format={format}", self.endpoint);
        let request = Request::new(&self.model, utterance);
        let request = self.sign(self.http.post(url)).json(&request);
        audio::finish(audio::fetch(request, errors::refused).await?, utterance.format, RATE)
    }

    fn max_characters(&self) -> usize {
        if self.model.contains("_v3") {
            MAX_CHARACTERS_V3
        } else {
            MAX_CHARACTERS
        }
    }

    /// Other voices depend on the account.
    fn voices(&self) -> Vec<String> {
        vec![self.voice.clone()]
    }

    async fn check(&self) -> Result<(), String> {
        let request = self.sign(self.http.get(format!("{}/v1/voices/{}", self.endpoint, self.voice)));
        let response = http::lookup(request, self.deadline).await;
        let response = response.map_err(|outcome| http::explain(&outcome, "ElevenLabs", ENDPOINT))?;
        match response.status.as_u16() {
            200 if serde_json::from_slice::<Voice>(&response.body).is_ok() => Ok(()),
            200 => Err(format!("the server is not ElevenLabs: check {ENDPOINT}")),
            // The key is valid but limited to text to speech.
            401 | 403 if code(&response.body).as_deref() == Some("missing_permissions") => Ok(()),
            401 | 403 => Err(format!(
                "ElevenLabs rejects the API key: create one with access to text to speech and set {API_KEY}"
            )),
            400 | 404 => Err(format!(
                "the voice does not exist at ElevenLabs: set {VOICE} to a voice of your account"
            )),
            status => Err(format!("ElevenLabs returned {status}: try again later")),
        }
    }
}
