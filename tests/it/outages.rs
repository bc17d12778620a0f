//! Outages of Postgres, Redis and NATS: no send is accepted that could be lost, no client waits without end, and all
//! services recover without a restart.

use std::time::Duration;

use butt_dial_calls::reconcile;
use butt_dial_domain::Clock;
use butt_dial_providers::simulator::InjectedFault;
use butt_dial_testkit::proxy::Proxy;
use serde_json::{Value, json};

use crate::support::{
    Agent, Backends, Cluster, LegacySession, Program, RequestExt as _, TestContext, Transport, WAIT_TIMEOUT,
    error_code, eventually, hears, sms,
};

const ANN: &str = "+14155550123";

/// Waits until every gateway is alive but not ready because of this backend.
async fn expect_not_ready(context: &TestContext, backend: &str) {
    for index in 0..context.gateways.count() {
        let gateway = context.gateways.only(index);
        let reply = eventually("readiness fails", async || {
            let reply = gateway.get("/health/ready").reply().await;
            (reply.status == 503).then_some(reply)
        })
        .await;
        assert_eq!(reply.body["checks"][backend], "failed", "{}", reply.text);
        gateway.get("/health").reply().await.expect(200);
    }
}

async fn expect_ready(context: &TestContext) {
    for index in 0..context.gateways.count() {
        let gateway = context.gateways.only(index);
        eventually("readiness is back", async || {
            (gateway.get("/health/ready").reply().await.status == 200).then_some(())
        })
        .await;
    }
}

/// Repeats the same send until it is accepted.
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

/// Proves that sends during an outage fail with a retryable error.
async fn expect_retryable_error(agent: &Agent, message: &Value) {
    for _ in 0..3 {
        let refused = agent.send(message.clone()).await.unwrap_err();
        assert_eq!(error_code(&refused), "SERVICE_UNAVAILABLE", "{refused}");
        assert_eq!(refused["retryable"], true);
        assert!(refused["retryAfterSeconds"].as_u64().is_some(), "{refused}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rejects_sends_without_postgres_servers() {
    let mut cluster = Cluster::breakable(&[]).await;
    let agent = cluster.rest().await;
    agent.send(sms("+14155550124", "Before")).await.unwrap();
    cluster.backends().postgres().stop().await;
    let message = sms(ANN, "Meanwhile");
    expect_retryable_error(&agent, &message).await;
    expect_not_ready(&cluster, "database").await;
    assert!(cluster.carriers.messages_to(ANN).is_empty());
    cluster.backends().postgres().start_again().await;
    send_until_accepted(&agent, &message).await;
    expect_ready(&cluster).await;
    assert_eq!(cluster.carriers.messages_to(ANN).len(), 1);
    cluster.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rejects_sends_without_redis_servers() {
    let mut cluster = Cluster::servers(&[]).await;
    let agent = cluster.rest().await;
    agent.send(sms("+14155550124", "Before")).await.unwrap();
    cluster.backends().redis.stop().await;
    let message = sms(ANN, "Meanwhile");
    expect_retryable_error(&agent, &message).await;
    expect_not_ready(&cluster, "kv").await;
    assert!(cluster.carriers.messages_to(ANN).is_empty());
    cluster.backends().redis.start_again().await;
    send_until_accepted(&agent, &message).await;
    expect_ready(&cluster).await;
    // An empty Redis has lost the sessions; a new one works at once.
    let fresh = cluster.agent(Transport::StreamableHttp).await;
    fresh.call("comms_ping", json!({})).await.unwrap();
    assert_eq!(cluster.carriers.messages_to(ANN).len(), 1);
    cluster.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sends_without_nats_and_recovers_sessions_servers() {
    let mut cluster = Cluster::servers(&[]).await;
    let agent = cluster.agent(Transport::StreamableHttp).await;
    cluster.backends().nats.stop().await;
    expect_not_ready(&cluster, "bus").await;
    // A send needs the database, not the bus.
    let message = sms(ANN, "Meanwhile");
    send_until_accepted(&agent, &message).await;
    cluster.backends().nats.start_again().await;
    expect_ready(&cluster).await;
    let sse = cluster.agent(Transport::Sse).await;
    for _ in 0..4 {
        sse.call("comms_ping", json!({})).await.unwrap();
    }
    assert_eq!(cluster.carriers.messages_to(ANN).len(), 1);
    cluster.shut_down().await;
}

/// Postgres stops after the carrier accepted the message and before that is stored.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reconciles_send_after_postgres_loss_servers() {
    let mut cluster = Cluster::breakable(&[]).await;
    let agent = cluster.rest().await;
    cluster
        .carriers
        .inject_fault("twilio", InjectedFault::Slow { delay_ms: 1_500 }, 1);
    let message = sms(ANN, "Taken");
    let carriers = cluster.carriers.clone();
    let (receipt, ()) = tokio::join!(agent.send(message.clone()), async {
        let taken = carriers
            .wait_for(|message| message.to == ANN, Duration::from_secs(5))
            .await;
        taken.expect("the carrier accepts the message");
        cluster.backends().postgres().stop().await;
    });
    let receipt = receipt.unwrap();
    assert_eq!(receipt["status"], "pending", "{receipt}");
    cluster.backends().postgres().start_again().await;
    let accepted = send_until_accepted(&agent, &message).await;
    assert_eq!(accepted["messageId"], receipt["messageId"]);
    assert_eq!(
        accepted["providerMessageId"],
        cluster.wait_for_acceptance(ANN).await.carrier_id
    );
    assert_eq!(cluster.carriers.requests_total("twilio"), 1);
    cluster.shut_down().await;
}

/// Proves recovery from a network that drops all packets, which hides that the other side is gone.
async fn recovers_from_stall(backends: Backends, proxy: Proxy, backend: &str) {
    let cluster = Cluster::on(backends, &[]).await;
    let agent = cluster.rest().await;
    agent.send(sms("+14155550124", "Before")).await.unwrap();
    proxy.stall().await;
    let message = sms(ANN, "Meanwhile");
    expect_retryable_error(&agent, &message).await;
    expect_not_ready(&cluster, backend).await;
    assert!(cluster.carriers.messages_to(ANN).is_empty());
    proxy.cut().await;
    proxy.heal().await;
    send_until_accepted(&agent, &message).await;
    expect_ready(&cluster).await;
    assert_eq!(cluster.carriers.messages_to(ANN).len(), 1);
    cluster.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn times_out_on_stalled_postgres_connection_servers() {
    let mut backends = Backends::start_own().await;
    let target = url::Url::parse(&backends.database_url).unwrap();
    let proxy = Proxy::start(&format!("127.0.0.1:{}", target.port().unwrap())).await;
    let through = url::Url::parse(&format!("postgres://{}", proxy.address())).unwrap();
    let mut url = target.clone();
    url.set_port(through.port()).unwrap();
    backends.database_url = url.into();
    recovers_from_stall(backends, proxy, "database").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn times_out_on_stalled_redis_connection_servers() {
    let mut backends = Backends::start().await;
    let proxy = Proxy::start(&backends.redis.address()).await;
    backends.redis_url = proxy.url("redis");
    recovers_from_stall(backends, proxy, "kv").await;
}

/// A legacy session must not wait forever for answers that cross an unavailable bus.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fails_sse_request_without_nats_servers() {
    let mut cluster = Cluster::servers(&[]).await;
    let mut stream = LegacySession::open(&cluster.gateways.only(0), &cluster.account.token).await;
    let other = cluster.gateways.only(1);
    stream
        .post(&other, &json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" }))
        .await
        .expect(202);
    assert_eq!(stream.events.message().await["id"], 1);
    cluster.backends().nats.stop().await;
    expect_not_ready(&cluster, "bus").await;
    let reply = stream
        .post(&other, &json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/list" }))
        .await;
    // The request is answered, or the client sees its failure: an error of the POST or the end of the stream.
    if reply.status == 202 {
        if let Some(event) = stream.events.next().await {
            assert!(event.data.unwrap_or_default().contains("\"id\":2"));
        }
    } else {
        assert_eq!(reply.status, 503, "{}", reply.text);
    }
    cluster.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn waiting_gateway_names_unreachable_backend_servers() {
    let mut backends = Backends::start().await;
    let (database, redis) = (backends.database_url.clone(), backends.redis_url.clone());
    backends.database_url = "postgres://postgres@127.0.0.1:1/x".into();
    expect_waiting(&backends, "DATABASE_URL").await;
    backends.database_url = database;
    backends.redis_url = "redis://127.0.0.1:1".into();
    expect_waiting(&backends, "REDIS_URL").await;
    backends.redis_url = redis;
    backends.nats.stop().await;
    expect_waiting(&backends, "NATS_URL").await;
}

async fn expect_waiting(backends: &Backends, setting: &str) {
    let mut gateway = Program::start_on_free_port(&["gateway"], &backends.settings());
    let waiting = eventually("the gateway waits", async || gateway.log_event("backend not there yet")).await;
    let error = waiting["error"].as_str().unwrap();
    assert!(error.contains(&format!("Check {setting}")), "{error}");
    gateway.expect_running();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn takes_voicemail_without_nats_servers() {
    let mut cluster = Cluster::breakable(&[]).await;
    cluster.carriers.set_pace(0.1);
    cluster.backends().nats.stop().await;
    let call = cluster.carriers.dial(ANN, &cluster.account.phone).await.unwrap();
    hears(&call, "leave a message after the beep.").await;
    cluster.backends().nats.start_again().await;
    expect_ready(&cluster).await;
    call.hang_up().await;
    assert!(call.wait_for_end(WAIT_TIMEOUT).await);
    assert_eq!(call.alerts(), [0; 0], "the carrier always got instructions");
    // Reports during the outage are stored.
    let agent = cluster.rest().await;
    let id = agent.find_call_with(ANN).await;
    // The number has no status callback, so reconciliation finds the end: of a call that no report has changed since.
    eventually("reconciliation ends the call", async || {
        let (ended, _) = reconcile::reconcile_stale(cluster.calls(), Clock::System.now(), None)
            .await
            .unwrap();
        (ended > 0).then_some(())
    })
    .await;
    let record = agent.wait_for_call_end(&id).await;
    assert_eq!(
        (&record["from"], &record["status"]),
        (&json!(ANN), &json!("completed")),
        "{record}"
    );
    cluster.shut_down().await;
}
