//! Inbound delivery during outages and crashes: the agent gets each accepted message once, and the messages of each
//! person in order.

use std::time::{Duration, Instant};

use butt_dial_providers::WebhookBehavior;

use crate::support::{
    Account, CallbackHost, Cluster, LoadGenerator, ProcessCluster, ReceivedMessage, RequestExt as _, SeededRng,
    SentMessage, Service, TestContext, Webhook, bodies, deduplicate, eventually, expect_exactly_once_in_order,
    poll_messages, received_all,
};

const ANN: &str = "+14155550123";
const ALLOWED: (&str, &str) = ("ALLOW_PRIVATE_CALLBACKS", "true");
/// Time until the other dispatcher has read the log of a killed one and delivered its events.
const TAKEOVER_TIMEOUT: Duration = Duration::from_secs(60);

/// Polls until this many messages have arrived, from gateways that may still wait for their database.
async fn receive(context: &TestContext, count: usize) -> Vec<serde_json::Value> {
    let mut received = Vec::new();
    eventually("all messages are received", async || {
        received.extend(
            poll_messages(&context.gateways, &context.account.token)
                .await
                .unwrap_or_default(),
        );
        (received.len() >= count).then_some(())
    })
    .await;
    received
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn accepts_webhooks_without_postgres_servers() {
    let mut cluster = Cluster::breakable(&[]).await;
    cluster.texts(ANN, "Before").await;
    assert_eq!(bodies(&cluster.rest().await.expect_events(1).await), ["Before"]);
    eventually("the message is acknowledged", async || {
        let waiting = cluster.store.count_waiting_events(&cluster.account.agent).await;
        (waiting.unwrap() == 0).then_some(())
    })
    .await;
    cluster.backends().postgres().stop().await;
    let mut latencies = Vec::new();
    for number in 0..50 {
        let started = Instant::now();
        cluster.texts(ANN, &number.to_string()).await;
        latencies.push(started.elapsed());
    }
    latencies.sort_unstable();
    println!(
        "without Postgres: median {:?}, longest {:?}",
        latencies[25], latencies[49]
    );
    assert!(
        latencies[25] < Duration::from_millis(50) && latencies[49] < Duration::from_secs(1),
        "{latencies:?}"
    );
    // An unresolvable recipient is neither accepted nor reported as unknown.
    let unknown = Webhook::text(&cluster, "/webhooks/twilio/sms", ANN, "+14155550177", "Hello?");
    assert_eq!(unknown.post(&cluster).await.status, 503);
    cluster.backends().postgres().start_again().await;
    let events = receive(&cluster, 50).await;
    let expected: Vec<String> = (0..50).map(|number| number.to_string()).collect();
    assert_eq!(bodies(&events), expected);
    cluster.texts(ANN, "Last").await;
    assert_eq!(bodies(&receive(&cluster, 1).await), ["Last"]);
    cluster.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn defers_webhooks_without_nats_and_keeps_one_servers() {
    let mut cluster = Cluster::servers(&[]).await;
    cluster.texts(ANN, "Before").await;
    let agent = cluster.rest().await;
    assert_eq!(bodies(&agent.expect_events(1).await), ["Before"]);
    cluster.backends().nats.stop().await;
    let webhook = Webhook::text(
        &cluster,
        "/webhooks/twilio/sms",
        ANN,
        &cluster.account.phone,
        "Meanwhile",
    );
    for _ in 0..3 {
        let started = Instant::now();
        let reply = webhook.post(&cluster).await;
        assert_eq!(reply.status, 503, "{}", reply.text);
        assert!(reply.header("retry-after").is_some());
        assert!(
            started.elapsed() < Duration::from_secs(10),
            "slower than the carrier's timeout: {:?}",
            started.elapsed()
        );
    }
    let ready = cluster.ingest().get("/health/ready").reply().await;
    assert_eq!((ready.status, &ready.body["checks"]["bus"]), (503, &"failed".into()));
    cluster.backends().nats.start_again().await;
    eventually("the carrier's retry is accepted", async || {
        (webhook.post(&cluster).await.status == 200).then_some(())
    })
    .await;
    assert_eq!(
        webhook.post(&cluster).await.status,
        200,
        "a further repetition is accepted"
    );
    cluster.texts(ANN, "Last").await;
    assert_eq!(bodies(&agent.poll_until("Last").await), ["Meanwhile"]);
    eventually("readiness is back", async || {
        (cluster.ingest().get("/health/ready").reply().await.status == 200).then_some(())
    })
    .await;
    cluster.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delivers_callbacks_without_redis_servers() {
    let mut cluster = Cluster::servers(&[ALLOWED]).await;
    let host = CallbackHost::start().await;
    let account = &cluster.account;
    let set = cluster
        .delivery()
        .set_callback_url(&account.agent, Some(&host.url("/")))
        .await;
    assert!(set.is_ok());
    cluster.texts(ANN, "Before").await;
    host.expect_callbacks(1).await;
    cluster.backends().redis.stop().await;
    for number in 0..10 {
        cluster.texts(ANN, &number.to_string()).await;
    }
    let calls = host.expect_callbacks(11).await;
    cluster.backends().redis.start_again().await;
    cluster.texts(ANN, "After").await;
    let texts: Vec<_> = host
        .callbacks_until("After")
        .await
        .iter()
        .map(|call| call.text())
        .collect();
    assert_eq!(texts.len(), calls.len());
    let expected: Vec<String> = (0..10).map(|number| number.to_string()).collect();
    assert_eq!(texts[1..], expected);
    cluster.shut_down().await;
}

fn received_by(host: &CallbackHost) -> Vec<ReceivedMessage> {
    let calls = host.callbacks().into_iter().filter(|call| call.status == 200);
    calls.map(|call| ReceivedMessage::from(&call.json())).collect()
}

/// Both dispatchers read the log while no lease can be taken; the database lets only one of them write.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_dispatchers_deliver_once_in_order_servers() {
    let mut cluster = Cluster::servers(&[ALLOWED]).await;
    cluster.carriers.set_webhook_behavior(
        "twilio",
        WebhookBehavior {
            copies: 2,
            reversed: false,
        },
    );
    let host = CallbackHost::start().await;
    let account = &cluster.account;
    let set = cluster
        .delivery()
        .set_callback_url(&account.agent, Some(&host.url("/")))
        .await;
    assert!(set.is_ok());
    let load = LoadGenerator::new(10, 30);
    let context = TestContext::clone(&cluster);
    load.release(load.total() / 2);
    let (sent, ()) = tokio::join!(load.run(&context), async {
        load.wait_for_sent(load.total() / 3).await;
        cluster.backends().redis.stop().await;
        load.release(load.total());
    });
    assert!(sent.iter().all(|message| message.is_accepted));
    eventually("all messages are received", async || {
        received_all(&sent, &received_by(&host)).then_some(())
    })
    .await;
    cluster.backends().redis.start_again().await;
    cluster.texts(ANN, "999: 0").await;
    host.callbacks_until("999: 0").await;
    let mut received = received_by(&host);
    assert_eq!(received.pop().map(|last| last.text), Some("999: 0".into()));
    expect_exactly_once_in_order(&sent, &received);
    cluster.shut_down().await;
}

/// Kills the programs one after the other, each in the middle of the load, and starts a replacement for each.
async fn kill_in_turn(
    cluster: &mut ProcessCluster,
    load: &LoadGenerator,
    rng: &mut SeededRng,
    mut targets: Vec<Service>,
) {
    rng.shuffle(&mut targets);
    let share = load.total() / targets.len();
    for (turn, service) in targets.into_iter().enumerate() {
        let moment = turn * share + 1 + rng.below(share / 2);
        let index = rng.below(cluster.programs_of(service).len());
        load.release(share * 2 / 3);
        load.wait_for_sent(moment).await;
        println!("after {} messages: kill -9 of {service:?} {index}", load.sent());
        cluster.kill_service(service, index).await;
        if service == Service::Dispatcher {
            cluster.expire_dispatcher_claims().await;
        }
        load.release(share - share * 2 / 3);
        cluster.start(service).await;
    }
    load.release(load.total());
}

/// Polls continuously until all accepted messages have been received.
async fn poll_continuously(
    context: &TestContext,
    sent: &tokio::sync::OnceCell<Vec<SentMessage>>,
) -> Vec<ReceivedMessage> {
    let (mut received, started) = (Vec::<ReceivedMessage>::new(), Instant::now());
    loop {
        let page = poll_messages(&context.gateways, &context.account.token).await;
        let is_silent = page.as_ref().is_some_and(Vec::is_empty);
        received.extend(page.unwrap_or_default().iter().map(ReceivedMessage::from));
        if let Some(sent) = sent.get() {
            if is_silent && received_all(sent, &received) {
                return received;
            }
            if started.elapsed() > TAKEOVER_TIMEOUT {
                println!("timed out: {} of {} received", received.len(), sent.len());
                return received;
            }
        }
        if is_silent {
            tokio::time::sleep(Duration::from_millis(5)).await; // not a synchronisation: the pause between two polls
        }
    }
}

/// Kills programs under load. Returns the sent and the received messages.
async fn poll_during_kills(targets: &[Service]) -> (Vec<SentMessage>, Vec<ReceivedMessage>) {
    let mut rng = SeededRng::new();
    let mut cluster = ProcessCluster::replicated(&[]).await;
    let context = cluster.context();
    let other = Account::create(&context.store, &context.gateways, "Other", "+14155550190").await;
    let (load, done) = (LoadGenerator::new(10, 50), tokio::sync::OnceCell::new());
    let (received, (), ()) = tokio::join!(
        poll_continuously(&context, &done),
        async {
            let sent = load.run(&context).await;
            assert!(done.set(sent).is_ok());
        },
        kill_in_turn(&mut cluster, &load, &mut rng, targets.to_vec()),
    );
    let nothing = eventually("an answer", async || {
        poll_messages(&context.gateways, &other.token).await
    })
    .await;
    assert!(nothing.is_empty(), "messages of another tenant: {nothing:?}");
    let sent = done.into_inner().expect("the sent messages");
    let accepted = sent.iter().filter(|message| message.is_accepted).count();
    println!(
        "{accepted} of {} messages accepted, {} received",
        sent.len(),
        received.len()
    );
    assert!(accepted * 10 > sent.len() * 9, "the ingest stays available: {accepted}");
    (sent, received)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delivers_once_despite_killed_ingests_chaos_servers() {
    let targets = [
        Service::Dispatcher,
        Service::Dispatcher,
        Service::Ingest,
        Service::Ingest,
        Service::Ingest,
    ];
    let (sent, received) = poll_during_kills(&targets).await;
    expect_exactly_once_in_order(&sent, &received);
}

/// Messages in the response of a dying gateway are delivered again, with the same ids.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delivers_all_despite_killed_gateways_chaos_servers() {
    let targets = [
        Service::Gateway,
        Service::Gateway,
        Service::Gateway,
        Service::Dispatcher,
        Service::Ingest,
    ];
    let (sent, received) = poll_during_kills(&targets).await;
    let (first, repetitions) = deduplicate(&received);
    println!("{repetitions} repetitions");
    assert!(
        repetitions <= 3 * 50,
        "at most one page per killed gateway: {repetitions}"
    );
    expect_exactly_once_in_order(&sent, &first);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_back_all_despite_killed_dispatchers_chaos_servers() {
    let mut rng = SeededRng::new();
    let mut cluster = ProcessCluster::replicated(&[ALLOWED]).await;
    let context = cluster.context();
    let host = CallbackHost::start().await;
    let url = host.url("/");
    context
        .store
        .set_callback_url(&context.account.agent, Some(&url))
        .await
        .unwrap();
    let load = LoadGenerator::new(10, 40);
    let targets = vec![Service::Dispatcher, Service::Dispatcher, Service::Ingest];
    let (sent, ()) = tokio::join!(load.run(&context), kill_in_turn(&mut cluster, &load, &mut rng, targets));
    let started = Instant::now();
    while !received_all(&sent, &received_by(&host)) && started.elapsed() < TAKEOVER_TIMEOUT {
        tokio::time::sleep(Duration::from_millis(100)).await; // not a synchronisation: the pause between two polls
    }
    let received = received_by(&host);
    let (first, repetitions) = deduplicate(&received);
    println!(
        "{} callbacks, {repetitions} repetitions, {:?} after the last message",
        received.len(),
        started.elapsed()
    );
    assert!(
        repetitions <= 2,
        "a dispatcher killed before it stores the result repeats one callback: {repetitions}"
    );
    expect_exactly_once_in_order(&sent, &first);
    assert!(
        poll_messages(&context.gateways, &context.account.token)
            .await
            .is_some_and(|waiting| waiting.is_empty())
    );
}
