//! The adapter: one streamed request per completion. It never retries and keeps no state.

use std::time::Duration;

use async_trait::async_trait;
use butt_dial_domain::ports::model::{CompletionStream, LanguageModel, ModelError, Prompt};
use reqwest::RequestBuilder;

use super::{
    API_KEY, DEFAULT_MODEL, ENDPOINT, MODEL, errors,
    events::Events,
    wire::{KnownModel, Request},
};
use crate::{Secret, completion_stream, http, vendor::Credentials};

const DEADLINE: Duration = Duration::from_secs(5);
/// The only version since 2023 (Anthropic, API versioning).
const VERSION: &str = "2023-06-01";

pub struct Client {
    http: reqwest::Client,
    /// Without a trailing slash.
    endpoint: String,
    key: Secret,
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
        let model = credentials.find(MODEL).map_or(DEFAULT_MODEL, Secret::expose).to_owned();
        // The model id becomes part of a path.
        if !model.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.@".contains(&b)) {
            return Err(format!("{MODEL} has characters that a model id can't have"));
        }
        Ok(Self {
            http,
            endpoint,
            key,
            model,
            deadline: DEADLINE,
        })
    }

    /// Limits each wait: from the request to the response head, and between two chunks.
    #[must_use]
    pub fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    fn sign(&self, request: RequestBuilder) -> RequestBuilder {
        request
            .header("x-api-key", self.key.expose())
            .header("anthropic-version", VERSION)
    }
}

#[async_trait]
impl LanguageModel for Client {
    async fn complete(&self, prompt: &Prompt) -> Result<CompletionStream, ModelError> {
        let request = self.http.post(format!("{}/v1/messages", self.endpoint));
        let request = self.sign(request).json(&Request::new(&self.model, prompt));
        completion_stream::request(request, self.deadline, errors::refused, Events::default()).await
    }

    async fn check(&self) -> Result<(), String> {
        let url = format!("{}/v1/models/{}", self.endpoint, self.model);
        let response = http::lookup(self.sign(self.http.get(url)), self.deadline).await;
        let response = response.map_err(|outcome| http::explain(&outcome, "Anthropic", ENDPOINT))?;
        match response.status.as_u16() {
            200 if serde_json::from_slice::<KnownModel>(&response.body).is_ok() => Ok(()),
            200 => Err(format!("the server is not Anthropic: check {ENDPOINT}")),
            401 | 403 => Err(format!(
                "Anthropic rejects the API key: create a new one in the console and set {API_KEY}"
            )),
            404 => Err(format!(
                "the model {} does not exist at Anthropic: set {MODEL}",
                http::label(&self.model)
            )),
            status => Err(format!("Anthropic returned {status}: try again later")),
        }
    }
}
