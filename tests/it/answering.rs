//! The answering machine when its model does not do what it should: the caller always hears something sensible, and what
//! they leave is one message, whatever happened in between.

use butt_dial_providers::simulator::{
    Misbehaviour,
    calls::{Call, Sound},
};
use serde_json::Value;

use crate::support::{PATIENCE, World, expect_once, hears, says};

const ANN: &str = "+14155550123";
const MODEL: &str = "anthropic";

fn overloaded() -> Misbehaviour {
    Misbehaviour::Refuse {
        status: 529,
        code: "overloaded_error".into(),
    }
}

/// Somebody calls, nobody is there, and the machine asks who they are.
async fn is_answered(world: &World, person: &str) -> Call {
    let call = world.carriers.dial(person, &world.account.phone).await.unwrap();
    hears(&call, "your name.").await;
    call
}

/// What the machine asks for once it knows a name, to the end of the call.
async fn leaves_a_message(call: &Call) {
    for (words, then) in [
        ("+1 415 555 0123", "reason"),
        ("The boiler leaks", "best time"),
        ("After five", "Goodbye."),
    ] {
        says(call, words).await;
        hears(call, then).await;
    }
    assert!(call.wait_for_end(PATIENCE).await, "{:#?}", call.transcript());
}

/// The only message that each of these people has left.
async fn only_letters(world: &World, count: usize) -> Vec<Value> {
    let letters = world.letters(count).await;
    assert_eq!(letters.len(), count, "{letters:#?}");
    for letter in &letters {
        let same = letters.iter().filter(|other| other["callId"] == letter["callId"]);
        assert_eq!(same.count(), 1, "{letters:#?}");
    }
    letters
}

profiles! {
    with [("MODEL_TIMEOUT_SECONDS", "1")];
    async fn a_model_that_fails_once_is_asked_again_and_nobody_notices(world: &World) {
        world.carriers.set_pace(0.05);
        let faults = [
            Misbehaviour::ServerError,
            overloaded(),
            Misbehaviour::RateLimit { retry_after: None },
            Misbehaviour::Decline,
            Misbehaviour::Trickle { delay_ms: 200 },
        ];
        for fault in &faults {
            let call = is_answered(world, ANN).await;
            world.carriers.misbehave(MODEL, fault.clone(), 1);
            says(&call, "My name is Ann.").await;
            hears(&call, "called back on?").await;
            leaves_a_message(&call).await;
            expect_once(&call, &["your name.", "called back on?", "reason for your call?", "Goodbye."]);
        }
        for letter in only_letters(world, faults.len()).await {
            assert_eq!(letter["body"], "Ann called about The boiler leaks.", "{letter}");
        }
    }
}

profiles! {
    with [("MODEL_TIMEOUT_SECONDS", "1")];
    async fn a_model_that_breaks_off_is_heard_as_far_as_it_came_and_asked_again(world: &World) {
        world.carriers.set_pace(0.05);
        let faults = [
            Misbehaviour::StallMidStream,
            Misbehaviour::EndMidStream,
            Misbehaviour::ResetMidStream,
            Misbehaviour::ErrorMidStream { code: "overloaded_error".into() },
        ];
        for fault in &faults {
            let call = is_answered(world, ANN).await;
            world.carriers.misbehave(MODEL, fault.clone(), 1);
            says(&call, "My name is Ann.").await;
            hears(&call, "Thank you. What number can you").await;
            assert!(call.wait_for_quiet(PATIENCE).await);
            // A reset may overtake what was sent before it: then nothing came, and it was asked again at once.
            let is_whole = call.heard_text().contains("called back on?");
            assert!(!is_whole || *fault == Misbehaviour::ResetMidStream, "{fault:?}: {}", call.heard_text());
            if !is_whole {
                says(&call, "Hello?").await;
                hears(&call, "called back on?").await;
            }
            leaves_a_message(&call).await;
        }
        for letter in only_letters(world, faults.len()).await {
            assert_eq!(letter["body"], "Ann called about The boiler leaks.", "{letter}");
        }
    }
}

profiles! {
    with [("MODEL_TIMEOUT_SECONDS", "1")];
    async fn where_no_model_answers_the_caller_speaks_after_the_beep(world: &World) {
        world.carriers.set_pace(0.05);
        let faults = [
            Misbehaviour::ServerError,
            overloaded(),
            Misbehaviour::StallBeforeAccept,
            Misbehaviour::Decline,
            // One that nobody asks again about.
            Misbehaviour::Refuse { status: 401, code: "authentication_error".into() },
        ];
        for (n, fault) in faults.iter().enumerate() {
            let call = is_answered(world, ANN).await;
            world.carriers.misbehave(MODEL, fault.clone(), 2);
            says(&call, "My name is Ann.").await;
            hears(&call, "I can't answer that right now.").await;
            let beeps = call.wait_until(|state| state.heard.iter().any(|heard| heard.sound == Sound::Beep), PATIENCE).await;
            assert!(beeps, "{fault:?}: {:#?}", call.transcript());
            assert!(call.say("The boiler leaks.").await);
            // Some hang up after their words, others just fall silent.
            if n % 2 == 0 {
                call.hang_up().await;
            }
            assert!(call.wait_for_end(PATIENCE).await);
            assert_eq!(call.state().recordings[0].text, "The boiler leaks.");
            world.carriers.behave(MODEL);
        }
        for letter in only_letters(world, faults.len()).await {
            let transcript = letter["voiceTranscription"].as_str().unwrap();
            assert!(transcript.contains("Caller: My name is Ann."), "{letter}");
            assert_eq!(letter["attachments"].as_array().map(Vec::len), Some(1), "{letter}");
        }
    }
}

profiles! {
    with [("MODEL_TIMEOUT_SECONDS", "1")];
    async fn who_hangs_up_before_the_beep_has_left_their_words(world: &World) {
        world.carriers.set_pace(0.05);
        let call = is_answered(world, ANN).await;
        world.carriers.misbehave(MODEL, overloaded(), 2);
        says(&call, "My name is Ann.").await;
        hears(&call, "I can't answer").await;
        call.hang_up().await;
        assert!(call.wait_for_end(PATIENCE).await);
        let letters = only_letters(world, 1).await;
        assert_eq!(letters[0]["body"], "My name is Ann.");
        assert!(letters[0].get("attachments").is_none(), "{}", letters[0]);
    }
}

profiles! {
    with [("MODEL_TIMEOUT_SECONDS", "1")];
    async fn who_says_nothing_after_the_beep_is_said_goodbye(world: &World) {
        world.carriers.set_pace(0.05);
        let call = is_answered(world, ANN).await;
        world.carriers.misbehave(MODEL, overloaded(), 2);
        says(&call, "My name is Ann.").await;
        hears(&call, "leave a message after the beep.").await;
        assert!(call.wait_for_end(PATIENCE).await);
        assert!(call.heard_text().ends_with("Goodbye."), "{}", call.heard_text());
        assert!(call.state().recordings.is_empty());
        let letters = only_letters(world, 1).await;
        assert_eq!(letters[0]["body"], "My name is Ann.");
    }
}
