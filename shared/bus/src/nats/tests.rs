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

/// What a service does: it keeps the position itself, and after an error opens its reader anew. Ends once it has read
/// up to `last`.
async fn follow(bus: &NatsBus, last: u64) -> Vec<u64> {
    let (mut read, mut reader) = (Vec::new(), None);
    while read.last() != Some(&last) {
        let position = read.last().copied().unwrap_or(0);
        let open = match &mut reader {
            Some(reader) => reader,
            none => match bus.read_log("EVENTS", "events.>", position).await {
                Ok(opened) => none.insert(opened),
                Err(_) => {
                    recover(bus).await;
                    continue;
                }
            },
        };
        match open.next(7, SOON).await {
            Ok(logged) => read.extend(logged.iter().map(|logged| logged.sequence)),
            Err(_) => reader = None,
        }
    }
    read
}

/// Again and again until it is kept.
async fn append_surely(bus: &NatsBus, id: u64) {
    while bus
        .append("events.a", &id.to_string(), Headers::new(), Bytes::new())
        .await
        .is_err()
    {
        recover(bus).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_is_read_in_order_across_restarts_of_the_server() {
    const COUNT: u64 = 600;
    let mut server = Nats::start().await;
    let reading = NatsBus::connect(&server.url(), "reading").await.unwrap();
    let writing = NatsBus::connect(&server.url(), "writing").await.unwrap();
    writing.create_stream(&EVENTS).await.unwrap();
    let write_and_restart = async {
        for id in 1..=COUNT {
            append_surely(&writing, id).await;
            if id % 200 == 100 {
                server.stop().await;
                server.start_again().await;
            }
        }
    };
    let (read, ()) = timeout(LONG, async { tokio::join!(follow(&reading, COUNT), write_and_restart) })
        .await
        .unwrap();
    assert_eq!(read, (1..=COUNT).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_is_read_in_order_across_lost_connections() {
    const COUNT: u64 = 2_000;
    let server = Nats::start().await;
    let proxy = Proxy::start(&server.address()).await;
    let reading = NatsBus::connect(&proxy.url("nats"), "reading").await.unwrap();
    let writing = NatsBus::connect(&server.url(), "writing").await.unwrap();
    writing.create_stream(&EVENTS).await.unwrap();
    let write_and_cut = async {
        for id in 1..=COUNT {
            append_surely(&writing, id).await;
            if id % 250 == 0 && id < COUNT {
                proxy.cut().await;
            }
        }
    };
    let (read, ()) = timeout(LONG, async { tokio::join!(follow(&reading, COUNT), write_and_cut) })
        .await
        .unwrap();
    assert_eq!(read, (1..=COUNT).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_reader_whose_consumer_is_gone_goes_on_by_itself() {
    let server = Nats::start().await;
    let bus = NatsBus::connect(&server.url(), "test").await.unwrap();
    bus.create_stream(&EVENTS).await.unwrap();
    let mut reader = bus.read_log("EVENTS", "events.>", 0).await.unwrap();
    for id in 1..=5 {
        append_surely(&bus, id).await;
        let logged = reader.next(10, LONG).await.unwrap();
        assert_eq!(logged.iter().map(|logged| logged.sequence).collect::<Vec<_>>(), [id]);
        let stream = bus.jetstream.get_stream("EVENTS").await.unwrap();
        let consumers: Vec<_> = stream.consumer_names().map(Result::unwrap).collect().await;
        assert_eq!(consumers.len(), 1);
        stream.delete_consumer(&consumers[0]).await.unwrap();
    }
}

#[tokio::test]
async fn a_message_lost_on_its_way_is_read_again() {
    let server = Nats::start().await;
    let bus = NatsBus::connect(&server.url(), "test").await.unwrap();
    bus.create_stream(&EVENTS).await.unwrap();
    let mut reader = bus.read_log("EVENTS", "events.>", 0).await.unwrap();
    // Somebody else takes one from the reader's consumer: the reader sees the same as when it is lost.
    let stream = bus.jetstream.get_stream("EVENTS").await.unwrap();
    let consumers: Vec<_> = stream.consumer_names().map(Result::unwrap).collect().await;
    let consumer: async_nats::jetstream::consumer::PullConsumer = stream.get_consumer(&consumers[0]).await.unwrap();
    let mut stolen = consumer.batch().max_messages(1).expires(LONG).messages().await.unwrap();
    for id in 1..=4 {
        append_surely(&bus, id).await;
    }
    stolen.next().await.unwrap().unwrap();
    let mut read = Vec::new();
    while read.len() < 4 {
        let logged = reader.next(10, LONG).await.unwrap();
        read.extend(logged.iter().map(|logged| logged.sequence));
    }
    assert_eq!(read, [1, 2, 3, 4]);
}

/// Longer than the server keeps a request.
#[tokio::test]
async fn a_reader_outlives_its_requests() {
    let server = Nats::start().await;
    let bus = NatsBus::connect(&server.url(), "test").await.unwrap();
    bus.create_stream(&EVENTS).await.unwrap();
    let mut reader = bus.read_log("EVENTS", "events.>", 0).await.unwrap();
    append_surely(&bus, 1).await;
    assert_eq!(reader.next(10, LONG).await.unwrap().len(), 1);
    assert_eq!(reader.next(10, Duration::from_millis(5_500)).await.unwrap(), []);
    append_surely(&bus, 2).await;
    assert_eq!(reader.next(10, LONG).await.unwrap().len(), 1);
    let stream = bus.jetstream.get_stream("EVENTS").await.unwrap();
    assert_eq!(stream.consumer_names().count().await, 1, "it never had to begin anew");
}

#[tokio::test]
async fn a_reader_is_not_held_up_by_a_server_that_hangs() {
    let server = Nats::start().await;
    let proxy = Proxy::start(&server.address()).await;
    let bus = NatsBus::connect(&proxy.url("nats"), "test").await.unwrap();
    bus.create_stream(&EVENTS).await.unwrap();
    append_surely(&bus, 1).await;
    let mut reader = bus.read_log("EVENTS", "events.>", 0).await.unwrap();
    assert_eq!(reader.next(10, LONG).await.unwrap().len(), 1);
    proxy.stall().await;
    let start = Instant::now();
    assert_eq!(reader.next(10, SOON).await.unwrap(), []);
    assert!(start.elapsed() < 2 * SOON);
    proxy.heal().await;
    recover(&bus).await;
    append_surely(&bus, 2).await;
    assert_eq!(reader.next(10, LONG).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_position_holds_when_all_is_too_old_and_the_server_restarts() {
    let mut server = Nats::start().await;
    let bus = NatsBus::connect(&server.url(), "test").await.unwrap();
    let short = Duration::from_millis(500);
    let spec = StreamSpec {
        dedup_window: short,
        max_age: short,
        ..EVENTS
    };
    bus.create_stream(&spec).await.unwrap();
    for id in 1..=3 {
        append_surely(&bus, id).await;
    }
    let mut reader = bus.read_log("EVENTS", "events.>", 0).await.unwrap();
    let mut read = 0;
    while read < 3 {
        read += reader.next(10, LONG).await.unwrap().len();
    }
    let start = Instant::now();
    while bus
        .jetstream
        .get_stream("EVENTS")
        .await
        .unwrap()
        .cached_info()
        .state
        .messages
        > 0
    {
        assert!(start.elapsed() < LONG / 2);
    }
    server.stop().await;
    server.start_again().await;
    recover(&bus).await;
    let mut reader = bus.read_log("EVENTS", "events.>", 3).await.unwrap();
    append_surely(&bus, 4).await;
    let logged = reader.next(10, LONG).await.unwrap();
    assert_eq!(logged.iter().map(|logged| logged.sequence).collect::<Vec<_>>(), [4]);
}
