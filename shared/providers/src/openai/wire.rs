//! OpenAI's JSON for chat completions and their chunks (OpenAI, API reference: Chat; Streaming).

use butt_dial_domain::ports::model::{CompletionChunk, FinishReason, ModelError, Prompt, Speaker};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sse_stream::Sse;

use super::errors;
use crate::completion_stream::EventReader;

/// The data of the event that ends the stream.
const DONE: &str = "[DONE]";

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

#[derive(Deserialize)]
struct Chunk {
    #[serde(default)]
    choices: Vec<Choice>,
    error: Option<Detail>,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(default)]
    delta: Delta,
    finish_reason: Option<String>,
}

#[derive(Default, Deserialize)]
struct Delta {
    content: Option<String>,
}

/// Reads the chunks of one completion. It ends with the finish reason, because not all services send `[DONE]`.
#[derive(Default)]
pub struct Chunks {
    /// Set when the finish reason came with the last text.
    ending: Option<FinishReason>,
}

impl EventReader for Chunks {
    fn read(&mut self, event: &Sse) -> Result<Option<CompletionChunk>, ModelError> {
        let Some(data) = event.data.as_deref().filter(|data| !data.is_empty()) else {
            return Ok(None);
        };
        if let Some(ending) = self.ending {
            return Ok(Some(CompletionChunk::End(ending)));
        }
        if data == DONE {
            // The stream ended without a finish reason.
            return Err(ModelError::Broken);
        }
        let chunk: Chunk = serde_json::from_str(data).map_err(|_| ModelError::Broken)?;
        if let Some(error) = chunk.error {
            return Err(errors::stream_error(&error));
        }
        let Some(choice) = chunk.choices.into_iter().next() else {
            return Ok(None);
        };
        let ending = choice.finish_reason.map(|reason| match reason.as_str() {
            "length" => FinishReason::TooLong,
            "content_filter" => FinishReason::Refused,
            _ => FinishReason::Finished,
        });
        match choice.delta.content.filter(|text| !text.is_empty()) {
            Some(text) => {
                self.ending = ending;
                Ok(Some(CompletionChunk::Text(text)))
            }
            None => Ok(ending.map(CompletionChunk::End)),
        }
    }

    fn ended(&mut self) -> Option<FinishReason> {
        self.ending
    }
}
