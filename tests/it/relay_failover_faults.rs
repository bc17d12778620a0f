//! Further faults during takeover: the carrier stalls or rejects, the call was transferred, Redis has lost its data.

use std::time::Duration;

use butt_dial_domain::{CallId, ReplicaId, keys};
use butt_dial_providers::simulator::calls::{Call, CalleeBehavior};
use butt_dial_testkit::proxy::Proxy;
use serde_json::json;

use crate::support::{
    Agent, ProcessCluster, Program, Service, WAIT_TIMEOUT, eventually, expect_carrier_action, expect_heard_once, hears,
    says,
};

const ANN: &str = "+14155550123";
const BEN: &str = "+14155550125";
const BOB: &str = "+14155550124";
const GREETING: &str = "Shall I tell you a story?";
/// Time until the other relays take over, and the carrier has closed the old socket.
const TAKEOVER_TIMEOUT: Duration = Duration::from_secs(15);
const TAKEOVER_RETRY: &str = "takeover of an orphaned call failed: it is repeated";

async fn start_call(cluster: &ProcessCluster, agent: &Agent, person: &str) -> (Call, String) {
    cluster.carriers.set_pace(0.3);
    let id = agent.make_call(person, json!({ "greeting": GREETING })).await;
    (cluster.expect_greeted_call(person, GREETING).await, id)
}

/// Waits until the program has logged this event so often. The attempts of a takeover are visible only in the log.
async fn wait_for_log_events(program: &Program, message: &str, count: usize) {
    eventually(message, async || {
        (program.log_events(message).len() >= count).then_some(())
    })
    .await;
}

/// Waits until the calls of a dead relay are handled: the relay and its calls are no longer registered. No interface shows
/// the registry, so this reads it from Redis.
async fn wait_until_unregistered(cluster: &mut ProcessCluster, relay: &ReplicaId) {
    let redis = &cluster.backends().redis;
    eventually("the relay is unregistered", async || {
        let calls = redis
            .run_command(&format!("SMEMBERS {}", keys::relay_calls(relay)))
            .await;
        let relays = redis.run_command(&format!("SMEMBERS {}", keys::RELAYS)).await;
        (calls.is_empty() && !relays.iter().any(|known| known == relay.as_str())).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keeps_own_call_while_takeover_stalls_servers() {
    let mut cluster = ProcessCluster::with_gateways(1, &[]).await;
    let agent = cluster.rest().await;
    cluster.start(Service::Relay).await;
    let (ann, _) = start_call(&cluster, &agent, ANN).await;
    let (ben, _) = start_call(&cluster, &agent, BEN).await;

    let carriers = cluster.carriers_url();
    let proxy = Proxy::start(carriers.trim_start_matches("http://")).await;
    let direct = cluster.settings.clone();
    for (_, value) in &mut cluster.settings {
        *value = value.replace(&carriers, &proxy.url("http"));
    }
    cluster.start(Service::Relay).await;
    cluster.settings = direct;
    proxy.stall().await;
    let _frozen = cluster.freeze(Service::Relay, 0).await;
    let (bob, id) = start_call(&cluster, &agent, BOB).await;
    wait_for_log_events(&cluster.relays[0], TAKEOVER_RETRY, 1).await;
    // A third relay would take over the second one's own call if the second one seemed dead.
    cluster.start(Service::Relay).await;
    wait_for_log_events(&cluster.relays[0], TAKEOVER_RETRY, 4).await;
    proxy.heal().await;
    for orphan in [&ann, &ben] {
        assert!(
            orphan.wait_for_sessions(2, TAKEOVER_TIMEOUT).await,
            "{:?}",
            orphan.sessions()
        );
    }
    let (turn, ()) = tokio::join!(agent.attend(&id), says(&bob, "Yes, please."));
    agent.reply_to_turn(&turn, "Once upon a time.").await.unwrap();
    hears(&bob, "Once upon a time.").await;
    assert_eq!(bob.sessions().len(), 1, "{:?}", bob.sessions());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn abandons_takeover_rejected_by_carrier_servers() {
    let mut cluster = ProcessCluster::with_gateways(1, &[]).await;
    let agent = cluster.rest().await;
    cluster.start(Service::Relay).await;
    let (call, _) = start_call(&cluster, &agent, ANN).await;
    let relay = cluster.relays[0].replica.clone();
    cluster
        .settings
        .push(("TWILIO_AUTH_TOKEN".into(), "wrong-token".into()));
    cluster.start(Service::Relay).await;
    let _frozen = cluster.freeze(Service::Relay, 0).await;
    wait_for_log_events(&cluster.relays[0], "takeover of an orphaned call refused by carrier", 1).await;
    wait_until_unregistered(&mut cluster, &relay).await;
    assert_eq!(call.sessions().len(), 1, "{:?}", call.sessions());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keeps_transferred_call_after_relay_crash_servers() {
    let mut cluster = ProcessCluster::with_gateways(1, &[]).await;
    let agent = cluster.rest().await;
    cluster.start(Service::Relay).await;
    // The phone rings for longer than the takeover of a dead relay's calls takes.
    let slow_answer = CalleeBehavior::Answers {
        after_ms: 24_000,
        steps: Vec::new(),
    };
    cluster.carriers.set_callee_behavior(BOB, slow_answer);
    cluster.carriers.set_pace(0.4);
    let id = agent.make_call(ANN, json!({ "greeting": GREETING })).await;
    let call = cluster.expect_greeted_call(ANN, GREETING).await;
    let relay = cluster.relays[0].replica.clone();
    cluster.start(Service::Relay).await;
    let arguments = json!({ "callId": id, "to": BOB, "announcementText": "I connect you." });
    agent.call("comms_transfer_call", arguments).await.unwrap();
    expect_carrier_action(&call, &format!("dials {BOB}")).await;
    cluster.kill_service(Service::Relay, 0).await;
    // Simulates a crash before the relay could unregister the call, in Redis: the crash cannot be timed.
    let redis = &cluster.backends().redis;
    let call_id = CallId::from(id.as_str());
    redis
        .run_command(&format!("SADD {} {call_id}", keys::relay_calls(&relay)))
        .await;
    redis.run_command(&format!("SADD {} {relay}", keys::RELAYS)).await;
    wait_until_unregistered(&mut cluster, &relay).await;
    expect_carrier_action(&call, &format!("connected to {BOB}")).await;
    assert!(call.wait_for_end(WAIT_TIMEOUT).await);
    assert_eq!(call.sessions().len(), 1, "{:?}", call.sessions());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keeps_call_after_redis_flush_and_relay_loss_servers() {
    let mut cluster = ProcessCluster::with_gateways(1, &[]).await;
    let agent = cluster.rest().await;
    cluster.start(Service::Relay).await;
    let (call, id) = start_call(&cluster, &agent, ANN).await;
    let relay = cluster.relays[0].replica.clone();
    cluster.start(Service::Relay).await;
    let (turn, ()) = tokio::join!(agent.attend(&id), says(&call, "Yes, please."));
    agent.reply_to_turn(&turn, "Once upon a time.").await.unwrap();
    hears(&call, "Once upon a time.").await;
    assert!(call.wait_for_quiet(WAIT_TIMEOUT).await);

    let redis = &cluster.backends().redis;
    redis.run_command("FLUSHALL").await;
    // The heartbeats alone restore all keys, while the call is silent. Only Redis shows when they have.
    let call_id = CallId::from(id.as_str());
    let (state, owner) = (keys::call_state(&call_id), keys::call_owner(&call_id));
    let restored = [
        format!("EXISTS {state} {owner} {}", keys::relay_heartbeat(&relay)),
        format!("SISMEMBER {} {relay}", keys::RELAYS),
        format!("SISMEMBER {} {call_id}", keys::relay_calls(&relay)),
    ];
    eventually("Redis has the call again", async || {
        let mut replies = Vec::new();
        for command in &restored {
            replies.extend(redis.run_command(command).await);
        }
        (replies == [":3", ":1", ":1"]).then_some(())
    })
    .await;
    let (turn, ()) = tokio::join!(agent.attend(&id), says(&call, "And then?"));
    assert_eq!(
        (&turn["text"], &turn["turnId"]),
        (&json!("And then?"), &json!("2")),
        "{turn}"
    );
    agent.reply_to_turn(&turn, "They lived happily.").await.unwrap();
    hears(&call, "They lived happily.").await;
    assert_eq!(call.sessions().len(), 1, "{:?}", call.sessions());

    let _frozen = cluster.freeze(Service::Relay, 0).await;
    assert!(
        call.wait_for_sessions(2, TAKEOVER_TIMEOUT).await,
        "{:?}",
        call.sessions()
    );
    let (turn, ()) = tokio::join!(agent.attend(&id), async {
        assert!(call.say("Are you there?").await);
    });
    assert_eq!(turn["turnId"], "3", "{turn}");
    agent.reply_to_turn(&turn, "That was all.").await.unwrap();
    hears(&call, "That was all.").await;
    expect_heard_once(
        &call,
        &["AI assistant", GREETING, "Once upon a time.", "They lived happily."],
    );
    call.hang_up().await;
    assert_eq!(agent.wait_for_call_end(&id).await["status"], "completed");
}
