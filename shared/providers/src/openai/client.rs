//! The adapter: one streamed request per completion. It never retries and keeps no state.

use std::time::Duration;

use async_trait::async_trait;
use butt_dial_domain::ports::model::{CompletionStream, LanguageModel, ModelError, Prompt};
use reqwest::RequestBuilder;

use super::{
    API_KEY, ENDPOINT, MODEL,
    chunks::Chunks,
    errors,
    wire::{Limit, Listed, Request},
};
use crate::{Secret, completion_stream, http, vendor::Credentials};

const DEADLINE: Duration = Duration::from_secs(5);

#[derive(Clone)]
pub struct Client {
    pub(super) http: reqwest::Client,
    /// Without a trailing slash.
    pub(super) endpoint: String,
    key: Secret,
    model: String,
    limit: Limit,
    pub(super) deadline: Duration,
}

impl Client {
    /// Checks the form of the credentials. Makes no request.
    pub fn new(credentials: &Credentials, http: reqwest::Client) -> Result<Self, String> {
        let endpoint = credentials.checked_endpoint(ENDPOINT)?.to_owned();
        let key = credentials.get(API_KEY)?.clone();
        if !key.expose().bytes().all(|b| b.is_ascii_graphic()) {
            return Err(format!("{API_KEY} has characters that an API key can't have"));
        }
        Ok(Self {
            http,
            limit: Limit::at(&endpoint),
            endpoint,
            key,
            model: credentials.find(MODEL).map_or("", Secret::expose).to_owned(),
            deadline: DEADLINE,
        })
    }

    /// Limits each wait: from the request to the response head, and between two chunks.
    #[must_use]
    pub fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    pub(super) fn sign(&self, request: RequestBuilder) -> RequestBuilder {
        request.bearer_auth(self.key.expose())
    }

    /// Checks the list of models, because not all compatible services support the lookup of one model.
    pub(super) async fn check_model(&self, model: &str, env: &str) -> Result<(), String> {
        let request = self.sign(self.http.get(format!("{}/models", self.endpoint)));
        let response = http::lookup(request, self.deadline).await;
        let response = response.map_err(|outcome| http::explain(&outcome, "OpenAI", ENDPOINT))?;
        match response.status.as_u16() {
            200 => match serde_json::from_slice::<Listed>(&response.body) {
                Ok(listed) if listed.data.iter().any(|known| known.id == model) => Ok(()),
                Ok(_) => Err(format!(
                    "the model {} does not exist at OpenAI: set {env}",
                    http::label(model)
                )),
                Err(_) => Err(format!("the server is not OpenAI: check {ENDPOINT}")),
            },
            401 | 403 => Err(format!(
                "OpenAI rejects the API key: create a new one and set {API_KEY}"
            )),
            status => Err(format!(
                "OpenAI returned {status}: check {ENDPOINT}, or try again later"
            )),
        }
    }
}

#[async_trait]
impl LanguageModel for Client {
    async fn complete(&self, prompt: &Prompt) -> Result<CompletionStream, ModelError> {
        let request = self.http.post(format!("{}/chat/completions", self.endpoint));
        let request = self.sign(request).json(&Request::new(&self.model, self.limit, prompt));
        completion_stream::request(request, self.deadline, errors::model, Chunks::default()).await
    }

    async fn check(&self) -> Result<(), String> {
        self.check_model(&self.model, MODEL).await
    }
}
