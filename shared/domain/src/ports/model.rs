//! The port to a language model, which is the voicemail agent. An adapter streams; it never retries and never decides.

use async_trait::async_trait;
use futures::stream::BoxStream;

/// A request for a completion. Contains the caller's speech: must not be logged.
#[derive(Clone)]
pub struct Prompt {
    pub system: String,
    /// In order. The first turn is the person's.
    pub turns: Vec<Turn>,
    /// The limit of the completion, in tokens of the model.
    pub max_tokens: u32,
}

/// One utterance of a conversation.
#[derive(Clone, PartialEq, Eq)]
pub struct Turn {
    pub speaker: Speaker,
    pub text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaker {
    Person,
    Model,
}

/// A chunk of a streamed completion.
#[derive(Clone, PartialEq, Eq)]
pub enum CompletionChunk {
    /// Text with its own white space: chunks are concatenated unchanged.
    Text(String),
    /// The end of the completion. No chunk follows.
    End(FinishReason),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FinishReason {
    Finished,
    /// The completion was truncated at `max_tokens`.
    TooLong,
    /// The model, or a content filter, refused to answer.
    Refused,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    /// The vendor is overloaded or has reached our rate limit. `retry_after_seconds` is `None` when the vendor gave no
    /// time.
    #[error("the language model is overloaded")]
    Overloaded { retry_after_seconds: Option<u64> },
    /// The key, the account or the model is not valid. The operator has to fix the settings.
    #[error("the language model rejects the key, the account or the model: {0}")]
    Configuration(String),
    #[error("the language model rejects the request: {0}")]
    Refused(String),
    #[error("the language model is unreachable")]
    Unreachable,
    /// No data arrived within the adapter's deadline.
    #[error("the language model stalled")]
    Stalled,
    /// The stream ended early, or a response was not valid.
    #[error("the completion was interrupted")]
    Broken,
}

/// A streamed completion. Ends with `CompletionChunk::End` or with an error, never without either.
pub type CompletionStream = BoxStream<'static, Result<CompletionChunk, ModelError>>;

/// A vendor's language model.
#[async_trait]
pub trait LanguageModel: Send + Sync {
    /// Requests one completion. Dropping this future or the stream cancels the request at the vendor at once.
    async fn complete(&self, prompt: &Prompt) -> Result<CompletionStream, ModelError>;

    /// Verifies key and model with a cheap authenticated request. The error text says how to fix the settings.
    async fn check(&self) -> Result<(), String>;
}
