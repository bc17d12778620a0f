//! Reads the events of a streamed message (Anthropic, Streaming messages).

use butt_dial_domain::ports::model::{CompletionChunk, FinishReason, ModelError};
use serde::Deserialize;
use sse_stream::Sse;

use super::{errors, wire::Detail};
use crate::completion_stream::EventReader;

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
