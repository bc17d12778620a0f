//! The adapter: one request per recording. It never retries and keeps no state.

use std::time::Duration;

use async_trait::async_trait;
use butt_dial_domain::ports::{
    speech::SpeechError,
    transcription::{Recording, Transcript, Transcription},
};
use reqwest::{RequestBuilder, header};
use url::Url;

use super::{
    API_KEY, DEFAULT_MODEL, ENDPOINT, MODEL, errors,
    wire::{Projects, Response},
};
use crate::{Secret, audio, http, vendor::Credentials};

const DEADLINE: Duration = Duration::from_secs(30);
/// Deepgram takes 2 GB. Voice notes are far smaller, and a larger file would not be done within the deadline.
const MAX_BYTES: usize = 25 * 1024 * 1024;

pub struct Client {
    http: reqwest::Client,
    listen: Url,
    projects: String,
    key: Secret,
    deadline: Duration,
}

impl Client {
    /// Checks the form of the credentials. Makes no request.
    pub fn new(credentials: &Credentials, http: reqwest::Client) -> Result<Self, String> {
        let endpoint = credentials.checked_endpoint(ENDPOINT)?;
        let key = credentials.get(API_KEY)?.clone();
        if !key.expose().bytes().all(|b| b.is_ascii_graphic()) {
            return Err(format!("{API_KEY} has characters that an API key can't have"));
        }
        let model = credentials.find(MODEL).map_or(DEFAULT_MODEL, Secret::expose);
        let mut listen =
            Url::parse(&format!("{endpoint}/v1/listen")).map_err(|_| format!("{ENDPOINT} is not a URL"))?;
        listen
            .query_pairs_mut()
            .append_pair("model", model)
            .append_pair("smart_format", "true");
        Ok(Self {
            http,
            listen,
            projects: format!("{endpoint}/v1/projects"),
            key,
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
        let token = format!("Token {}", self.key.expose());
        request.header(header::AUTHORIZATION, token).timeout(self.deadline)
    }
}

#[async_trait]
impl Transcription for Client {
    async fn transcribe(&self, recording: &Recording) -> Result<Transcript, SpeechError> {
        audio::check_recording(&recording.bytes, MAX_BYTES)?;
        let mut url = self.listen.clone();
        match &recording.language {
            Some(language) => url.query_pairs_mut().append_pair("language", language),
            None => url.query_pairs_mut().append_pair("detect_language", "true"),
        };
        let request = self.sign(self.http.post(url));
        let request = request
            .header(header::CONTENT_TYPE, &recording.content_type)
            .body(recording.bytes.clone());
        let response = audio::fetch(request, errors::refused).await?;
        let said: Response = serde_json::from_slice(&response.body).map_err(|_| SpeechError::Unreachable)?;
        said.transcript(recording.language.as_deref())
            .ok_or(SpeechError::Unreachable)
    }

    fn max_bytes(&self) -> usize {
        MAX_BYTES
    }

    async fn check(&self) -> Result<(), String> {
        let response = http::lookup(self.sign(self.http.get(&self.projects)), self.deadline).await;
        let response = response.map_err(|outcome| http::explain(&outcome, "Deepgram", ENDPOINT))?;
        match response.status.as_u16() {
            200 if serde_json::from_slice::<Projects>(&response.body).is_ok() => Ok(()),
            200 => Err(format!("the server is not Deepgram: check {ENDPOINT}")),
            // The key is valid, and may not list projects.
            403 => Ok(()),
            401 => Err(format!(
                "Deepgram rejects the API key: create a new one and set {API_KEY}"
            )),
            status => Err(format!("Deepgram returned {status}: try again later")),
        }
    }
}
