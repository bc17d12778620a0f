//! The conformance suite on a real server, and what only a server can do: be away, hang, restart, be shared by replicas.

use std::{sync::Arc, time::Instant};

use butt_dial_testkit::{
    bus_conformance,
    proxy::Proxy,
    servers::{Nats, Redis},
};
use futures::StreamExt as _;
use tokio::time::timeout;

use super::*;

const LONG: Duration = Duration::from_secs(60);
const SOON: Duration = Duration::from_millis(1_500);

const EVENTS: StreamSpec = StreamSpec {
    name: "EVENTS",
    subjects: &["events.>"],
    dedup_window: LONG,
    max_age: LONG,
};

const READER: ConsumerSpec = ConsumerSpec {
    stream: "EVENTS",
    name: "reader",
    filter: "events.>",
    ack_wait: LONG,
    max_deliver: 3,
};

async fn open() -> (Arc<dyn Bus>, Nats) {
    let server = Nats::start().await;
    let bus = NatsBus::connect(&server.url(), "conformance").await.unwrap();
    (Arc::new(bus), server)
}

bus_conformance!(open);

async fn assert_unavailable_soon<T>(what: &str, call: impl Future<Output = Result<T, BusError>>) {
    let start = Instant::now();
    let error = call.await.err().unwrap();
    assert!(matches!(error, BusError::Unavailable(_)), "{what}: {error}");
    assert!(start.elapsed() < SOON, "{what}: {error} after {:?}", start.elapsed());
}

async fn recover(bus: &NatsBus) {
    let start = Instant::now();
    while bus.check().await.is_err() {
        assert!(start.elapsed() < Duration::from_secs(20), "does not recover");
        tokio::time::sleep(Duration::from_millis(5)).await; // not a synchronisation: a pause between two looks
    }
}

#[tokio::test]
async fn while_the_server_is_away_errors_are_quick_and_then_it_recovers() {
    let mut server = Nats::start().await;
    let bus = NatsBus::connect(&server.url(), "test").await.unwrap();
    bus.create_stream(&EVENTS).await.unwrap();
    bus.append("events.a", "1", Headers::new(), Bytes::new()).await.unwrap();
    let reader = bus.consumer(&READER).await.unwrap();
    let delivery = reader.fetch(1, LONG).await.unwrap().remove(0);
    let mut live = bus.subscribe("live").await.unwrap();
    let mut silent = bus.subscribe("silent").await.unwrap();

    // One request and one fetch are under way when the server goes.
    let under_way = async {
        tokio::join!(
            bus.request("silent", Headers::new(), Bytes::new(), LONG),
            async { reader.fetch(1, LONG).await.map(drop) },
            async {
                silent.next().await.unwrap();
                server.kill();
            },
        )
    };
    let (request, fetch, ()) = timeout(LONG / 2, under_way).await.unwrap();
    assert!(matches!(request, Err(BusError::Unavailable(_))), "{request:?}");
    assert!(matches!(fetch, Err(BusError::Unavailable(_))), "{fetch:?}");

    for _ in 0..3 {
        assert_unavailable_soon("publish", bus.publish("live", Headers::new(), Bytes::new())).await;
        assert_unavailable_soon("request", bus.request("live", Headers::new(), Bytes::new(), LONG)).await;
        assert_unavailable_soon("append", bus.append("events.a", "2", Headers::new(), Bytes::new())).await;
        assert_unavailable_soon("fetch", reader.fetch(1, LONG)).await;
        assert_unavailable_soon("subscribe", bus.subscribe("x")).await;
        assert_unavailable_soon("create", bus.create_stream(&EVENTS)).await;
        assert_unavailable_soon("check", bus.check()).await;
    }
    assert_unavailable_soon("in progress", delivery.in_progress()).await;

    server.start_again().await;
    recover(&bus).await;
    let appended = bus.append("events.a", "2", Headers::new(), Bytes::new()).await.unwrap();
    assert_eq!(
        appended,
        Appended {
            sequence: 2,
            duplicate: false
        },
        "nothing was sent late"
    );
    delivery.ack().await.unwrap();
    let next = reader.fetch(10, LONG).await.unwrap();
    assert_eq!(next.iter().map(|delivery| delivery.sequence()).collect::<Vec<_>>(), [2]);
    bus.publish("live", Headers::new(), Bytes::from_static(b"back"))
        .await
        .unwrap();
    let message = timeout(LONG / 2, live.next()).await.unwrap().unwrap();
    assert_eq!(
        message.payload, "back",
        "subscriptions live on, and what failed was not sent late"
    );
}

#[tokio::test]
async fn a_server_that_hangs_is_a_time_out() {
    let server = Nats::start().await;
    let proxy = Proxy::start(&server.address()).await;
    let bus = NatsBus::connect(&proxy.url("nats"), "test").await.unwrap();
    let _listener = bus.subscribe("x").await.unwrap();
    proxy.stall().await;
    let start = Instant::now();
    let deadline = Duration::from_millis(300);
    let error = bus
        .request("x", Headers::new(), Bytes::new(), deadline)
        .await
        .unwrap_err();
    assert_eq!(error, BusError::TimedOut("x".into()));
    assert!(start.elapsed() < SOON);
    proxy.heal().await;
    recover(&bus).await;
    proxy.cut().await;
    recover(&bus).await;
}

#[tokio::test]
async fn connecting_to_nothing_fails_with_the_address_and_without_the_password() {
    let server = Nats::start().await;
    let proxy = Proxy::start(&server.address()).await;
    proxy.refuse().await;
    let url = format!("nats://user:hunter2@{}", proxy.address());
    let start = Instant::now();
    let error = NatsBus::connect(&url, "test").await.err().unwrap().to_string();
    assert!(start.elapsed() < SOON);
    assert!(
        error.contains(&proxy.address()) && !error.contains("hunter2"),
        "{error}"
    );

    // Something else answers there.
    let redis = Redis::start().await;
    let error = NatsBus::connect(&format!("nats://{}", redis.address()), "test")
        .await
        .err()
        .unwrap();
    assert!(matches!(error, BusError::Unavailable(_)), "{error}");
}

#[tokio::test]
async fn replicas_see_each_other_and_share_the_work() {
    let server = Nats::start().await;
    let one = NatsBus::connect(&server.url(), "one").await.unwrap();
    let two = NatsBus::connect(&server.url(), "two").await.unwrap();
    for round in 0..50 {
        let subject = format!("round.{round}");
        let mut reader = one.subscribe(&subject).await.unwrap();
        two.publish(&subject, Headers::new(), Bytes::new()).await.unwrap();
        timeout(LONG / 2, reader.next()).await.unwrap().unwrap();
    }
    one.create_stream(&EVENTS).await.unwrap();
    two.create_stream(&EVENTS).await.unwrap();
    let (first, second) = (
        one.consumer(&READER).await.unwrap(),
        two.consumer(&READER).await.unwrap(),
    );
    one.append("events.a", "1", Headers::new(), Bytes::new()).await.unwrap();
    assert!(
        two.append("events.a", "1", Headers::new(), Bytes::new())
            .await
            .unwrap()
            .duplicate
    );
    let (a, b) = tokio::join!(first.fetch(1, SOON), second.fetch(1, SOON));
    assert_eq!(a.unwrap().len() + b.unwrap().len(), 1);
}

#[tokio::test]
async fn what_an_operator_has_set_stays() {
    let server = Nats::start().await;
    let bus = NatsBus::connect(&server.url(), "test").await.unwrap();
    bus.create_stream(&EVENTS).await.unwrap();
    let mut config = bus
        .jetstream
        .get_stream("EVENTS")
        .await
        .unwrap()
        .cached_info()
        .config
        .clone();
    config.max_bytes = 1_000_000;
    bus.jetstream.update_stream(config).await.unwrap();
    bus.create_stream(&StreamSpec {
        max_age: 2 * LONG,
        ..EVENTS
    })
    .await
    .unwrap();
    let config = bus
        .jetstream
        .get_stream("EVENTS")
        .await
        .unwrap()
        .cached_info()
        .config
        .clone();
    assert_eq!((config.max_bytes, config.max_age), (1_000_000, 2 * LONG));
}
