//! Anthropic's JSON for messages and its events (Anthropic, Messages API; Streaming messages).

use butt_dial_domain::ports::model::{CompletionChunk, FinishReason, ModelError, Prompt, Speaker};
use serde::{Deserialize, Serialize};
use sse_stream::Sse;

use super::errors;
use crate::completion_stream::EventReader;

/// Omits `temperature`, `top_p` and `top_k`, because newer models refuse requests that have them.
#[derive(Serialize)]
pub struct Request<'a> {
    model: &'a str,
    max_tokens: u32,
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    system: Option<[System<'a>; 1]>,
    messages: Vec<Message<'a>>,
}

#[derive(Serialize)]
struct System<'a> {
    r#type: &'static str,
    text: &'a str,
    /// The system prompt is the same for all turns of a call, so the API can cache it.
    cache_control: CacheControl,
}

#[derive(Serialize)]
struct CacheControl {
    r#type: &'static str,
}

#[derive(Serialize)]
struct Message<'a> {
    role: &'static str,
    content: &'a str,
}

impl<'a> Request<'a> {
    pub fn new(model: &'a str, prompt: &'a Prompt) -> Self {
        let system = System {
            r#type: "text",
            text: &prompt.system,
            cache_control: CacheControl { r#type: "ephemeral" },
        };
        let turns = prompt.turns.iter();
        let messages = turns.map(|turn| Message {
            role: match turn.speaker {
                Speaker::Person => "user",
                Speaker::Model => "assistant",
            },
            content: &turn.text,
        });
        Self {
            model,
            max_tokens: prompt.max_tokens,
            stream: true,
            system: (!prompt.system.is_empty()).then_some([system]),
            messages: messages.collect(),
        }
    }
}

/// A model, as `GET /v1/models/{id}` returns it.
#[derive(Serialize, Deserialize)]
pub struct KnownModel {
    pub id: String,
    pub display_name: String,
}

#[derive(Serialize, Deserialize)]
pub struct ErrorBody {
    pub error: Detail,
}

#[derive(Serialize, Deserialize)]
pub struct Detail {
    pub r#type: String,
    #[serde(default)]
    pub message: String,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Event {
    ContentBlockStart {
        content_block: Block,
    },
    ContentBlockDelta {
        delta: Block,
    },
    MessageDelta {
        delta: Stop,
    },
    MessageStop,
    Error {
        error: Detail,
    },
    /// `ping` and event types that Anthropic may add.
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Block {
    Text {
        text: String,
    },
    TextDelta {
        text: String,
    },
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct Stop {
    stop_reason: Option<String>,
}

/// Reads the events of one completion. `message_stop` ends it; an earlier `message_delta` has the stop reason.
#[derive(Default)]
pub struct Events {
    stop_reason: Option<String>,
}

impl EventReader for Events {
    fn read(&mut self, event: &Sse) -> Result<Option<CompletionChunk>, ModelError> {
        let Some(data) = &event.data else { return Ok(None) };
        let event = serde_json::from_str(data).map_err(|_| ModelError::Broken)?;
        Ok(match event {
            Event::ContentBlockStart { content_block: block } | Event::ContentBlockDelta { delta: block } => {
                match block {
                    Block::Text { text } | Block::TextDelta { text } if !text.is_empty() => {
                        Some(CompletionChunk::Text(text))
                    }
                    _ => None,
                }
            }
            Event::MessageDelta { delta } => {
                self.stop_reason = delta.stop_reason.or(self.stop_reason.take());
                None
            }
            Event::MessageStop => Some(CompletionChunk::End(self.ending()?)),
            Event::Error { error } => return Err(errors::stream_error(&error, None)),
            Event::Other => None,
        })
    }
}

impl Events {
    fn ending(&self) -> Result<FinishReason, ModelError> {
        match self.stop_reason.as_deref() {
            Some("max_tokens" | "model_context_window_exceeded") => Ok(FinishReason::TooLong),
            Some("refusal") => Ok(FinishReason::Refused),
            // Without tools and stop sequences, the other reasons mean a normal end.
            Some(_) => Ok(FinishReason::Finished),
            None => Err(ModelError::Broken),
        }
    }
}
