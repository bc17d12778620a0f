//! OpenAI's JSON for requests, models and errors (OpenAI, API reference: Chat; Error codes).

use butt_dial_domain::ports::model::{Prompt, Speaker};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The field that limits the completion. OpenAI's newer models refuse `max_tokens`; compatible services know only that
/// one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    MaxTokens,
    MaxCompletionTokens,
}

impl Limit {
    pub fn at(endpoint: &str) -> Self {
        let url = url::Url::parse(endpoint).ok();
        let host = url.as_ref().and_then(url::Url::host_str).unwrap_or_default();
        let is_openai = [".openai.com", ".azure.com"].iter().any(|end| host.ends_with(end));
        if is_openai {
            Self::MaxCompletionTokens
        } else {
            Self::MaxTokens
        }
    }
}

#[derive(Serialize)]
pub struct Request<'a> {
    model: &'a str,
    messages: Vec<Message<'a>>,
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_completion_tokens: Option<u32>,
}

#[derive(Serialize)]
struct Message<'a> {
    role: &'static str,
    content: &'a str,
}

impl<'a> Request<'a> {
    pub fn new(model: &'a str, limit: Limit, prompt: &'a Prompt) -> Self {
        let system = Message {
            role: "system",
            content: &prompt.system,
        };
        let turns = prompt.turns.iter().map(|turn| Message {
            role: match turn.speaker {
                Speaker::Person => "user",
                Speaker::Model => "assistant",
            },
            content: &turn.text,
        });
        let system = (!prompt.system.is_empty()).then_some(system);
        Self {
            model,
            messages: system.into_iter().chain(turns).collect(),
            stream: true,
            max_tokens: (limit == Limit::MaxTokens).then_some(prompt.max_tokens),
            max_completion_tokens: (limit == Limit::MaxCompletionTokens).then_some(prompt.max_tokens),
        }
    }
}

#[derive(Serialize)]
pub struct Speech<'a> {
    pub model: &'a str,
    pub input: &'a str,
    pub voice: &'a str,
    pub response_format: &'static str,
}

/// Models, as `GET /models` returns them.
#[derive(Deserialize)]
pub struct Listed {
    pub data: Vec<KnownModel>,
}

#[derive(Deserialize)]
pub struct KnownModel {
    pub id: String,
}

#[derive(Deserialize)]
pub struct ErrorBody {
    pub error: Detail,
}

#[derive(Deserialize)]
pub struct Detail {
    #[serde(default)]
    pub message: String,
    #[serde(default)]
    pub r#type: Option<String>,
    #[serde(default)]
    pub param: Option<String>,
    /// A string from OpenAI; a number from some compatible services.
    #[serde(default)]
    pub code: Value,
}
/// The answer to a transcription request.
#[derive(Deserialize)]
pub struct Transcribed {
    pub text: String,
    /// Some models name it.
    #[serde(default)]
    pub language: Option<String>,
}
