//! The conformance suite of `ports::model::LanguageModel`: a completion is streamed with a finish reason, every failure
//! has its error, and dropping a stream cancels the request. `model_conformance!` makes a test of each story.

use std::{pin::pin, sync::Arc};

use butt_dial_domain::ports::model::{
    CompletionChunk, CompletionStream, FinishReason, LanguageModel, ModelError, Prompt, Speaker, Turn,
};
use futures::{
    StreamExt,
    future::{Either, select},
};

use super::eventually;

/// The adapter under test, connected to a simulated vendor with fault injection.
pub trait TestVendor: Send + Sync {
    /// Returns the adapter, with a stall time-out of one second.
    fn model(&self) -> Arc<dyn LanguageModel>;
    /// Returns the adapter with a key that the vendor does not know.
    fn with_wrong_credentials(&self) -> Arc<dyn LanguageModel>;
    /// Returns the adapter with an endpoint without a server.
    fn unreachable(&self) -> Arc<dyn LanguageModel>;

    /// Injects a fault into the next request only.
    fn fail_next(&self, fault: Fault);
    /// Returns the number of completion requests.
    fn requests(&self) -> u64;
    /// Returns the number of requests in progress at the vendor.
    fn open(&self) -> usize;
    /// Returns the number of requests that the vendor has cancelled because the client was gone.
    fn cancelled(&self) -> usize;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    RateLimit {
        retry_after: u64,
    },
    Overloaded,
    ServerError,
    Nonsense,
    StallBeforeAnswer,
    StallMidStream,
    OverloadedMidStream,
    EndMidStream,
    ResetMidStream,
    /// A delay before each chunk.
    Trickle {
        delay_ms: u64,
    },
    Decline,
}

/// `model_conformance!(super::open)`, where `async fn open() -> impl TestVendor` starts a separate vendor for every story.
#[macro_export]
macro_rules! model_conformance {
    ($open:path) => {
        mod model {
            $crate::conforms! {
                #[tokio::test]
                [model], vendor = $open() => &vendor;
                streams_completion_to_end
                continues_from_earlier_turns
                reports_truncated_completion
                reports_refusal_as_finish_reason
                returns_retry_after_on_rate_limit
                reports_overload
                reports_overload_mid_stream
                maps_server_error_to_broken
                reports_stall_before_first_chunk
                reports_stall_mid_stream
                reads_slow_completion_completely
                reports_interrupted_stream_as_broken
                dropped_stream_cancels_request
                dropped_request_is_cancelled
                reports_unreachable_model
                maps_wrong_credentials_to_configuration
                never_repeats_request
                checks_credentials
            }
        }
    };
}

const SYSTEM: &str = "You are an answering machine. Take a message.";

fn turn(speaker: Speaker, text: &str) -> Turn {
    let text = text.to_owned();
    Turn { speaker, text }
}

fn prompt(turns: Vec<Turn>) -> Prompt {
    Prompt {
        system: SYSTEM.to_owned(),
        turns,
        max_tokens: 150,
    }
}

fn hello() -> Prompt {
    prompt(vec![turn(Speaker::Person, "Hello? é 👍")])
}

/// Reads the stream to its end. Asserts that no chunk follows an end or an error.
async fn read(mut answer: CompletionStream) -> (Vec<String>, Result<FinishReason, ModelError>) {
    let mut texts = Vec::new();
    let ending = loop {
        match answer.next().await {
            Some(Ok(CompletionChunk::Text(text))) => texts.push(text),
            Some(Ok(CompletionChunk::End(ending))) => break Ok(ending),
            Some(Err(error)) => break Err(error),
            None => panic!("the stream ended without a finish reason after {} chunks", texts.len()),
        }
    };
    assert!(answer.next().await.is_none(), "a chunk follows {ending:?}");
    (texts, ending)
}

async fn complete(vendor: &impl TestVendor, prompt: &Prompt) -> (Vec<String>, Result<FinishReason, ModelError>) {
    match vendor.model().complete(prompt).await {
        Ok(answer) => read(answer).await,
        Err(error) => (Vec::new(), Err(error)),
    }
}

async fn complete_with_fault(
    vendor: &impl TestVendor,
    fault: Fault,
) -> (Vec<String>, Result<FinishReason, ModelError>) {
    vendor.fail_next(fault);
    complete(vendor, &hello()).await
}

/// Starts a completion and reads its first text.
async fn start(vendor: &impl TestVendor) -> CompletionStream {
    let mut answer = vendor.model().complete(&hello()).await.expect("an answer");
    assert!(matches!(answer.next().await, Some(Ok(CompletionChunk::Text(_)))));
    answer
}

pub async fn streams_completion_to_end(vendor: &impl TestVendor) {
    let (texts, ending) = complete(vendor, &hello()).await;
    assert_eq!(ending, Ok(FinishReason::Finished));
    assert!(
        texts.len() > 1 && texts.iter().all(|text| !text.is_empty()),
        "{texts:?}"
    );
    assert!(texts.concat().ends_with('?'), "{texts:?}");
    eventually("the vendor finishes", async || vendor.open() == 0).await;
    assert_eq!(vendor.cancelled(), 0);
}

pub async fn continues_from_earlier_turns(vendor: &impl TestVendor) {
    let mut conversation = hello();
    let (first, _) = complete(vendor, &conversation).await;
    conversation.turns.push(turn(Speaker::Model, &first.concat()));
    conversation.turns.push(turn(Speaker::Person, "Ann"));
    let (second, ending) = complete(vendor, &conversation).await;
    assert_eq!(ending, Ok(FinishReason::Finished));
    assert_ne!(first.concat(), second.concat());

    conversation.system.clear();
    let (same, _) = complete(vendor, &conversation).await;
    assert_eq!(same.concat(), second.concat(), "an empty system prompt changes nothing");
}

pub async fn reports_truncated_completion(vendor: &impl TestVendor) {
    let mut short = hello();
    short.max_tokens = 2;
    let (texts, ending) = complete(vendor, &short).await;
    assert_eq!(ending, Ok(FinishReason::TooLong));
    assert!(!texts.concat().is_empty());
}

pub async fn reports_refusal_as_finish_reason(vendor: &impl TestVendor) {
    let (_, ending) = complete_with_fault(vendor, Fault::Decline).await;
    assert_eq!(ending, Ok(FinishReason::Refused));
}

pub async fn returns_retry_after_on_rate_limit(vendor: &impl TestVendor) {
    let retry_after_seconds = Some(7);
    let (_, ending) = complete_with_fault(vendor, Fault::RateLimit { retry_after: 7 }).await;
    assert_eq!(ending, Err(ModelError::Overloaded { retry_after_seconds }));
}

pub async fn reports_overload(vendor: &impl TestVendor) {
    let (texts, ending) = complete_with_fault(vendor, Fault::Overloaded).await;
    let retry_after_seconds = None;
    assert_eq!(ending, Err(ModelError::Overloaded { retry_after_seconds }));
    assert!(texts.is_empty());
}

pub async fn reports_overload_mid_stream(vendor: &impl TestVendor) {
    let (texts, ending) = complete_with_fault(vendor, Fault::OverloadedMidStream).await;
    let retry_after_seconds = None;
    assert_eq!(ending, Err(ModelError::Overloaded { retry_after_seconds }));
    assert!(!texts.is_empty(), "the text before the error is returned");
}

pub async fn maps_server_error_to_broken(vendor: &impl TestVendor) {
    for fault in [Fault::ServerError, Fault::Nonsense] {
        let (_, ending) = complete_with_fault(vendor, fault).await;
        assert_eq!(ending, Err(ModelError::Broken), "{fault:?}");
    }
}

pub async fn reports_stall_before_first_chunk(vendor: &impl TestVendor) {
    let (texts, ending) = complete_with_fault(vendor, Fault::StallBeforeAnswer).await;
    assert_eq!((texts, ending), (Vec::new(), Err(ModelError::Stalled)));
    eventually("the vendor cancels the request", async || vendor.cancelled() == 1).await;
}

pub async fn reports_stall_mid_stream(vendor: &impl TestVendor) {
    let (texts, ending) = complete_with_fault(vendor, Fault::StallMidStream).await;
    assert_eq!(ending, Err(ModelError::Stalled));
    assert!(!texts.is_empty());
    eventually("the vendor cancels the request", async || vendor.cancelled() == 1).await;
}

/// The time-out limits the gap between chunks, not the whole completion.
pub async fn reads_slow_completion_completely(vendor: &impl TestVendor) {
    let (whole, _) = complete(vendor, &hello()).await;
    let (texts, ending) = complete_with_fault(vendor, Fault::Trickle { delay_ms: 400 }).await;
    assert_eq!((texts.concat(), ending), (whole.concat(), Ok(FinishReason::Finished)));
}

pub async fn reports_interrupted_stream_as_broken(vendor: &impl TestVendor) {
    for fault in [Fault::EndMidStream, Fault::ResetMidStream] {
        let (_, ending) = complete_with_fault(vendor, fault).await;
        assert_eq!(ending, Err(ModelError::Broken), "{fault:?}");
    }
}

pub async fn dropped_stream_cancels_request(vendor: &impl TestVendor) {
    vendor.fail_next(Fault::StallMidStream);
    let answer = start(vendor).await;
    assert_eq!((vendor.open(), vendor.cancelled()), (1, 0));
    drop(answer);
    eventually("the vendor cancels the request", async || vendor.cancelled() == 1).await;
    assert_eq!(vendor.open(), 0);

    let (_, ending) = complete(vendor, &hello()).await;
    assert_eq!(ending, Ok(FinishReason::Finished), "the next request succeeds");
}

pub async fn dropped_request_is_cancelled(vendor: &impl TestVendor) {
    vendor.fail_next(Fault::StallBeforeAnswer);
    let (model, prompt) = (vendor.model(), hello());
    let received = pin!(eventually("the vendor receives the request", async || vendor.open() == 1));
    match select(model.complete(&prompt), received).await {
        Either::Left(_) => panic!("the request completed"),
        Either::Right(((), request)) => drop(request),
    }
    eventually("the vendor cancels the request", async || vendor.cancelled() == 1).await;
}

pub async fn reports_unreachable_model(vendor: &impl TestVendor) {
    let answer = vendor.unreachable().complete(&hello()).await;
    assert_eq!(answer.err(), Some(ModelError::Unreachable));
}

pub async fn maps_wrong_credentials_to_configuration(vendor: &impl TestVendor) {
    let answer = vendor.with_wrong_credentials().complete(&hello()).await;
    assert!(matches!(answer.err(), Some(ModelError::Configuration(text)) if !text.is_empty()));
}

pub async fn never_repeats_request(vendor: &impl TestVendor) {
    let faults = [
        Fault::RateLimit { retry_after: 0 },
        Fault::Overloaded,
        Fault::ServerError,
        Fault::Nonsense,
        Fault::EndMidStream,
        Fault::ResetMidStream,
    ];
    for (fault, before) in faults.into_iter().zip(0..) {
        complete_with_fault(vendor, fault).await.1.expect_err("a fault");
        assert_eq!(vendor.requests(), before + 1, "{fault:?}");
    }
}

pub async fn checks_credentials(vendor: &impl TestVendor) {
    assert_eq!(vendor.model().check().await, Ok(()));
    for broken in [vendor.with_wrong_credentials(), vendor.unreachable()] {
        let text = broken.check().await.expect_err("an error");
        assert!(!text.is_empty());
    }
    assert_eq!(vendor.requests(), 0, "a check requests no completion");
}
