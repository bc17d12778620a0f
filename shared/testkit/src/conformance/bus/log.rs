//! Stories of reading a durable stream by position: complete and in order.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use butt_dial_domain::ports::bus::{Bus, BusError};
use bytes::Bytes;
use tokio::task::JoinSet;

use super::{
    WAIT_LIMIT,
    durable::{ALL, EVENTS, ROUNDING, append, assert_no_entries, open_reader, payloads, read, sequences},
    eventually, headers, no_headers, pass,
};

async fn append_all(bus: &dyn Bus, count: usize) {
    for number in 1..=count {
        append(bus, "events.a", &number.to_string()).await;
    }
}

pub async fn reads_log_from_beginning(bus: Arc<dyn Bus>) {
    bus.create_stream(&EVENTS).await.unwrap();
    let sent = headers(&[("traceparent", "00-1-2-01")]);
    let payload = Bytes::from((0..=255).collect::<Vec<u8>>());
    bus.append("events.a", "1", sent.clone(), payload.clone())
        .await
        .unwrap();
    bus.append("events.b.c", "2", no_headers(), Bytes::new()).await.unwrap();
    let mut reader = open_reader(&*bus, ALL, 0).await;
    let entries = read(&mut *reader, 2).await;
    assert_eq!(sequences(&entries), [1, 2]);
    let message = &entries[0].message;
    assert_eq!(
        (message.subject.as_str(), &message.headers, &message.payload),
        ("events.a", &sent, &payload)
    );
    assert_eq!(message.reply_to, None);
    assert_eq!(entries[1].message.subject, "events.b.c");
    assert!(entries[1].message.payload.is_empty());
    assert_no_entries(&mut *reader).await;
}

pub async fn reads_log_from_position(bus: Arc<dyn Bus>) {
    bus.create_stream(&EVENTS).await.unwrap();
    append_all(&*bus, 5).await;
    let mut reader = open_reader(&*bus, ALL, 3).await;
    assert_eq!(sequences(&read(&mut *reader, 2).await), [4, 5]);
    let mut reader = open_reader(&*bus, ALL, 5).await;
    assert_no_entries(&mut *reader).await;
    append(&*bus, "events.a", "6").await;
    assert_eq!(sequences(&read(&mut *reader, 1).await), [6]);
}

pub async fn filters_log_by_subject(bus: Arc<dyn Bus>) {
    bus.create_stream(&EVENTS).await.unwrap();
    for (subject, payload) in [
        ("events.sms.in", "1"),
        ("events.voice.in", "2"),
        ("events.sms.out", "3"),
        ("events.sms.in.late", "4"),
    ] {
        append(&*bus, subject, payload).await;
    }
    for (filter, expected) in [
        ("events.voice.in", vec!["2"]),
        ("events.sms.in", vec!["1"]),
        ("events.*.in", vec!["1", "2"]),
        ("events.sms.>", vec!["1", "3", "4"]),
        ("events.fax.>", vec![]),
    ] {
        let mut reader = open_reader(&*bus, filter, 0).await;
        assert_eq!(
            payloads(&read(&mut *reader, expected.len()).await),
            expected,
            "{filter}"
        );
        assert_no_entries(&mut *reader).await;
    }
}

pub async fn counts_unread_entries(bus: Arc<dyn Bus>) {
    bus.create_stream(&EVENTS).await.unwrap();
    let mut reader = open_reader(&*bus, "events.a", 0).await;
    assert_eq!(reader.count_unread().await.unwrap(), 0);
    append_all(&*bus, 5).await;
    assert_eq!(reader.count_unread().await.unwrap(), 5);
    assert_eq!(sequences(&read(&mut *reader, 2).await), [1, 2]);
    assert_eq!(reader.count_unread().await.unwrap(), 3);
    let mut other = open_reader(&*bus, "events.a", 4).await;
    assert_eq!(other.count_unread().await.unwrap(), 1);
    read(&mut *reader, 3).await;
    assert_eq!(reader.count_unread().await.unwrap(), 0);
}

pub async fn finds_last_entry_of_subject(bus: Arc<dyn Bus>) {
    bus.create_stream(&EVENTS).await.unwrap();
    assert_eq!(bus.last_position("EVENTS", "events.a").await.unwrap(), 0);
    append_all(&*bus, 3).await;
    append(&*bus, "events.b", "4").await;
    assert_eq!(bus.last_position("EVENTS", "events.a").await.unwrap(), 3);
    assert_eq!(bus.last_position("EVENTS", "events.b").await.unwrap(), 4);
    assert_eq!(bus.last_position("EVENTS", "events.c").await.unwrap(), 0);
}

pub async fn finds_match_behind_many_other_entries(bus: Arc<dyn Bus>) {
    bus.create_stream(&EVENTS).await.unwrap();
    append_concurrently(&bus, 600).await;
    append(&*bus, "events.b.match", "match").await;
    for filter in ["events.b.match", "events.*.match", "events.b.>"] {
        let mut reader = open_reader(&*bus, filter, 0).await;
        let entries = reader.next(1, WAIT_LIMIT).await.unwrap();
        assert_eq!(sequences(&entries), [601], "{filter}");
    }
    let mut reader = open_reader(&*bus, "events.*.match", 0).await;
    read(&mut *reader, 1).await;
    append(&*bus, "events.b.match", "again").await;
    assert_eq!(sequences(&read(&mut *reader, 1).await), [602]);
}

pub async fn returns_available_entries_at_once_up_to_max(bus: Arc<dyn Bus>) {
    bus.create_stream(&EVENTS).await.unwrap();
    append_all(&*bus, 5).await;
    let mut reader = open_reader(&*bus, ALL, 0).await;
    let start = Instant::now();
    assert_eq!(reader.next(0, WAIT_LIMIT).await.unwrap(), []);
    assert_eq!(sequences(&reader.next(1, WAIT_LIMIT).await.unwrap()), [1]);
    assert_eq!(
        sequences(&reader.next(1, Duration::ZERO).await.unwrap()),
        [2],
        "without a wait"
    );
    assert_eq!(sequences(&read(&mut *reader, 3).await), [3, 4, 5]);
    assert!(start.elapsed() < WAIT_LIMIT / 2);
}

pub async fn returns_empty_after_wait(bus: Arc<dyn Bus>) {
    bus.create_stream(&EVENTS).await.unwrap();
    append(&*bus, "events.b", "other subject").await;
    let mut reader = open_reader(&*bus, "events.a", 0).await;
    let wait = Duration::from_millis(300);
    let start = Instant::now();
    assert_eq!(reader.next(5, wait).await.unwrap(), []);
    assert!(start.elapsed() >= wait - ROUNDING && start.elapsed() < WAIT_LIMIT / 2);
    assert_eq!(reader.next(5, Duration::ZERO).await.unwrap(), []);
}

pub async fn wakes_reader_on_append(bus: Arc<dyn Bus>) {
    bus.create_stream(&EVENTS).await.unwrap();
    let mut reader = open_reader(&*bus, "events.*.in", 0).await;
    for round in 0..20 {
        let start = Instant::now();
        let payload = round.to_string();
        let (entries, _) = tokio::join!(read(&mut *reader, 1), async {
            // Usually the reader waits by then. The story holds in either case.
            pass(Duration::from_millis(10)).await;
            append(&*bus, "events.sms.in", &payload).await
        });
        assert!(start.elapsed() < WAIT_LIMIT / 4);
        assert_eq!(payloads(&entries), [payload]);
    }
}

/// Appends `count` messages from one task each.
async fn append_concurrently(bus: &Arc<dyn Bus>, count: usize) {
    let mut appends = JoinSet::new();
    for number in 1..=count {
        let bus = bus.clone();
        appends.spawn(async move { append(&*bus, "events.a", &number.to_string()).await.sequence });
    }
    let mut numbers = appends.join_all().await;
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=count as u64).collect::<Vec<_>>());
}

pub async fn reads_burst_completely_in_order(bus: Arc<dyn Bus>) {
    const COUNT: usize = 2_000;
    bus.create_stream(&EVENTS).await.unwrap();
    append_concurrently(&bus, COUNT).await;
    let mut reader = open_reader(&*bus, ALL, 0).await;
    let entries = read(&mut *reader, COUNT).await;
    assert_eq!(sequences(&entries), (1..=COUNT as u64).collect::<Vec<_>>());
    let mut sent: Vec<usize> = payloads(&entries)
        .iter()
        .map(|payload| payload.parse().unwrap())
        .collect();
    sent.sort_unstable();
    assert_eq!(sent, (1..=COUNT).collect::<Vec<_>>(), "each once");
    assert_no_entries(&mut *reader).await;
}

pub async fn keeps_order_during_concurrent_appends(bus: Arc<dyn Bus>) {
    const WRITERS: usize = 8;
    const EACH: usize = 50;
    bus.create_stream(&EVENTS).await.unwrap();
    let mut reader = open_reader(&*bus, ALL, 0).await;
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let bus = bus.clone();
        writers.spawn(async move {
            for number in 0..EACH {
                append(&*bus, &format!("events.{writer}"), &format!("{writer}.{number:02}")).await;
            }
        });
    }
    let entries = read(&mut *reader, WRITERS * EACH).await;
    writers.join_all().await;
    assert_eq!(
        sequences(&entries),
        (1..=(WRITERS * EACH) as u64).collect::<Vec<_>>(),
        "complete and in order"
    );
    for writer in 0..WRITERS {
        let by_writer: Vec<_> = payloads(&entries)
            .into_iter()
            .filter(|payload| payload.starts_with(&format!("{writer}.")))
            .collect();
        assert_eq!(by_writer.len(), EACH);
        assert!(by_writer.is_sorted(), "{by_writer:?}");
    }
}

pub async fn isolates_two_readers(bus: Arc<dyn Bus>) {
    bus.create_stream(&EVENTS).await.unwrap();
    append_all(&*bus, 4).await;
    let (mut first, mut second) = (open_reader(&*bus, ALL, 0).await, open_reader(&*bus, ALL, 0).await);
    assert_eq!(sequences(&read(&mut *first, 3).await), [1, 2, 3]);
    assert_eq!(sequences(&read(&mut *second, 1).await), [1]);
    drop(first);
    assert_eq!(sequences(&read(&mut *second, 3).await), [2, 3, 4]);
}

pub async fn resumes_exactly_at_position(bus: Arc<dyn Bus>) {
    bus.create_stream(&EVENTS).await.unwrap();
    append_all(&*bus, 20).await;
    let mut position = 0;
    for expected in 1..=20 {
        // The dropped readers have received most entries already; that must not matter.
        let mut reader = open_reader(&*bus, ALL, position).await;
        let entries = read(&mut *reader, 1).await;
        assert_eq!(payloads(&entries), [expected.to_string()]);
        position = entries[0].sequence;
    }
}

pub async fn cancelled_read_skips_nothing(bus: Arc<dyn Bus>) {
    const COUNT: usize = 100;
    bus.create_stream(&EVENTS).await.unwrap();
    let mut reader = open_reader(&*bus, ALL, 0).await;
    let mut entries = Vec::new();
    let mut writer = JoinSet::new();
    writer.spawn(async move { append_all(&*bus, COUNT).await });
    let start = Instant::now();
    while entries.len() < COUNT {
        assert!(start.elapsed() < WAIT_LIMIT, "{} of {COUNT} entries", entries.len());
        tokio::select! {
            biased;
            more = reader.next(3, WAIT_LIMIT) => entries.extend(more.unwrap()),
            () = pass(Duration::from_micros(300)) => {}
        }
    }
    writer.join_all().await;
    assert_eq!(sequences(&entries), (1..=COUNT as u64).collect::<Vec<_>>());
}

pub async fn skips_expired_entries_without_waiting(bus: Arc<dyn Bus>) {
    let mut spec = EVENTS;
    spec.max_age = Duration::from_millis(500);
    spec.dedup_window = Duration::from_millis(500);
    bus.create_stream(&spec).await.unwrap();
    append_all(&*bus, 3).await;
    eventually("the entries expire", async || {
        let mut reader = open_reader(&*bus, ALL, 0).await;
        reader.next(10, Duration::ZERO).await.unwrap().is_empty()
    })
    .await;
    let mut reader = open_reader(&*bus, ALL, 1).await;
    append(&*bus, "events.a", "4").await;
    assert_eq!(sequences(&read(&mut *reader, 1).await), [4]);
}

pub async fn rejects_missing_or_shorter_stream(bus: Arc<dyn Bus>) {
    let missing = bus.read_log(EVENTS.name, ALL, 0).await;
    assert!(matches!(missing.err(), Some(BusError::Unavailable(_))), "no stream");
    bus.create_stream(&EVENTS).await.unwrap();
    append_all(&*bus, 2).await;
    let shorter = bus.read_log(EVENTS.name, ALL, 3).await;
    assert!(
        matches!(
            shorter.err(),
            Some(BusError::PositionPastEnd {
                end: 2,
                position: 3,
                ..
            })
        ),
        "new entries would be skipped"
    );
    let invalid = bus.read_log(EVENTS.name, "events..a", 0).await;
    assert!(
        matches!(invalid.err(), Some(BusError::Unavailable(_))),
        "invalid pattern"
    );
}
