//! Stories of durable streams: who gets which message, and when.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use butt_dial_domain::ports::bus::{Bus, ConsumerSpec};
use tokio::task::JoinSet;

use super::{
    PATIENCE,
    durable::{EVENTS, GLANCE, READER, ROUNDING, append, fetch, nothing, one, payloads},
    eventually, pass, text,
};

pub async fn a_filter_lets_only_its_own_through(bus: Arc<dyn Bus>) {
    bus.create_stream(&EVENTS).await.unwrap();
    for (subject, payload) in [
        ("events.sms.in", "1"),
        ("events.voice.in", "2"),
        ("events.sms.out", "3"),
        ("events.sms.in.late", "4"),
    ] {
        append(&*bus, subject, payload).await;
    }
    for (name, filter, expected) in [
        ("exact", "events.voice.in", vec!["2"]),
        ("star", "events.*.in", vec!["1", "2"]),
        ("tail", "events.sms.>", vec!["1", "3", "4"]),
        ("none", "events.fax.>", vec![]),
    ] {
        let reader = bus.consumer(&ConsumerSpec { name, filter, ..READER }).await.unwrap();
        let deliveries = reader.fetch(10, 2 * GLANCE).await.unwrap();
        assert_eq!(payloads(&deliveries), expected, "{filter}");
        nothing(&*reader).await;
    }
}

pub async fn fetch_returns_at_once_with_what_there_is(bus: Arc<dyn Bus>) {
    bus.create_stream(&EVENTS).await.unwrap();
    for number in 0..5 {
        append(&*bus, "events.a", &number.to_string()).await;
    }
    let reader = bus.consumer(&READER).await.unwrap();
    let start = Instant::now();
    assert_eq!(
        payloads(&fetch(&*reader, 2).await),
        ["0", "1"],
        "no more than asked for"
    );
    assert_eq!(
        payloads(&fetch(&*reader, 10).await),
        ["2", "3", "4"],
        "no less than there is"
    );
    assert!(start.elapsed() < PATIENCE / 2);
    assert!(fetch(&*reader, 0).await.is_empty());
}

pub async fn fetch_waits_and_returns_empty(bus: Arc<dyn Bus>) {
    bus.create_stream(&EVENTS).await.unwrap();
    let reader = bus.consumer(&READER).await.unwrap();
    let wait = Duration::from_millis(300);
    let start = Instant::now();
    assert!(reader.fetch(5, wait).await.unwrap().is_empty());
    assert!(start.elapsed() >= wait - ROUNDING && start.elapsed() < PATIENCE / 2);
    assert!(reader.fetch(5, Duration::ZERO).await.unwrap().is_empty());
}

pub async fn fetch_is_woken_by_an_append(bus: Arc<dyn Bus>) {
    bus.create_stream(&EVENTS).await.unwrap();
    let reader = bus.consumer(&READER).await.unwrap();
    for round in 0..20 {
        let start = Instant::now();
        let payload = round.to_string();
        let (delivery, _) = tokio::join!(one(&*reader), async {
            // Most often the fetch waits by now; when it does not, the story holds just as well.
            pass(Duration::from_millis(10)).await;
            append(&*bus, "events.a", &payload).await
        });
        assert!(start.elapsed() < PATIENCE / 4);
        assert_eq!(text(&delivery.message().payload), payload);
        delivery.ack().await.unwrap();
    }
}

pub async fn a_consumer_continues_where_it_stopped(bus: Arc<dyn Bus>) {
    bus.create_stream(&EVENTS).await.unwrap();
    for number in 0..4 {
        append(&*bus, "events.a", &number.to_string()).await;
    }
    let reader = bus.consumer(&READER).await.unwrap();
    for delivery in fetch(&*reader, 2).await {
        delivery.ack().await.unwrap();
    }
    drop(reader);
    let reader = bus.consumer(&READER).await.unwrap();
    assert_eq!(payloads(&fetch(&*reader, 10).await), ["2", "3"]);
}

pub async fn consumers_of_other_names_get_everything(bus: Arc<dyn Bus>) {
    bus.create_stream(&EVENTS).await.unwrap();
    append(&*bus, "events.a", "one").await;
    for name in ["first", "second"] {
        let reader = bus.consumer(&ConsumerSpec { name, ..READER }).await.unwrap();
        one(&*reader).await.ack().await.unwrap();
        nothing(&*reader).await;
    }
}

pub async fn readers_of_one_name_share_the_work(bus: Arc<dyn Bus>) {
    const COUNT: u64 = 200;
    bus.create_stream(&EVENTS).await.unwrap();
    let handled = Arc::new(Mutex::new(Vec::new()));
    let mut readers = JoinSet::new();
    for reader_number in 0..3 {
        let (bus, handled) = (bus.clone(), handled.clone());
        readers.spawn(async move {
            let reader = bus.consumer(&READER).await.unwrap();
            loop {
                for delivery in fetch(&*reader, 7).await {
                    let sequence = delivery.sequence();
                    delivery.ack().await.unwrap();
                    handled.lock().expect("not poisoned").push((sequence, reader_number));
                }
            }
        });
    }
    for number in 0..COUNT {
        append(&*bus, "events.a", &number.to_string()).await;
    }
    let count = || handled.lock().expect("not poisoned").len() as u64;
    eventually("all are handled", async || count() >= COUNT).await;
    readers.shutdown().await;
    let mut sequences: Vec<_> = handled
        .lock()
        .expect("not poisoned")
        .iter()
        .map(|(sequence, _)| *sequence)
        .collect();
    sequences.sort_unstable();
    assert_eq!(sequences, (1..=COUNT).collect::<Vec<_>>(), "each by one of them");
    let busy: BTreeSet<_> = handled
        .lock()
        .expect("not poisoned")
        .iter()
        .map(|(_, reader)| *reader)
        .collect();
    assert!(busy.len() > 1, "the work is shared");
}
