//! The conformance suite on a real server, and tests of outages, stalls, restarts and several replicas.

use std::{sync::Arc, time::Instant};

use butt_dial_domain::ports::bus::LogEntry;
use butt_dial_testkit::{
    bus_conformance,
    proxy::Proxy,
    servers::{Nats, Redis},
};
use futures::StreamExt as _;
use tokio::time::timeout;

use super::*;

const LONG: Duration = Duration::from_secs(60);
const AT_ONCE: Duration = Duration::from_millis(1_500);

const EVENTS: StreamSpec = StreamSpec {
    name: "EVENTS",
    subjects: &["events.>"],
    dedup_window: LONG,
    max_age: LONG,
};

async fn open() -> (Arc<dyn Bus>, Nats) {
    let server = Nats::start().await;
    let bus = NatsBus::connect(&server.url(), "conformance").await.unwrap();
    (Arc::new(bus), server)
}

bus_conformance!(open);

async fn assert_unavailable_at_once<T>(what: &str, call: impl Future<Output = Result<T, BusError>>) {
    let start = Instant::now();
    let error = call.await.err().unwrap();
    assert!(matches!(error, BusError::Unavailable(_)), "{what}: {error}");
    assert!(start.elapsed() < AT_ONCE, "{what}: {error} after {:?}", start.elapsed());
}

async fn recover(bus: &NatsBus) {
    let start = Instant::now();
    while bus.check().await.is_err() {
        assert!(start.elapsed() < Duration::from_secs(20), "does not recover");
        tokio::time::sleep(Duration::from_millis(5)).await; // not a synchronisation: a pause between two polls
    }
}

#[tokio::test]
async fn fails_at_once_during_outage_and_recovers() {
    let mut server = Nats::start().await;
    let bus = NatsBus::connect(&server.url(), "test").await.unwrap();
    bus.create_stream(&EVENTS).await.unwrap();
    bus.append("events.a", "1", Headers::new(), Bytes::new()).await.unwrap();
    let mut reader = bus.read_log("EVENTS", "events.>", 0).await.unwrap();
    assert_eq!(sequences(&reader.next(1, LONG).await.unwrap()), [1]);
    let mut live = bus.subscribe("live").await.unwrap();
    let mut silent = bus.subscribe("silent").await.unwrap();

    // One request and one read are in flight when the server is killed.
    let in_flight = async {
        tokio::join!(
            bus.request("silent", Headers::new(), Bytes::new(), LONG),
            async { reader.next(1, LONG).await.map(drop) },
            async {
                silent.next().await.unwrap();
                server.kill();
            },
        )
    };
    let (request, read, ()) = timeout(LONG / 2, in_flight).await.unwrap();
    assert!(matches!(request, Err(BusError::Unavailable(_))), "{request:?}");
    assert!(matches!(read, Err(BusError::Unavailable(_))), "{read:?}");

    for _ in 0..3 {
        assert_unavailable_at_once("publish", bus.publish("live", Headers::new(), Bytes::new())).await;
        assert_unavailable_at_once("request", bus.request("live", Headers::new(), Bytes::new(), LONG)).await;
        assert_unavailable_at_once("append", bus.append("events.a", "2", Headers::new(), Bytes::new())).await;
        assert_unavailable_at_once("read", reader.next(1, LONG)).await;
        assert_unavailable_at_once("subscribe", bus.subscribe("x")).await;
        assert_unavailable_at_once("create", bus.create_stream(&EVENTS)).await;
        assert_unavailable_at_once("check", bus.check()).await;
    }

    server.start_again().await;
    recover(&bus).await;
    let appended = bus.append("events.a", "2", Headers::new(), Bytes::new()).await.unwrap();
    assert_eq!(
        appended,
        Appended {
            sequence: 2,
            duplicate: false
        },
        "the failed appends were not sent later"
    );
    let mut reader = bus.read_log("EVENTS", "events.>", 1).await.unwrap();
    assert_eq!(sequences(&reader.next(10, LONG).await.unwrap()), [2]);
    bus.publish("live", Headers::new(), Bytes::from_static(b"back"))
        .await
        .unwrap();
    let message = timeout(LONG / 2, live.next()).await.unwrap().unwrap();
    assert_eq!(
        message.payload, "back",
        "the subscription survives, and failed messages were not sent later"
    );
}

#[tokio::test]
async fn times_out_on_stalled_server() {
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
    assert!(start.elapsed() < AT_ONCE);
    proxy.heal().await;
    recover(&bus).await;
    proxy.cut().await;
    recover(&bus).await;
}

#[tokio::test]
async fn connect_error_has_address_without_password() {
    let server = Nats::start().await;
    let proxy = Proxy::start(&server.address()).await;
    proxy.refuse().await;
    let url = format!("nats://user:hunter2@{}", proxy.address());
    let start = Instant::now();
    let error = NatsBus::connect(&url, "test").await.err().unwrap().to_string();
    assert!(start.elapsed() < AT_ONCE);
    assert!(
        error.contains(&proxy.address()) && !error.contains("hunter2"),
        "{error}"
    );

    // Another kind of server responds at the address.
    let redis = Redis::start().await;
    let error = NatsBus::connect(&format!("nats://{}", redis.address()), "test")
        .await
        .err()
        .unwrap();
    assert!(matches!(error, BusError::Unavailable(_)), "{error}");
}

#[tokio::test]
async fn replicas_share_messages_and_streams() {
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
    one.append("events.a", "1", Headers::new(), Bytes::new()).await.unwrap();
    assert!(
        two.append("events.a", "1", Headers::new(), Bytes::new())
            .await
            .unwrap()
            .duplicate
    );
    for bus in [&one, &two] {
        let mut reader = bus.read_log("EVENTS", "events.>", 0).await.unwrap();
        assert_eq!(sequences(&reader.next(10, LONG).await.unwrap()), [1]);
    }
}

#[tokio::test]
async fn keeps_settings_of_operator() {
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

fn sequences(entries: &[LogEntry]) -> Vec<u64> {
    entries.iter().map(|entry| entry.sequence).collect()
}

/// Reads up to `last` like a service: keeps the position itself and opens a new reader after an error.
async fn read_until(bus: &NatsBus, last: u64) -> Vec<u64> {
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
        match open.next(7, AT_ONCE).await {
            Ok(entries) => read.extend(sequences(&entries)),
            Err(_) => reader = None,
        }
    }
    read
}

/// Repeats the append until it succeeds.
async fn append_with_retry(bus: &NatsBus, id: u64) {
    while bus
        .append("events.a", &id.to_string(), Headers::new(), Bytes::new())
        .await
        .is_err()
    {
        recover(bus).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_log_in_order_across_server_restarts() {
    const COUNT: u64 = 600;
    let mut server = Nats::start().await;
    let reading = NatsBus::connect(&server.url(), "reading").await.unwrap();
    let writing = NatsBus::connect(&server.url(), "writing").await.unwrap();
    writing.create_stream(&EVENTS).await.unwrap();
    let write_and_restart = async {
        for id in 1..=COUNT {
            append_with_retry(&writing, id).await;
            if id % 200 == 100 {
                server.stop().await;
                server.start_again().await;
            }
        }
    };
    let (read, ()) = timeout(LONG, async {
        tokio::join!(read_until(&reading, COUNT), write_and_restart)
    })
    .await
    .unwrap();
    assert_eq!(read, (1..=COUNT).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_log_in_order_across_lost_connections() {
    const COUNT: u64 = 2_000;
    let server = Nats::start().await;
    let proxy = Proxy::start(&server.address()).await;
    let reading = NatsBus::connect(&proxy.url("nats"), "reading").await.unwrap();
    let writing = NatsBus::connect(&server.url(), "writing").await.unwrap();
    writing.create_stream(&EVENTS).await.unwrap();
    let write_and_cut = async {
        for id in 1..=COUNT {
            append_with_retry(&writing, id).await;
            if id % 250 == 0 && id < COUNT {
                proxy.cut().await;
            }
        }
    };
    let (read, ()) = timeout(LONG, async { tokio::join!(read_until(&reading, COUNT), write_and_cut) })
        .await
        .unwrap();
    assert_eq!(read, (1..=COUNT).collect::<Vec<_>>());
}

#[tokio::test]
async fn recreates_deleted_consumer() {
    let server = Nats::start().await;
    let bus = NatsBus::connect(&server.url(), "test").await.unwrap();
    bus.create_stream(&EVENTS).await.unwrap();
    let mut reader = bus.read_log("EVENTS", "events.>", 0).await.unwrap();
    for id in 1..=5 {
        append_with_retry(&bus, id).await;
        let entries = reader.next(10, LONG).await.unwrap();
        assert_eq!(sequences(&entries), [id]);
        let stream = bus.jetstream.get_stream("EVENTS").await.unwrap();
        let consumers: Vec<_> = stream.consumer_names().map(Result::unwrap).collect().await;
        assert_eq!(consumers.len(), 1);
        stream.delete_consumer(&consumers[0]).await.unwrap();
    }
}

#[tokio::test]
async fn reads_message_lost_in_transit_again() {
    let server = Nats::start().await;
    let bus = NatsBus::connect(&server.url(), "test").await.unwrap();
    bus.create_stream(&EVENTS).await.unwrap();
    let mut reader = bus.read_log("EVENTS", "events.>", 0).await.unwrap();
    // Another client pulls a message from the reader's consumer. The reader can't distinguish this from a loss.
    let stream = bus.jetstream.get_stream("EVENTS").await.unwrap();
    let consumers: Vec<_> = stream.consumer_names().map(Result::unwrap).collect().await;
    let consumer: async_nats::jetstream::consumer::PullConsumer = stream.get_consumer(&consumers[0]).await.unwrap();
    let mut stolen = consumer.batch().max_messages(1).expires(LONG).messages().await.unwrap();
    for id in 1..=4 {
        append_with_retry(&bus, id).await;
    }
    stolen.next().await.unwrap().unwrap();
    let mut read = Vec::new();
    while read.len() < 4 {
        let entries = reader.next(10, LONG).await.unwrap();
        read.extend(sequences(&entries));
    }
    assert_eq!(read, [1, 2, 3, 4]);
}

/// Waits longer than the expiry of a pull request.
#[tokio::test]
async fn reader_outlives_its_pull_requests() {
    let server = Nats::start().await;
    let bus = NatsBus::connect(&server.url(), "test").await.unwrap();
    bus.create_stream(&EVENTS).await.unwrap();
    let mut reader = bus.read_log("EVENTS", "events.>", 0).await.unwrap();
    append_with_retry(&bus, 1).await;
    assert_eq!(reader.next(10, LONG).await.unwrap().len(), 1);
    assert_eq!(reader.next(10, Duration::from_millis(5_500)).await.unwrap(), []);
    append_with_retry(&bus, 2).await;
    assert_eq!(reader.next(10, LONG).await.unwrap().len(), 1);
    let stream = bus.jetstream.get_stream("EVENTS").await.unwrap();
    assert_eq!(
        stream.consumer_names().count().await,
        1,
        "the consumer was not recreated"
    );
}

#[tokio::test]
async fn reader_returns_in_time_on_stalled_server() {
    let server = Nats::start().await;
    let proxy = Proxy::start(&server.address()).await;
    let bus = NatsBus::connect(&proxy.url("nats"), "test").await.unwrap();
    bus.create_stream(&EVENTS).await.unwrap();
    append_with_retry(&bus, 1).await;
    let mut reader = bus.read_log("EVENTS", "events.>", 0).await.unwrap();
    assert_eq!(reader.next(10, LONG).await.unwrap().len(), 1);
    proxy.stall().await;
    let start = Instant::now();
    assert_eq!(reader.next(10, AT_ONCE).await.unwrap(), []);
    assert!(start.elapsed() < 2 * AT_ONCE);
    proxy.heal().await;
    recover(&bus).await;
    append_with_retry(&bus, 2).await;
    assert_eq!(reader.next(10, LONG).await.unwrap().len(), 1);
}

#[tokio::test]
async fn position_survives_expiry_and_server_restart() {
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
        append_with_retry(&bus, id).await;
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
    append_with_retry(&bus, 4).await;
    let entries = reader.next(10, LONG).await.unwrap();
    assert_eq!(sequences(&entries), [4]);
}

#[tokio::test]
async fn uses_credentials_of_url() {
    let with_user = Nats::start_with(&["--user", "bd", "--pass", "s3:cret/"]).await;
    let url = |credentials: &str, server: &Nats| format!("nats://{credentials}@{}", server.address());
    NatsBus::connect(&url("bd:s3%3Acret%2F", &with_user), "test")
        .await
        .unwrap();
    let with_token = Nats::start_with(&["--auth", "t0ken"]).await;
    NatsBus::connect(&url("t0ken", &with_token), "test").await.unwrap();
    for (credentials, server) in [("bd:wrong", &with_user), ("wrong", &with_token)] {
        let error = NatsBus::connect(&url(credentials, server), "test").await.err().unwrap();
        assert!(!error.to_string().contains("wrong"), "{error}");
    }
}

#[tokio::test]
async fn append_recreates_stream_of_server_with_empty_disks() {
    let mut server = Nats::start().await;
    let bus = NatsBus::connect(&server.url(), "test").await.unwrap();
    bus.create_stream(&EVENTS).await.unwrap();
    append_with_retry(&bus, 1).await;
    server.kill();
    server.erase();
    server.start_again().await;
    let start = Instant::now();
    while let Err(error) = bus.append("events.a", "2", Headers::new(), Bytes::new()).await {
        assert!(start.elapsed() < LONG / 3, "{error}");
        tokio::time::sleep(Duration::from_millis(5)).await; // not a synchronisation: a pause between two polls
    }
    let mut reader = bus.read_log("EVENTS", "events.>", 0).await.unwrap();
    assert_eq!(sequences(&reader.next(10, LONG).await.unwrap()), [1]);
    let error = bus
        .append("other", "1", Headers::new(), Bytes::new())
        .await
        .unwrap_err();
    assert_eq!(error, no_stream_for("other"));
}

#[tokio::test]
async fn check_recreates_deleted_stream() {
    let server = Nats::start().await;
    let bus = NatsBus::connect(&server.url(), "test").await.unwrap();
    bus.create_stream(&EVENTS).await.unwrap();
    bus.jetstream.delete_stream("EVENTS").await.unwrap();
    bus.check().await.unwrap();
    bus.jetstream.get_stream("EVENTS").await.unwrap();
}

#[tokio::test]
async fn full_stream_refuses_messages_and_fails_check() {
    let server = Nats::start().await;
    let settings = StreamSettings {
        replicas: Replicas::Auto,
        max_bytes: Some(20_000),
    };
    let bus = NatsBus::connect(&server.url(), "test")
        .await
        .unwrap()
        .with_streams(settings);
    bus.create_stream(&EVENTS).await.unwrap();
    let payload = || Bytes::from(vec![b'x'; 9_000]);
    for _ in 0..2 {
        bus.append("events.a", "", Headers::new(), payload()).await.unwrap();
        bus.check().await.unwrap();
    }
    bus.append("events.a", "", Headers::new(), payload()).await.unwrap_err();
    assert!(
        bus.check()
            .await
            .unwrap_err()
            .to_string()
            .contains("NATS_STREAM_MAX_BYTES")
    );
    assert_eq!(read_until(&bus, 2).await, [1, 2], "unread messages stay");
    bus.jetstream.get_stream("EVENTS").await.unwrap().purge().await.unwrap();
    bus.check().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stream_with_three_copies_survives_loss_of_its_leader() {
    let mut servers = Nats::start_cluster(3).await;
    let url = servers.iter().map(Nats::url).collect::<Vec<_>>().join(",");
    // An older version created the stream with one copy.
    let old = NatsBus::connect(&url, "old").await.unwrap();
    old.create_stream(&EVENTS).await.unwrap();
    let settings = StreamSettings {
        replicas: Replicas::Auto,
        max_bytes: None,
    };
    let bus = NatsBus::connect(&url, "test").await.unwrap().with_streams(settings);
    bus.create_stream(&EVENTS).await.unwrap();
    let stream = bus.jetstream.get_stream("EVENTS").await.unwrap();
    assert_eq!(stream.cached_info().config.num_replicas, 3);
    append_with_retry(&bus, 1).await;
    let start = Instant::now();
    let leader = loop {
        let info = bus.jetstream.get_stream("EVENTS").await.unwrap().cached_info().clone();
        let cluster = info.cluster.unwrap();
        let is_copied = cluster.replicas.len() == 2 && cluster.replicas.iter().all(|copy| copy.current);
        if let Some(leader) = cluster.leader.filter(|_| is_copied) {
            break leader;
        }
        assert!(start.elapsed() < LONG / 2, "no copies");
        tokio::time::sleep(Duration::from_millis(20)).await; // not a synchronisation: a pause between two polls
    };
    servers[leader.trim_start_matches('n').parse::<usize>().unwrap()].kill();
    let killed = Instant::now();
    append_with_retry(&bus, 2).await;
    assert!(killed.elapsed() < Duration::from_secs(25), "{:?}", killed.elapsed());
    assert_eq!(read_until(&bus, 2).await, [1, 2]);
    recover(&bus).await;
    let copies = bus.stream_copies();
    assert_eq!(
        (copies[0].stream, copies[0].current, copies[0].wanted),
        ("EVENTS", 2, 3)
    );
}

/// Two releases run side by side; each creates the stream with its own subjects, whenever one of its processes starts.
#[tokio::test]
async fn keeps_subjects_of_another_release() {
    let server = Nats::start().await;
    let bus = NatsBus::connect(&server.url(), "test").await.unwrap();
    let other = StreamSpec {
        subjects: &["events.>", "more.*"],
        ..EVENTS
    };
    bus.create_stream(&other).await.unwrap();
    let older = NatsBus::connect(&server.url(), "older").await.unwrap();
    older.create_stream(&EVENTS).await.unwrap();
    older.check().await.unwrap();
    let mut stream = bus.jetstream.get_stream("EVENTS").await.unwrap();
    assert_eq!(stream.info().await.unwrap().config.subjects, other.subjects);
    bus.append("more.a", "1", Headers::new(), Bytes::new()).await.unwrap();
}

/// The server acknowledges messages before it syncs them, and reuses the numbers of those that it lost.
#[tokio::test]
async fn notices_reused_numbers_of_lost_messages() {
    let mut server = Nats::start().await;
    let bus = NatsBus::connect(&server.url(), "test").await.unwrap();
    bus.create_stream(&EVENTS).await.unwrap();
    let append = async |id: &str| {
        let start = Instant::now();
        while let Err(error) = bus.append("events.a", id, Headers::new(), Bytes::new()).await {
            assert!(start.elapsed() < LONG / 3, "{error}");
            tokio::time::sleep(Duration::from_millis(5)).await; // not a synchronisation: a pause between two polls
        }
    };
    for id in ["1", "2"] {
        append(id).await;
    }
    server.stop().await;
    server.save();
    server.start_again().await;
    append("3").await;
    let mut reader = bus.read_log("EVENTS", "events.>", 0).await.unwrap();
    let mut read = Vec::new();
    while read.len() < 3 {
        read.extend(reader.next(10, LONG).await.unwrap());
    }
    let ids: Vec<&str> = read.iter().map(|entry| entry.id.as_str()).collect();
    assert_eq!(ids, ["1", "2", "3"]);

    let before = butt_dial_domain::Clock::System.now();
    server.kill();
    server.restore();
    server.start_again().await;
    for id in ["4", "5"] {
        append(id).await;
    }
    let after = |id: &str| LogPosition {
        sequence: 3,
        id: id.into(),
    };
    let lost = BusError::OtherEntry {
        stream: "EVENTS".into(),
        position: 3,
    };
    let opened = bus.read_log_after("EVENTS", "events.>", after("3")).await;
    assert_eq!(opened.err().unwrap(), lost);
    let start = Instant::now();
    let error = loop {
        match reader.next(10, AT_ONCE).await {
            Err(BusError::Unavailable(_)) => recover(&bus).await,
            Err(error) => break error,
            Ok(entries) => assert_eq!(entries, [], "the reader has not reconnected yet"),
        }
        assert!(start.elapsed() < LONG / 3);
    };
    assert_eq!(error, lost, "the open reader notices it too");
    bus.read_log_after("EVENTS", "events.>", after("4")).await.unwrap();
    bus.read_log_after("EVENTS", "events.>", after("")).await.unwrap();

    let at = |seconds| before + chrono::TimeDelta::seconds(seconds);
    assert_eq!(bus.position_before("EVENTS", at(-3_600)).await.unwrap(), 0);
    assert_eq!(bus.position_before("EVENTS", at(3_600)).await.unwrap(), 4);
    let position = bus.position_before("EVENTS", at(0)).await.unwrap();
    assert!(position <= 2, "{position}");
}

/// NATS 2.9 accepts three copies on a single server, and then can't restore the stream.
#[tokio::test]
async fn single_server_keeps_one_copy_and_restarts() {
    let mut server = Nats::start().await;
    let settings = StreamSettings {
        replicas: Replicas::Auto,
        max_bytes: None,
    };
    let connect = async |name| {
        NatsBus::connect(&server.url(), name)
            .await
            .unwrap()
            .with_streams(settings)
    };
    let (first, second) = (connect("first").await, connect("second").await);
    first.create_stream(&EVENTS).await.unwrap();
    second.create_stream(&EVENTS).await.unwrap();
    second.check().await.unwrap();
    let mut stream = second.jetstream.get_stream("EVENTS").await.unwrap();
    assert_eq!(stream.info().await.unwrap().config.num_replicas, 1);
    first
        .append("events.a", "1", Headers::new(), Bytes::new())
        .await
        .unwrap();
    server.stop().await;
    server.start_again().await;
    recover(&second).await;
    assert_eq!(read_until(&second, 1).await, [1]);
}
