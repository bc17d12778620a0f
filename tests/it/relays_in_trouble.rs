//! What goes wrong beside a relay that vanishes: the carrier is slow or refuses, its call is elsewhere already, the store has
//! forgotten everything.

use std::time::Duration;

use butt_dial_providers::simulator::calls::{Behaviour, Call};
use butt_dial_testkit::proxy::Proxy;
use serde_json::json;

use crate::support::{Agent, Fleet, PATIENCE, Program, Service, eventually, expect_once, hears, says, sees};

const ANN: &str = "+14155550123";
const BEN: &str = "+14155550125";
const BOB: &str = "+14155550124";
const GREETING: &str = "Shall I tell you a story?";
/// Until the others take care of a relay's calls, and the carrier has given its old socket up.
const UNNOTICED: Duration = Duration::from_secs(15);
const NOT_YET: &str = "an orphaned call can't be taken over yet";

async fn is_called(fleet: &Fleet, agent: &Agent, person: &str) -> (Call, String) {
    fleet.carriers.set_pace(0.3);
    let id = agent.calls(person, json!({ "greeting": GREETING })).await;
    (fleet.takes(person, GREETING).await, id)
}

/// Waits until it has told of this so often.
async fn has_told(program: &Program, what: &str, times: usize) {
    eventually(what, async || {
        (program.log().matches(&format!("{what:?}")).count() >= times).then_some(())
    })
    .await;
}

/// The one relay that has held a call, as the store knows it.
async fn holder(fleet: &mut Fleet) -> String {
    let relays = fleet.backends().redis.say("SMEMBERS call:relays").await;
    let [relay] = &relays[..] else { panic!("{relays:?}") };
    relay.clone()
}

/// The calls of this relay have been taken care of.
async fn are_cared_for(fleet: &mut Fleet, relay: &str) {
    let redis = &fleet.backends().redis;
    eventually("nobody looks after the calls any more", async || {
        let calls = redis.say(&format!("SMEMBERS call:relay:{relay}:calls")).await;
        let relays = redis.say("SMEMBERS call:relays").await;
        (calls.is_empty() && !relays.iter().any(|known| known == relay)).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_heir_whose_carrier_says_nothing_keeps_its_own_calls_servers() {
    let mut fleet = Fleet::gateways(1, &[]).await;
    let agent = fleet.rest().await;
    fleet.start(Service::Relay).await;
    let (ann, _) = is_called(&fleet, &agent, ANN).await;
    let (ben, _) = is_called(&fleet, &agent, BEN).await;

    let carriers = fleet.carriers_url();
    let proxy = Proxy::start(carriers.trim_start_matches("http://")).await;
    let direct = fleet.settings.clone();
    for (_, value) in &mut fleet.settings {
        *value = value.replace(&carriers, &proxy.url("http"));
    }
    fleet.start(Service::Relay).await;
    fleet.settings = direct;
    proxy.stall().await;
    let _frozen = fleet.freeze(Service::Relay, 0).await;
    let (bob, id) = is_called(&fleet, &agent, BOB).await;
    has_told(&fleet.relays[0], NOT_YET, 1).await;
    // It would take the heir's own call, if the heir seemed dead to it.
    fleet.start(Service::Relay).await;
    has_told(&fleet.relays[0], NOT_YET, 4).await;
    proxy.heal().await;
    for orphan in [&ann, &ben] {
        assert!(orphan.wait_for_sessions(2, UNNOTICED).await, "{:?}", orphan.sessions());
    }
    let (turn, ()) = tokio::join!(agent.turn(&id), says(&bob, "Yes, please."));
    agent.answers(&turn, "Once upon a time.").await.unwrap();
    hears(&bob, "Once upon a time.").await;
    assert_eq!(bob.sessions().len(), 1, "{:?}", bob.sessions());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_the_carrier_refuses_to_redirect_is_given_up_servers() {
    let mut fleet = Fleet::gateways(1, &[]).await;
    let agent = fleet.rest().await;
    fleet.start(Service::Relay).await;
    let (call, _) = is_called(&fleet, &agent, ANN).await;
    let relay = holder(&mut fleet).await;
    fleet.settings.push(("TWILIO_AUTH_TOKEN".into(), "of nobody".into()));
    fleet.start(Service::Relay).await;
    let _frozen = fleet.freeze(Service::Relay, 0).await;
    has_told(&fleet.relays[0], "an orphaned call can't be taken over", 1).await;
    are_cared_for(&mut fleet, &relay).await;
    assert_eq!(call.sessions().len(), 1, "{:?}", call.sessions());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_torn_out_of_what_a_dead_relay_had_handed_them_to_servers() {
    let mut fleet = Fleet::gateways(1, &[]).await;
    let agent = fleet.rest().await;
    fleet.start(Service::Relay).await;
    // His telephone rings for longer than it takes the others to look after a dead relay's calls.
    let slowly = Behaviour::Answers {
        after_ms: 24_000,
        steps: Vec::new(),
    };
    fleet.carriers.set_number(BOB, slowly);
    fleet.carriers.set_pace(0.4);
    let id = agent.calls(ANN, json!({ "greeting": GREETING })).await;
    let call = fleet.takes(ANN, GREETING).await;
    let relay = holder(&mut fleet).await;
    fleet.start(Service::Relay).await;
    let wanted = json!({ "callId": id, "to": BOB, "announcementText": "I connect you." });
    agent.call("comms_transfer_call", wanted).await.unwrap();
    sees(&call, &format!("dials {BOB}")).await;
    fleet.kill_one(Service::Relay, 0).await;
    // As if it had died before it could strike the call off its list.
    let redis = &fleet.backends().redis;
    redis.say(&format!("SADD call:relay:{relay}:calls {id}")).await;
    redis.say(&format!("SADD call:relays {relay}")).await;
    are_cared_for(&mut fleet, &relay).await;
    sees(&call, &format!("is connected with {BOB}")).await;
    assert!(call.wait_for_end(PATIENCE).await);
    assert_eq!(call.sessions().len(), 1, "{:?}", call.sessions());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_outlive_a_store_that_forgets_everything_and_their_relay_after_that_servers() {
    let mut fleet = Fleet::gateways(1, &[]).await;
    let agent = fleet.rest().await;
    fleet.start(Service::Relay).await;
    let (call, id) = is_called(&fleet, &agent, ANN).await;
    let relay = holder(&mut fleet).await;
    fleet.start(Service::Relay).await;
    let (turn, ()) = tokio::join!(agent.turn(&id), says(&call, "Yes, please."));
    agent.answers(&turn, "Once upon a time.").await.unwrap();
    hears(&call, "Once upon a time.").await;
    assert!(call.wait_for_quiet(PATIENCE).await);

    let redis = &fleet.backends().redis;
    redis.say("FLUSHALL").await;
    // Nobody says anything, and yet all is there again.
    let all = [
        format!("EXISTS call:{{{id}}}:state call:{{{id}}}:owner call:relay:{relay}:mark"),
        format!("SISMEMBER call:relays {relay}"),
        format!("SISMEMBER call:relay:{relay}:calls {id}"),
    ];
    eventually("the store knows of the call again", async || {
        let mut said = Vec::new();
        for command in &all {
            said.extend(redis.say(command).await);
        }
        (said == [":3", ":1", ":1"]).then_some(())
    })
    .await;
    let (turn, ()) = tokio::join!(agent.turn(&id), says(&call, "And then?"));
    assert_eq!(
        (&turn["text"], &turn["turnId"]),
        (&json!("And then?"), &json!("2")),
        "{turn}"
    );
    agent.answers(&turn, "They lived happily.").await.unwrap();
    hears(&call, "They lived happily.").await;
    assert_eq!(call.sessions().len(), 1, "{:?}", call.sessions());

    let _frozen = fleet.freeze(Service::Relay, 0).await;
    assert!(call.wait_for_sessions(2, UNNOTICED).await, "{:?}", call.sessions());
    let (turn, ()) = tokio::join!(agent.turn(&id), async {
        assert!(call.say("Are you there?").await);
    });
    assert_eq!(turn["turnId"], "3", "{turn}");
    agent.answers(&turn, "That was all.").await.unwrap();
    hears(&call, "That was all.").await;
    expect_once(
        &call,
        &["AI assistant", GREETING, "Once upon a time.", "They lived happily."],
    );
    call.hang_up().await;
    assert_eq!(agent.ended_call(&id).await["status"], "completed");
}
