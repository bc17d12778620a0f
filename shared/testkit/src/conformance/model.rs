//! The stories of `ports::model::LanguageModel`: an answer comes in pieces and says how it ended, whatever goes wrong has
//! its own error, and who drops an answer is not answered any more. `model_conformance!` makes a test of each.

use std::{pin::pin, sync::Arc};

use butt_dial_domain::ports::model::{CompletionStream, FinishReason, LanguageModel, ModelError, CompletionChunk, Prompt, Speaker, Turn};
use futures::{
    StreamExt,
    future::{Either, select},
};

use super::eventually;

/// What a story needs of the vendor's side: the adapter, and a far end that does as it is told.
pub trait FarEnd: Send + Sync {
    /// Connected, with a deadline of a second for every silence.
    fn model(&self) -> Arc<dyn LanguageModel>;
    /// The same, with a key that the far end does not know.
    fn with_wrong_credentials(&self) -> Arc<dyn LanguageModel>;
    /// The same, with an endpoint where nobody listens.
    fn unreachable(&self) -> Arc<dyn LanguageModel>;

    /// The next question meets this fault; those after it don't.
    fn misbehave(&self, fault: Fault);
    /// How many questions came in.
    fn requests(&self) -> u64;
    /// How many of them the far end still works on.
    fn open(&self) -> usize;
    /// How many it stopped to work on because nobody listened any more.
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
    /// So long before each piece.
    Trickle {
        delay_ms: u64,
    },
    Decline,
}

/// `model_conformance!(super::open)`, where `async fn open() -> impl FarEnd` gives a far end of its own to every story.
#[macro_export]
macro_rules! model_conformance {
    ($open:path) => {
        $crate::model_conformance! { @each $open:
            an_answer_comes_in_pieces_and_ends
            an_answer_goes_on_from_what_was_said
            an_answer_that_is_cut_is_too_long
            a_refusal_is_an_ending
            a_rate_limit_tells_when_to_come_again
            an_overload_is_told
            an_overload_in_the_middle_is_told
            a_fault_breaks_the_answer
            nothing_before_the_first_piece_is_a_stall
            nothing_more_is_a_stall
            a_slow_answer_is_whole
            an_answer_that_breaks_off_is_broken
            dropping_an_answer_cancels_it
            dropping_a_question_cancels_it
            an_unreachable_model_is_told
            wrong_credentials_are_the_operators_to_mend
            nothing_is_ever_asked_twice
            credentials_can_be_checked
        }
    };
    (@each $open:path: $($story:ident)*) => {
        mod model {
            $(
                #[tokio::test]
                async fn $story() {
                    let far_end = $open().await;
                    $crate::conformance::model::$story(&far_end).await;
                }
            )*
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

/// The texts, and how it ended. After an end or an error nothing may come.
async fn listen(mut answer: CompletionStream) -> (Vec<String>, Result<FinishReason, ModelError>) {
    let mut texts = Vec::new();
    let ending = loop {
        match answer.next().await {
            Some(Ok(CompletionChunk::Text(text))) => texts.push(text),
            Some(Ok(CompletionChunk::End(ending))) => break Ok(ending),
            Some(Err(error)) => break Err(error),
            None => panic!("it just ended, after {} pieces", texts.len()),
        }
    };
    assert!(answer.next().await.is_none(), "something came after {ending:?}");
    (texts, ending)
}

async fn complete(far_end: &impl FarEnd, prompt: &Prompt) -> (Vec<String>, Result<FinishReason, ModelError>) {
    match far_end.model().complete(prompt).await {
        Ok(answer) => listen(answer).await,
        Err(error) => (Vec::new(), Err(error)),
    }
}

async fn complete_with_fault(far_end: &impl FarEnd, fault: Fault) -> (Vec<String>, Result<FinishReason, ModelError>) {
    far_end.misbehave(fault);
    complete(far_end, &hello()).await
}

/// Until the first words.
async fn begin(far_end: &impl FarEnd) -> CompletionStream {
    let mut answer = far_end.model().complete(&hello()).await.expect("an answer");
    assert!(matches!(answer.next().await, Some(Ok(CompletionChunk::Text(_)))));
    answer
}

pub async fn an_answer_comes_in_pieces_and_ends(far_end: &impl FarEnd) {
    let (texts, ending) = complete(far_end, &hello()).await;
    assert_eq!(ending, Ok(FinishReason::Finished));
    assert!(
        texts.len() > 1 && texts.iter().all(|text| !text.is_empty()),
        "{texts:?}"
    );
    assert!(texts.concat().ends_with('?'), "{texts:?}");
    eventually("the far end has finished", async || far_end.open() == 0).await;
    assert_eq!(far_end.cancelled(), 0);
}

pub async fn an_answer_goes_on_from_what_was_said(far_end: &impl FarEnd) {
    let mut conversation = hello();
    let (first, _) = complete(far_end, &conversation).await;
    conversation.turns.push(turn(Speaker::Model, &first.concat()));
    conversation.turns.push(turn(Speaker::Person, "Ann"));
    let (second, ending) = complete(far_end, &conversation).await;
    assert_eq!(ending, Ok(FinishReason::Finished));
    assert_ne!(first.concat(), second.concat());

    conversation.system.clear();
    let (same, _) = complete(far_end, &conversation).await;
    assert_eq!(same.concat(), second.concat(), "a model that is told nothing of itself");
}

pub async fn an_answer_that_is_cut_is_too_long(far_end: &impl FarEnd) {
    let mut short = hello();
    short.max_tokens = 2;
    let (texts, ending) = complete(far_end, &short).await;
    assert_eq!(ending, Ok(FinishReason::TooLong));
    assert!(!texts.concat().is_empty());
}

pub async fn a_refusal_is_an_ending(far_end: &impl FarEnd) {
    let (_, ending) = complete_with_fault(far_end, Fault::Decline).await;
    assert_eq!(ending, Ok(FinishReason::Refused));
}

pub async fn a_rate_limit_tells_when_to_come_again(far_end: &impl FarEnd) {
    let retry_after_seconds = Some(7);
    let (_, ending) = complete_with_fault(far_end, Fault::RateLimit { retry_after: 7 }).await;
    assert_eq!(ending, Err(ModelError::Overloaded { retry_after_seconds }));
}

pub async fn an_overload_is_told(far_end: &impl FarEnd) {
    let (texts, ending) = complete_with_fault(far_end, Fault::Overloaded).await;
    let retry_after_seconds = None;
    assert_eq!(ending, Err(ModelError::Overloaded { retry_after_seconds }));
    assert!(texts.is_empty());
}

pub async fn an_overload_in_the_middle_is_told(far_end: &impl FarEnd) {
    let (texts, ending) = complete_with_fault(far_end, Fault::OverloadedMidStream).await;
    let retry_after_seconds = None;
    assert_eq!(ending, Err(ModelError::Overloaded { retry_after_seconds }));
    assert!(!texts.is_empty(), "what came before counts");
}

pub async fn a_fault_breaks_the_answer(far_end: &impl FarEnd) {
    for fault in [Fault::ServerError, Fault::Nonsense] {
        let (_, ending) = complete_with_fault(far_end, fault).await;
        assert_eq!(ending, Err(ModelError::Broken), "{fault:?}");
    }
}

pub async fn nothing_before_the_first_piece_is_a_stall(far_end: &impl FarEnd) {
    let (texts, ending) = complete_with_fault(far_end, Fault::StallBeforeAnswer).await;
    assert_eq!((texts, ending), (Vec::new(), Err(ModelError::Stalled)));
    eventually("the far end stops working", async || far_end.cancelled() == 1).await;
}

pub async fn nothing_more_is_a_stall(far_end: &impl FarEnd) {
    let (texts, ending) = complete_with_fault(far_end, Fault::StallMidStream).await;
    assert_eq!(ending, Err(ModelError::Stalled));
    assert!(!texts.is_empty());
    eventually("the far end stops working", async || far_end.cancelled() == 1).await;
}

/// The deadline is one for silences and not for answers.
pub async fn a_slow_answer_is_whole(far_end: &impl FarEnd) {
    let (whole, _) = complete(far_end, &hello()).await;
    let (texts, ending) = complete_with_fault(far_end, Fault::Trickle { delay_ms: 400 }).await;
    assert_eq!((texts.concat(), ending), (whole.concat(), Ok(FinishReason::Finished)));
}

pub async fn an_answer_that_breaks_off_is_broken(far_end: &impl FarEnd) {
    for fault in [Fault::EndMidStream, Fault::ResetMidStream] {
        let (_, ending) = complete_with_fault(far_end, fault).await;
        assert_eq!(ending, Err(ModelError::Broken), "{fault:?}");
    }
}

pub async fn dropping_an_answer_cancels_it(far_end: &impl FarEnd) {
    far_end.misbehave(Fault::StallMidStream);
    let answer = begin(far_end).await;
    assert_eq!((far_end.open(), far_end.cancelled()), (1, 0));
    drop(answer);
    eventually("the far end stops working", async || far_end.cancelled() == 1).await;
    assert_eq!(far_end.open(), 0);

    let (_, ending) = complete(far_end, &hello()).await;
    assert_eq!(ending, Ok(FinishReason::Finished), "the next one is answered");
}

pub async fn dropping_a_question_cancels_it(far_end: &impl FarEnd) {
    far_end.misbehave(Fault::StallBeforeAnswer);
    let (model, prompt) = (far_end.model(), hello());
    let asked = pin!(eventually("the far end is asked", async || far_end.open() == 1));
    match select(model.complete(&prompt), asked).await {
        Either::Left(_) => panic!("it was answered"),
        Either::Right(((), question)) => drop(question),
    }
    eventually("the far end stops working", async || far_end.cancelled() == 1).await;
}

pub async fn an_unreachable_model_is_told(far_end: &impl FarEnd) {
    let answer = far_end.unreachable().complete(&hello()).await;
    assert_eq!(answer.err(), Some(ModelError::Unreachable));
}

pub async fn wrong_credentials_are_the_operators_to_mend(far_end: &impl FarEnd) {
    let answer = far_end.with_wrong_credentials().complete(&hello()).await;
    assert!(matches!(answer.err(), Some(ModelError::Configuration(text)) if !text.is_empty()));
}

pub async fn nothing_is_ever_asked_twice(far_end: &impl FarEnd) {
    let faults = [
        Fault::RateLimit { retry_after: 0 },
        Fault::Overloaded,
        Fault::ServerError,
        Fault::Nonsense,
        Fault::EndMidStream,
        Fault::ResetMidStream,
    ];
    for (fault, before) in faults.into_iter().zip(0..) {
        complete_with_fault(far_end, fault).await.1.expect_err("a fault");
        assert_eq!(far_end.requests(), before + 1, "{fault:?}");
    }
}

pub async fn credentials_can_be_checked(far_end: &impl FarEnd) {
    assert_eq!(far_end.model().check().await, Ok(()));
    for broken in [far_end.with_wrong_credentials(), far_end.unreachable()] {
        let text = broken.check().await.expect_err("a remedy");
        assert!(!text.is_empty());
    }
    assert_eq!(far_end.requests(), 0, "a check asks nothing");
}
