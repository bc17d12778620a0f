//! The adapter for transcription: one request per recording, as a form with the file (OpenAI, API reference: Create
//! transcription).

use async_trait::async_trait;
use butt_dial_domain::ports::{
    speech::SpeechError,
    transcription::{Recording, Transcript, Transcription},
};
use reqwest::header;
use uuid::Uuid;

use super::{Client, DEFAULT_TRANSCRIPTION_MODEL, TRANSCRIPTION_MODEL, errors, wire::Transcribed};
use crate::{Secret, audio, vendor::Credentials};

/// OpenAI, API reference: Create transcription.
const MAX_BYTES: usize = 25 * 1024 * 1024;

pub struct Transcriber {
    client: Client,
    model: String,
}

impl Transcriber {
    pub fn new(credentials: &Credentials, client: Client) -> Self {
        let model = credentials.find(TRANSCRIPTION_MODEL);
        Self {
            client,
            model: model.map_or(DEFAULT_TRANSCRIPTION_MODEL, Secret::expose).to_owned(),
        }
    }
}

#[async_trait]
impl Transcription for Transcriber {
    async fn transcribe(&self, recording: &Recording) -> Result<Transcript, SpeechError> {
        audio::check_recording(&recording.bytes, MAX_BYTES)?;
        let boundary = Uuid::new_v4().simple().to_string();
        let mut fields = vec![("model", self.model.as_str()), ("response_format", "json")];
        // ISO 639-1 only.
        let language = recording.language.as_deref().and_then(|tag| tag.split('-').next());
        fields.extend(language.filter(|code| code.len() == 2).map(|code| ("language", code)));
        let form = form(&boundary, &fields, recording);
        let request = self
            .client
            .http
            .post(format!("{}/audio/transcriptions", self.client.endpoint));
        let request = self
            .client
            .sign(request)
            .timeout(self.client.deadline)
            .header(
                header::CONTENT_TYPE,
                format!("multipart/form-data; boundary={boundary}"),
            )
            .body(form);
        let response = audio::fetch(request, errors::transcription).await?;
        let said: Transcribed = serde_json::from_slice(&response.body).map_err(|_| SpeechError::Unreachable)?;
        Ok(Transcript {
            text: said.text.trim().to_owned(),
            language: recording.language.clone().or(said.language),
        })
    }

    fn max_bytes(&self) -> usize {
        MAX_BYTES
    }

    async fn check(&self) -> Result<(), String> {
        self.client.check_model(&self.model, TRANSCRIPTION_MODEL).await
    }
}

/// Builds a form with a file (RFC 7578). OpenAI recognizes the format by the ending of the file's name.
fn form(boundary: &str, fields: &[(&str, &str)], recording: &Recording) -> Vec<u8> {
    let mut form = Vec::with_capacity(recording.bytes.len() + 1_024);
    for (name, value) in fields {
        let part = format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
        form.extend_from_slice(part.as_bytes());
    }
    let ending = ending(&recording.content_type);
    let head = format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"voice.{ending}\"\r\n\
         Content-Type: application/octet-stream\r\n\r\n"
    );
    form.extend_from_slice(head.as_bytes());
    form.extend_from_slice(&recording.bytes);
    form.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    form
}

fn ending(content_type: &str) -> &'static str {
    let kind = content_type.split(';').next().unwrap_or_default().trim();
    match kind {
        "audio/mpeg" | "audio/mp3" => "mp3",
        "audio/mp4" | "audio/m4a" | "audio/x-m4a" | "audio/aac" => "m4a",
        "audio/wav" | "audio/x-wav" | "audio/wave" => "wav",
        "audio/webm" => "webm",
        "audio/flac" => "flac",
        _ => "ogg",
    }
}
