//! The port to a language model: the mind of the answering machine. An adapter streams; it never retries and never decides.

use async_trait::async_trait;
use futures::stream::BoxStream;

/// What the model is asked. Holds what people said: must not be logged.
#[derive(Clone)]
pub struct Prompt {
    pub system: String,
    /// In order; the first is the person's.
    pub turns: Vec<Turn>,
    pub max_tokens: u32,
}

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

/// A piece of the answer, as it comes.
#[derive(Clone, PartialEq, Eq)]
pub enum CompletionChunk {
    /// With its own blanks: pieces are put together as they are.
    Text(String),
    /// The answer is over.
    End(FinishReason),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FinishReason {
    Finished,
    /// It was cut at `max_tokens`.
    TooLong,
    /// The model, or a filter, did not want to answer.
    Refused,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    /// Too much to do, there or for us; whole seconds until it is worth asking again, where it was said.
    #[error("the model has too much to do")]
    Overloaded { retry_after_seconds: Option<u64> },
    /// Key, account or model are not in order: the operator has to act.
    #[error("the model refuses our account: {0}")]
    Configuration(String),
    #[error("the model does not take the request: {0}")]
    Refused(String),
    #[error("the model can't be reached")]
    Unreachable,
    /// Nothing has come for too long.
    #[error("the model says nothing")]
    Stalled,
    /// The answer broke off, or made no sense.
    #[error("the model's answer broke off")]
    Broken,
}

pub type CompletionStream = BoxStream<'static, Result<CompletionChunk, ModelError>>;

#[async_trait]
pub trait LanguageModel: Send + Sync {
    /// Asks once. Dropping the answer, or this future, cancels the request upstream at once.
    /// A stream that ends without `CompletionChunk::End` has not happened: it ends with an error then.
    async fn complete(&self, prompt: &Prompt) -> Result<CompletionStream, ModelError>;

    /// Whether key and model work: a cheap authenticated request. The text says how to mend what fails.
    async fn check(&self) -> Result<(), String>;
}
