//! Postgres, Redis and NATS go away in the middle and come back. Meanwhile nothing is promised that is not kept, nobody
//! waits for ever, and afterwards all is well without a restart.

use std::time::Duration;

use butt_dial_comms::calls::unheard;
use butt_dial_domain::Clock;
use butt_dial_providers::simulator::Misbehaviour;
use butt_dial_testkit::proxy::Proxy;
use serde_json::{Value, json};

use crate::support::{
    Agent, Backends, LegacySession, PATIENCE, Replying as _, Stage, Transport, World, code, eventually, hears,
    run_program, sms,
};

const ANN: &str = "+14155550123";

/// Every gateway says that it is alive, and not ready because of this backend.
async fn expect_not_ready(stage: &Stage, backend: &str) {
    for index in 0..stage.gateways.count() {
        let gateway = stage.gateways.only(index);
        let reply = eventually("readiness fails", async || {
            let reply = gateway.get("/health/ready").reply().await;
            (reply.status == 503).then_some(reply)
        })
        .await;
        assert_eq!(reply.body["checks"][backend], "failed", "{}", reply.text);
        gateway.get("/health").reply().await.expect(200);
    }
}

async fn expect_ready(stage: &Stage) {
    for index in 0..stage.gateways.count() {
        let gateway = stage.gateways.only(index);
        eventually("readiness is back", async || {
            (gateway.get("/health/ready").reply().await.status == 200).then_some(())
        })
        .await;
    }
}

/// The same message again and again, as a patient agent sends it, until it is through.
async fn send_until_accepted(agent: &Agent, message: &Value) -> Value {
    eventually("the message is accepted", async || {
        agent
            .send(message.clone())
            .await
            .ok()
            .filter(|receipt| receipt["status"] == "accepted")
    })
    .await
}

/// Sends while something is down: it is refused, in a way that says that it may be tried again.
async fn expect_refused_for_now(agent: &Agent, message: &Value) {
    for _ in 0..3 {
        let refused = agent.send(message.clone()).await.unwrap_err();
        assert_eq!(code(&refused), "SERVICE_UNAVAILABLE", "{refused}");
        assert_eq!(refused["retryable"], true);
        assert!(refused["retryAfterSeconds"].as_u64().is_some(), "{refused}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_postgres_nothing_is_accepted_until_it_is_back_servers() {
    let mut world = World::breakable(&[]).await;
    let agent = world.rest().await;
    agent.send(sms("+14155550124", "Before")).await.unwrap();
    world.backends().postgres().stop().await;
    let message = sms(ANN, "Meanwhile");
    expect_refused_for_now(&agent, &message).await;
    expect_not_ready(&world, "database").await;
    assert!(world.carriers.messages_to(ANN).is_empty());
    world.backends().postgres().start_again().await;
    send_until_accepted(&agent, &message).await;
    expect_ready(&world).await;
    assert_eq!(world.carriers.messages_to(ANN).len(), 1);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_redis_no_limit_can_be_checked_so_nothing_is_sent_servers() {
    let mut world = World::servers(&[]).await;
    let agent = world.rest().await;
    agent.send(sms("+14155550124", "Before")).await.unwrap();
    world.backends().redis.stop().await;
    let message = sms(ANN, "Meanwhile");
    expect_refused_for_now(&agent, &message).await;
    expect_not_ready(&world, "kv").await;
    assert!(world.carriers.messages_to(ANN).is_empty());
    world.backends().redis.start_again().await;
    send_until_accepted(&agent, &message).await;
    expect_ready(&world).await;
    // Sessions are gone with an empty Redis; a new one works at once.
    let fresh = world.agent(Transport::StreamableHttp).await;
    fresh.call("comms_ping", json!({})).await.unwrap();
    assert_eq!(world.carriers.messages_to(ANN).len(), 1);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_nats_what_is_answered_is_true_and_sessions_go_on_afterwards_servers() {
    let mut world = World::servers(&[]).await;
    let agent = world.agent(Transport::StreamableHttp).await;
    world.backends().nats.stop().await;
    expect_not_ready(&world, "bus").await;
    // A send stands in the database and needs no bus.
    let message = sms(ANN, "Meanwhile");
    send_until_accepted(&agent, &message).await;
    world.backends().nats.start_again().await;
    expect_ready(&world).await;
    let sse = world.agent(Transport::Sse).await;
    for _ in 0..4 {
        sse.call("comms_ping", json!({})).await.unwrap();
    }
    assert_eq!(world.carriers.messages_to(ANN).len(), 1);
    world.end().await;
}

/// The carrier has the message, and the database goes away before that is written down.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_lost_after_the_carrier_took_it_the_message_is_pending_and_then_accepted_servers() {
    let mut world = World::breakable(&[]).await;
    let agent = world.rest().await;
    world
        .carriers
        .misbehave("twilio", Misbehaviour::Slow { delay_ms: 1_500 }, 1);
    let message = sms(ANN, "Taken");
    let carriers = world.carriers.clone();
    let (receipt, ()) = tokio::join!(agent.send(message.clone()), async {
        let taken = carriers
            .wait_for(|message| message.to == ANN, Duration::from_secs(5))
            .await;
        taken.expect("the carrier takes it");
        world.backends().postgres().stop().await;
    });
    let receipt = receipt.unwrap();
    assert_eq!(receipt["status"], "pending", "{receipt}");
    world.backends().postgres().start_again().await;
    let accepted = send_until_accepted(&agent, &message).await;
    assert_eq!(accepted["messageId"], receipt["messageId"]);
    assert_eq!(accepted["providerMessageId"], world.taken(ANN).await.carrier_id);
    assert_eq!(world.carriers.requests_total("twilio"), 1);
    world.end().await;
}

/// A network that swallows everything is worse than one that refuses: nothing says that the other side is gone.
async fn swallowing(backends: Backends, proxy: Proxy, backend: &str) {
    let world = World::on(backends, &[]).await;
    let agent = world.rest().await;
    agent.send(sms("+14155550124", "Before")).await.unwrap();
    proxy.stall().await;
    let message = sms(ANN, "Meanwhile");
    expect_refused_for_now(&agent, &message).await;
    expect_not_ready(&world, backend).await;
    assert!(world.carriers.messages_to(ANN).is_empty());
    proxy.cut().await;
    proxy.heal().await;
    send_until_accepted(&agent, &message).await;
    expect_ready(&world).await;
    assert_eq!(world.carriers.messages_to(ANN).len(), 1);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_swallowing_network_to_postgres_makes_nobody_wait_for_ever_servers() {
    let mut backends = Backends::start_own().await;
    let target = url::Url::parse(&backends.database_url).unwrap();
    let proxy = Proxy::start(&format!("127.0.0.1:{}", target.port().unwrap())).await;
    let through = url::Url::parse(&format!("postgres://{}", proxy.address())).unwrap();
    let mut url = target.clone();
    url.set_port(through.port()).unwrap();
    backends.database_url = url.into();
    swallowing(backends, proxy, "database").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_swallowing_network_to_redis_makes_nobody_wait_for_ever_servers() {
    let mut backends = Backends::start().await;
    let proxy = Proxy::start(&backends.redis.address()).await;
    backends.redis_url = proxy.url("redis");
    swallowing(backends, proxy, "kv").await;
}

/// An SSE session whose answers have to cross the bus must not leave its client waiting when the bus is gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_nats_an_sse_client_is_not_left_waiting_servers() {
    let mut world = World::servers(&[]).await;
    let mut stream = LegacySession::open(&world.gateways.only(0), &world.account.token).await;
    let there = world.gateways.only(1);
    stream
        .post(&there, &json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" }))
        .await
        .expect(202);
    assert_eq!(stream.events.message().await["id"], 1);
    world.backends().nats.stop().await;
    expect_not_ready(&world, "bus").await;
    let reply = stream
        .post(&there, &json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/list" }))
        .await;
    // Either it is answered, or the client sees that it won't be: a refusal of the POST, or the stream's end.
    if reply.status == 202 {
        if let Some(event) = stream.events.next().await {
            assert!(event.data.unwrap_or_default().contains("\"id\":2"));
        }
    } else {
        assert_eq!(reply.status, 503, "{}", reply.text);
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_cannot_reach_its_servers_does_not_start_and_says_which_servers() {
    let mut backends = Backends::start().await;
    let (database, redis) = (backends.database_url.clone(), backends.redis_url.clone());
    backends.database_url = "postgres://postgres@127.0.0.1:1/x".into();
    expect_no_start(&backends, "DATABASE_URL").await;
    backends.database_url = database;
    backends.redis_url = "redis://127.0.0.1:1".into();
    expect_no_start(&backends, "REDIS_URL").await;
    backends.redis_url = redis;
    backends.nats.stop().await;
    expect_no_start(&backends, "NATS_URL").await;
}

async fn expect_no_start(backends: &Backends, setting: &str) {
    let output = run_program(&["gateway"], &backends.settings()).await;
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains(&format!("Check {setting}")), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_nats_who_calls_can_still_leave_a_message_servers() {
    let mut world = World::breakable(&[]).await;
    world.carriers.set_pace(0.1);
    world.backends().nats.stop().await;
    let call = world.carriers.dial(ANN, &world.account.phone).await.unwrap();
    hears(&call, "leave a message after the beep.").await;
    world.backends().nats.start_again().await;
    expect_ready(&world).await;
    call.hang_up().await;
    assert!(call.wait_for_end(PATIENCE).await);
    assert_eq!(call.alerts(), [0; 0], "the carrier was always told what to do");
    // What was told meanwhile is written down.
    let agent = world.rest().await;
    let id = agent.call_with(ANN).await;
    // And how it ended, which nobody tells whose number has no status callback.
    unheard::ask_about(world.comms(), Clock::System.now(), None)
        .await
        .unwrap();
    let seen = agent.ended_call(&id).await;
    assert_eq!(
        (&seen["from"], &seen["status"]),
        (&json!(ANN), &json!("completed")),
        "{seen}"
    );
    world.end().await;
}
