//! Calls outlive the programs that carry them: relays are killed and retired while somebody talks.

use std::time::{Duration, Instant};

use butt_dial_providers::simulator::calls::Call;
use serde_json::json;

use crate::support::{
    Agent, Fleet, PATIENCE, Program, Replying as _, Service, eventually, expect_once, hears, next, says,
};

const ANN: &str = "+14155550123";
const LAST_OF_THE_GREETING: &str = "Please tell me your name.";

/// Somebody calls, and the machine answers; one relay holds the call, another one is there.
async fn rings() -> (Fleet, Call) {
    let mut fleet = Fleet::gateways(1, &[]).await;
    fleet.start(Service::Relay).await;
    fleet.carriers.set_pace(0.3);
    let call = fleet.carriers.dial(ANN, &fleet.account.phone).await.unwrap();
    hears(&call, "answering").await;
    fleet.start(Service::Relay).await;
    (fleet, call)
}

async fn goes_on(call: &Call) {
    call.say("My name is Ann.").await;
    hears(call, "called back").await;
    let heard = call.heard_text();
    for once in [
        "take your call",
        "May I take a message?",
        LAST_OF_THE_GREETING,
        "What number",
    ] {
        assert_eq!(heard.matches(once).count(), 1, "{once:?} in {heard}");
    }
    assert_eq!(call.sessions().len(), 2);
    call.hang_up().await;
    assert!(call.wait_for_end(PATIENCE).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_relay_is_replaced_in_the_middle_of_a_sentence_servers() {
    let (mut fleet, call) = rings().await;
    fleet.kill_one(Service::Relay, 0).await;
    assert!(call.wait_for_sessions(2, PATIENCE).await, "{:?}", call.sessions());
    hears(&call, LAST_OF_THE_GREETING).await;
    assert!(call.wait_for_quiet(PATIENCE).await);
    goes_on(&call).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_that_is_to_end_hands_its_call_over_and_nobody_notices_servers() {
    let (mut fleet, call) = rings().await;
    hears(&call, LAST_OF_THE_GREETING).await;
    assert!(call.wait_for_quiet(PATIENCE).await);
    let _retiring = fleet.retire(Service::Relay, 0).await;
    assert!(call.wait_for_sessions(2, PATIENCE).await, "{:?}", call.sessions());
    assert!(
        !call.heard_text().contains("Sorry, I missed that"),
        "{}",
        call.heard_text()
    );
    goes_on(&call).await;
}

const GREETING: &str = "Shall I tell you a story?";
/// Until the others take care of a relay's calls, and the carrier has given its old socket up.
const UNNOTICED: Duration = Duration::from_secs(15);

/// An agent calls somebody, one relay holds the call, and another one is there.
async fn is_called(fleet: &mut Fleet, agent: &Agent) -> (Call, String) {
    fleet.start(Service::Relay).await;
    fleet.carriers.set_pace(0.3);
    let id = agent.calls(ANN, json!({ "greeting": GREETING })).await;
    let call = fleet.takes(ANN, GREETING).await;
    fleet.start(Service::Relay).await;
    (call, id)
}

/// A relay that had vanished goes on, with everything in its hands that came meanwhile, and learns that it has lost its call.
async fn is_back(frozen: &Program) {
    frozen.thaw().await;
    eventually("it lets go of its call", async || {
        frozen.event("a call's socket has ended")
    })
    .await;
}

/// One sentence a number.
fn counting(to: usize) -> String {
    let sentence = |n| format!("This is sentence-{n} of the long story.");
    (1..=to).map(sentence).collect::<Vec<_>>().join(" ")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_that_vanishes_without_a_word_is_replaced_and_has_no_say_when_it_is_back_servers() {
    let mut fleet = Fleet::gateways(1, &[]).await;
    let agent = fleet.rest().await;
    let (call, id) = is_called(&mut fleet, &agent).await;
    let (turn, ()) = tokio::join!(agent.turn(&id), says(&call, "Yes, please."));
    agent.answers(&turn, &counting(40)).await.unwrap();
    hears(&call, "sentence-3 ").await;

    let frozen = fleet.freeze(Service::Relay, 0).await;
    let begun = Instant::now();
    assert!(call.wait_for_sessions(2, UNNOTICED).await, "{:?}", call.sessions());
    println!("taken over after {:?}", begun.elapsed());
    // What the carrier had to say until then nobody has seen it say: it goes on from what was known to be heard.
    let before = call.heard_text();
    let goes_on = call
        .wait_for_speech(|heard| heard.len() > before.len() + 40, PATIENCE)
        .await
        .unwrap();
    let first = goes_on[before.len()..]
        .find("sentence-")
        .map(|at| &goes_on[before.len() + at..]);
    let first: usize = first
        .and_then(|text| text["sentence-".len()..].split(' ').next()?.parse().ok())
        .unwrap();
    assert!((3..=5).contains(&first), "goes on from {first}: {goes_on}");

    is_back(&frozen).await;
    call.barge_in_after(0, "Stop, please.").await;
    let turn = agent.turn(&id).await;
    assert_eq!(turn["text"], "Stop, please.", "{turn}");
    assert_eq!(turn["turnId"], "2", "nobody else counted turns: {turn}");
    agent.answers(&turn, "I have stopped.").await.unwrap();
    hears(&call, "I have stopped.").await;
    expect_once(&call, &["AI assistant", GREETING, "I have stopped."]);
    assert_eq!(call.sessions().len(), 2, "{:?}", call.sessions());
    call.hang_up().await;
    let seen = agent.ended_call(&id).await;
    assert_eq!(
        (&seen["status"], &seen["turns"]),
        (&json!("completed"), &json!(2)),
        "{seen}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_said_into_a_relay_that_vanished_is_nobodys_turn_servers() {
    let mut fleet = Fleet::gateways(1, &[]).await;
    let agent = fleet.rest().await;
    let (call, id) = is_called(&mut fleet, &agent).await;
    assert!(call.wait_for_quiet(PATIENCE).await);
    let frozen = fleet.freeze(Service::Relay, 0).await;
    // Nobody hears it; who comes to take the call hears what is said then.
    call.say("Is anybody there?").await;
    assert!(call.wait_for_sessions(2, UNNOTICED).await, "{:?}", call.sessions());
    // Whoever waits for a turn would get one from both. With a key it may be said again, should only the frozen one have it.
    let words = json!({ "callId": id, "text": "Are you still there?", "idempotencyKey": "once", "waitMs": 9_000 });
    let (replied, ()) = tokio::join!(agent.call("comms_call_reply", words), async {
        hears(&call, "Are you still there?").await;
        is_back(&frozen).await;
        says(&call, "Hello?").await;
    });
    let turn = next(replied);
    assert_eq!(
        (&turn["text"], &turn["turnId"]),
        (&json!("Hello?"), &json!("1")),
        "{turn}"
    );
    agent.answers(&turn, "Here I am.").await.unwrap();
    hears(&call, "Here I am.").await;
    call.hang_up().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_whose_gateway_dies_gets_its_turn_from_another_servers() {
    let mut fleet = Fleet::gateways(2, &[]).await;
    let agent = fleet.rest().await;
    let (call, id) = is_called(&mut fleet, &agent).await;
    let (turn, ()) = tokio::join!(agent.turn(&id), says(&call, "Yes, please."));
    let doomed = fleet.gateways.only(0);
    let answer = json!({ "turnId": turn["turnId"], "text": "Once upon a time.", "waitMs": 9_000 });
    let parked = doomed
        .post(&format!("/api/v1/calls/{id}/reply"), &answer)
        .bearer_auth(&fleet.account.token);
    // When its words are heard, it waits for what is said next.
    let (broken, ()) = tokio::join!(parked.try_reply(), async {
        hears(&call, "Once upon a time.").await;
        fleet.kill(0).await;
    });
    assert!(broken.is_none(), "{broken:?}");
    says(&call, "And then?").await;
    let turn = agent.turn(&id).await;
    assert_eq!(
        (&turn["text"], &turn["turnId"]),
        (&json!("And then?"), &json!("2")),
        "{turn}"
    );
    agent.answers(&turn, "That was all.").await.unwrap();
    hears(&call, "That was all.").await;
    expect_once(&call, &["AI assistant", GREETING, "Once upon a time.", "That was all."]);
    call.hang_up().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_goodbye_whose_relay_is_killed_is_said_to_its_end_and_ends_the_call_servers() {
    let mut fleet = Fleet::gateways(1, &[]).await;
    let agent = fleet.rest().await;
    let (call, id) = is_called(&mut fleet, &agent).await;
    let goodbye = json!({ "callId": id, "text": format!("{} Goodbye.", counting(4)) });
    agent.call("comms_end_call", goodbye).await.unwrap();
    hears(&call, "sentence-2 ").await;
    fleet.kill_one(Service::Relay, 0).await;
    hears(&call, "Goodbye.").await;
    assert!(call.wait_for_end(PATIENCE).await, "{:#?}", call.transcript());
    assert_eq!(call.sessions().len(), 2, "{:?}", call.sessions());
    expect_once(
        &call,
        &[
            "AI assistant",
            GREETING,
            "sentence-1 of the long story.",
            "sentence-4 of the long story.",
        ],
    );
    assert_eq!(agent.ended_call(&id).await["status"], "completed");
}
