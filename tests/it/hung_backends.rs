//! Backends that hang: they accept connections and do not answer (SIGSTOP). Every role answers its health checks in time, no send is
//! accepted that could be lost, and all continue after SIGCONT without a restart.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{
    Agent, Gateways, ProcessCluster, Reply, RequestExt as _, Service, Webhook, error_code, eventually, sms,
};

const ANN: &str = "+14155550123";
/// Orchestrators wait for one second by default; the limit is that of the issue for an answer.
const PROBE_LIMIT: Duration = Duration::from_millis(500);
/// Longest time to the answer of a send.
const SEND_LIMIT: Duration = Duration::from_secs(6);
/// Longest time from the end of the hang to the first accepted send, and to readiness.
const RECOVERY_LIMIT: Duration = Duration::from_secs(5);

const ROLES: [Service; 4] = [Service::Gateway, Service::Ingest, Service::Dispatcher, Service::Relay];

/// Asks for the readiness. The machine of the test is busy, so one of three answers in time is enough; all come within a second.
async fn readiness(program: &Gateways) -> Reply {
    let mut fastest = Duration::MAX;
    for _ in 0..3 {
        let start = Instant::now();
        let reply = program.get("/health/ready").reply().await;
        let elapsed = start.elapsed();
        fastest = fastest.min(elapsed);
        assert!(elapsed < 2 * PROBE_LIMIT, "{} after {elapsed:?}", reply.text);
        if fastest < PROBE_LIMIT {
            return reply;
        }
    }
    panic!("the fastest answer took {fastest:?}");
}

/// Proves that each role answers, that these are not ready because of the backend, and that all are alive.
async fn expect_not_ready(cluster: &mut ProcessCluster, backend: &str, expected: &[Service]) {
    for role in ROLES {
        let program = cluster.programs_of(role)[0].client();
        let reply = readiness(&program).await;
        assert_eq!(
            reply.status == 503,
            expected.contains(&role),
            "{role:?}: {}",
            reply.text
        );
        assert_eq!(reply.body["checks"][backend], "failed", "{role:?}: {}", reply.text);
        program.get("/health").reply().await.expect(200);
    }
}

async fn expect_ready_within(cluster: &mut ProcessCluster, limit: Duration) {
    let start = Instant::now();
    for role in ROLES {
        let program = cluster.programs_of(role)[0].client();
        eventually("readiness is back", async || {
            let reply = program.get("/health/ready").reply().await;
            (reply.status == 200 && reply.body["status"] == "ready").then_some(())
        })
        .await;
    }
    assert!(start.elapsed() < limit, "ready after {:?}", start.elapsed());
}

async fn expect_refused(agent: &Agent, message: &Value) {
    let start = Instant::now();
    let refused = agent.send(message.clone()).await.unwrap_err();
    assert!(start.elapsed() < SEND_LIMIT, "{refused} after {:?}", start.elapsed());
    assert_eq!(error_code(&refused), "SERVICE_UNAVAILABLE", "{refused}");
    assert_eq!(refused["retryable"], true, "{refused}");
}

/// Sends the same message until it is accepted, and proves that the carrier got it once.
async fn expect_accepted_soon(cluster: &ProcessCluster, agent: &Agent, message: &Value) {
    let start = Instant::now();
    eventually("the message is accepted", async || {
        let receipt = agent.send(message.clone()).await.ok()?;
        (receipt["status"] == "accepted").then_some(())
    })
    .await;
    assert!(start.elapsed() < RECOVERY_LIMIT, "accepted after {:?}", start.elapsed());
    let body = message["body"].as_str().unwrap();
    let taken = cluster.carriers.messages_to(ANN);
    assert_eq!(taken.iter().filter(|taken| taken.body == body).count(), 1);
}

/// Sends a webhook. Returns the status.
async fn webhook(cluster: &ProcessCluster, body: &str) -> u16 {
    let phone = &cluster.account.phone;
    let webhook = Webhook::text(cluster, "/webhooks/twilio/sms", ANN, phone, body);
    webhook.post(cluster).await.status
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hung_postgres_refuses_sends_and_takes_webhooks_servers() {
    let mut cluster = ProcessCluster::breakable(&[]).await;
    let agent = cluster.rest().await;
    agent.send(sms("+14155550124", "Before")).await.unwrap();
    cluster.backends().postgres().freeze();
    let message = sms(ANN, "Meanwhile");
    expect_refused(&agent, &message).await;
    let needing = [Service::Gateway, Service::Dispatcher, Service::Relay];
    expect_not_ready(&mut cluster, "database", &needing).await;
    expect_refused(&agent, &message).await;
    assert!(cluster.carriers.messages_to(ANN).is_empty());
    assert_eq!(webhook(&cluster, "Hello").await, 200);
    cluster.backends().postgres().resume();
    expect_accepted_soon(&cluster, &agent, &message).await;
    expect_ready_within(&mut cluster, RECOVERY_LIMIT).await;
    agent.poll_until("Hello").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hung_redis_refuses_sends_and_takes_webhooks_servers() {
    let mut cluster = ProcessCluster::breakable(&[]).await;
    let agent = cluster.rest().await;
    agent.send(sms("+14155550124", "Before")).await.unwrap();
    cluster.backends().redis.freeze();
    let message = sms(ANN, "Meanwhile");
    expect_refused(&agent, &message).await;
    let needing = [Service::Gateway, Service::Dispatcher, Service::Relay];
    expect_not_ready(&mut cluster, "kv", &needing).await;
    expect_refused(&agent, &message).await;
    assert!(cluster.carriers.messages_to(ANN).is_empty());
    assert_eq!(webhook(&cluster, "Hello").await, 200);
    cluster.backends().redis.resume();
    expect_accepted_soon(&cluster, &agent, &message).await;
    expect_ready_within(&mut cluster, RECOVERY_LIMIT).await;
    agent.poll_until("Hello").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hung_nats_refuses_webhooks_and_takes_sends_servers() {
    let mut cluster = ProcessCluster::breakable(&[]).await;
    let agent = cluster.rest().await;
    agent.send(sms("+14155550124", "Before")).await.unwrap();
    cluster.backends().nats.freeze();
    expect_not_ready(&mut cluster, "bus", &ROLES).await;
    let start = Instant::now();
    let receipt = agent.send(sms(ANN, "Meanwhile")).await.unwrap();
    assert_eq!(receipt["status"], "accepted", "{receipt}");
    assert!(start.elapsed() < SEND_LIMIT);
    let start = Instant::now();
    assert_eq!(webhook(&cluster, "Hello").await, 503, "the carrier repeats it");
    assert!(start.elapsed() < SEND_LIMIT);
    cluster.backends().nats.resume();
    expect_accepted_soon(&cluster, &agent, &sms(ANN, "After")).await;
    expect_ready_within(&mut cluster, RECOVERY_LIMIT).await;
    eventually("the repeated webhook is accepted", async || {
        (webhook(&cluster, "Hello").await == 200).then_some(())
    })
    .await;
    agent.poll_until("Hello").await;
}
