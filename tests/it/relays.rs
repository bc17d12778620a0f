//! Calls outlive the programs that carry them: relays are killed and retired while somebody talks.

use butt_dial_providers::simulator::calls::Call;

use crate::support::{Fleet, PATIENCE, Service};

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

async fn hears(call: &Call, text: &str) {
    let heard = call.wait_for_speech(|heard| heard.contains(text), PATIENCE).await;
    assert!(heard.is_some(), "{text:?} was not heard: {:#?}", call.transcript());
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
