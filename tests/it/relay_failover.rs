//! Relay failover: calls survive the kill, the drain and the freeze of their relay.

use std::time::{Duration, Instant};

use butt_dial_calls::phrases;
use butt_dial_providers::simulator::calls::Call;
use serde_json::json;

use crate::support::{
    Agent, ProcessCluster, Program, RequestExt as _, Service, WAIT_TIMEOUT, eventually, expect_heard_once, hears,
    next_turn, says,
};

const ANN: &str = "+14155550123";
const LAST_OF_THE_GREETING: &str = "Please tell me your name.";

/// Starts a call with voicemail. The first relay holds it; a second one is ready.
async fn start_voicemail_call() -> (ProcessCluster, Call) {
    let mut cluster = ProcessCluster::with_gateways(1, &[]).await;
    cluster.start(Service::Relay).await;
    cluster.carriers.set_pace(0.3);
    let call = cluster.carriers.dial(ANN, &cluster.account.phone).await.unwrap();
    hears(&call, "answering").await;
    cluster.start(Service::Relay).await;
    (cluster, call)
}

async fn expect_call_continues(call: &Call) {
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
    assert!(call.wait_for_end(WAIT_TIMEOUT).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn resumes_sentence_after_relay_kill_servers() {
    let (mut cluster, call) = start_voicemail_call().await;
    cluster.kill_service(Service::Relay, 0).await;
    assert!(call.wait_for_sessions(2, WAIT_TIMEOUT).await, "{:?}", call.sessions());
    hears(&call, LAST_OF_THE_GREETING).await;
    assert!(call.wait_for_quiet(WAIT_TIMEOUT).await);
    expect_call_continues(&call).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn drained_relay_hands_over_call_silently_servers() {
    let (mut cluster, call) = start_voicemail_call().await;
    hears(&call, LAST_OF_THE_GREETING).await;
    assert!(call.wait_for_quiet(WAIT_TIMEOUT).await);
    let _draining = cluster.retire(Service::Relay, 0).await;
    assert!(call.wait_for_sessions(2, WAIT_TIMEOUT).await, "{:?}", call.sessions());
    let missed = phrases::PromptCatalog::default().get("en-US").missed.clone();
    let (first_sentence, _) = missed.split_once('.').unwrap();
    assert!(!call.heard_text().contains(first_sentence), "{}", call.heard_text());
    expect_call_continues(&call).await;
}

const GREETING: &str = "Shall I tell you a story?";
/// Time until the other relays take over, and the carrier has closed the old socket.
const TAKEOVER_TIMEOUT: Duration = Duration::from_secs(15);

/// Calls a person. The first relay holds the call; a second one is ready.
async fn start_agent_call(cluster: &mut ProcessCluster, agent: &Agent) -> (Call, String) {
    cluster.start(Service::Relay).await;
    cluster.carriers.set_pace(0.3);
    let id = agent.make_call(ANN, json!({ "greeting": GREETING })).await;
    let call = cluster.expect_greeted_call(ANN, GREETING).await;
    cluster.start(Service::Relay).await;
    (call, id)
}

/// Resumes a frozen relay, and waits until it has noticed the loss of its call. Only its log shows that.
async fn resume_and_wait_for_release(frozen: &Program) {
    frozen.resume().await;
    eventually("the relay releases its call", async || {
        frozen.log_event("call session ended")
    })
    .await;
}

/// Returns numbered sentences.
fn numbered_sentences(to: usize) -> String {
    let sentence = |n| format!("This is sentence-{n} of the long story.");
    (1..=to).map(sentence).collect::<Vec<_>>().join(" ")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replaces_and_fences_frozen_relay_servers() {
    let mut cluster = ProcessCluster::with_gateways(1, &[]).await;
    let agent = cluster.rest().await;
    let (call, id) = start_agent_call(&mut cluster, &agent).await;
    let (turn, ()) = tokio::join!(agent.attend(&id), says(&call, "Yes, please."));
    agent.reply_to_turn(&turn, &numbered_sentences(40)).await.unwrap();
    hears(&call, "sentence-3 ").await;

    let frozen = cluster.freeze(Service::Relay, 0).await;
    let started = Instant::now();
    assert!(
        call.wait_for_sessions(2, TAKEOVER_TIMEOUT).await,
        "{:?}",
        call.sessions()
    );
    println!("takeover after {:?}", started.elapsed());
    // The new relay does not know what the carrier played meanwhile, so it resumes from the last reported position.
    let before = call.heard_text();
    let heard = call
        .wait_for_speech(|heard| heard.len() > before.len() + 40, WAIT_TIMEOUT)
        .await
        .unwrap();
    let first = heard[before.len()..]
        .find("sentence-")
        .map(|at| &heard[before.len() + at..]);
    let first: usize = first
        .and_then(|text| text["sentence-".len()..].split(' ').next()?.parse().ok())
        .unwrap();
    assert!((3..=5).contains(&first), "resumes from {first}: {heard}");

    resume_and_wait_for_release(&frozen).await;
    call.barge_in_after(0, "Stop, please.").await;
    let turn = agent.attend(&id).await;
    assert_eq!(turn["text"], "Stop, please.", "{turn}");
    assert_eq!(turn["turnId"], "2", "no other relay counted turns: {turn}");
    agent.reply_to_turn(&turn, "I have stopped.").await.unwrap();
    hears(&call, "I have stopped.").await;
    expect_heard_once(&call, &["AI assistant", GREETING, "I have stopped."]);
    assert_eq!(call.sessions().len(), 2, "{:?}", call.sessions());
    call.hang_up().await;
    let record = agent.wait_for_call_end(&id).await;
    assert_eq!(
        (&record["status"], &record["turns"]),
        (&json!("completed"), &json!(2)),
        "{record}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn discards_speech_received_by_frozen_relay_servers() {
    let mut cluster = ProcessCluster::with_gateways(1, &[]).await;
    let agent = cluster.rest().await;
    let (call, id) = start_agent_call(&mut cluster, &agent).await;
    assert!(call.wait_for_quiet(WAIT_TIMEOUT).await);
    let frozen = cluster.freeze(Service::Relay, 0).await;
    // The frozen relay receives it. The new relay hears only later speech.
    call.say("Are you there?").await;
    assert!(
        call.wait_for_sessions(2, TAKEOVER_TIMEOUT).await,
        "{:?}",
        call.sessions()
    );
    // Both relays would offer a turn. With an idempotency key, the reply may be repeated in case only the frozen relay
    // got it.
    let reply = json!({ "callId": id, "text": "Are you still there?", "idempotencyKey": "once", "waitMs": 9_000 });
    let (replied, ()) = tokio::join!(agent.call("comms_call_reply", reply), async {
        hears(&call, "Are you still there?").await;
        resume_and_wait_for_release(&frozen).await;
        says(&call, "Hello?").await;
    });
    let turn = next_turn(replied);
    assert_eq!(
        (&turn["text"], &turn["turnId"]),
        (&json!("Hello?"), &json!("1")),
        "{turn}"
    );
    agent.reply_to_turn(&turn, "Here I am.").await.unwrap();
    hears(&call, "Here I am.").await;
    call.hang_up().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn agent_continues_call_after_gateway_kill_servers() {
    let mut cluster = ProcessCluster::with_gateways(2, &[]).await;
    let agent = cluster.rest().await;
    let (call, id) = start_agent_call(&mut cluster, &agent).await;
    let (turn, ()) = tokio::join!(agent.attend(&id), says(&call, "Yes, please."));
    let gateway = cluster.gateways.only(0);
    let answer = json!({ "turnId": turn["turnId"], "text": "Once upon a time.", "waitMs": 9_000 });
    let parked = gateway
        .post(&format!("/api/v1/calls/{id}/reply"), &answer)
        .bearer_auth(&cluster.account.token);
    // Once its text is heard, the request waits for the next turn.
    let (response, ()) = tokio::join!(parked.try_reply(), async {
        hears(&call, "Once upon a time.").await;
        cluster.kill_entry(0).await;
    });
    assert!(response.is_none(), "{response:?}");
    says(&call, "And then?").await;
    let turn = agent.attend(&id).await;
    assert_eq!(
        (&turn["text"], &turn["turnId"]),
        (&json!("And then?"), &json!("2")),
        "{turn}"
    );
    agent.reply_to_turn(&turn, "That was all.").await.unwrap();
    hears(&call, "That was all.").await;
    expect_heard_once(&call, &["AI assistant", GREETING, "Once upon a time.", "That was all."]);
    call.hang_up().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn finishes_goodbye_after_relay_kill_servers() {
    let mut cluster = ProcessCluster::with_gateways(1, &[]).await;
    let agent = cluster.rest().await;
    let (call, id) = start_agent_call(&mut cluster, &agent).await;
    let goodbye = json!({ "callId": id, "text": format!("{} Goodbye.", numbered_sentences(4)) });
    agent.call("comms_end_call", goodbye).await.unwrap();
    hears(&call, "sentence-2 ").await;
    cluster.kill_service(Service::Relay, 0).await;
    hears(&call, "Goodbye.").await;
    assert!(call.wait_for_end(WAIT_TIMEOUT).await, "{:#?}", call.transcript());
    assert_eq!(call.sessions().len(), 2, "{:?}", call.sessions());
    expect_heard_once(
        &call,
        &[
            "AI assistant",
            GREETING,
            "sentence-1 of the long story.",
            "sentence-4 of the long story.",
        ],
    );
    assert_eq!(agent.wait_for_call_end(&id).await["status"], "completed");
}
