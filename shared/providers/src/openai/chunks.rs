//! Reads the chunks of a streamed completion (OpenAI, API reference: Streaming).

use butt_dial_domain::ports::model::{CompletionChunk, FinishReason, ModelError};
use serde::Deserialize;
use sse_stream::Sse;

use super::{errors, wire::Detail};
use crate::completion_stream::EventReader;

/// The data of the event that ends the stream.
const DONE: &str = "[DONE]";

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
