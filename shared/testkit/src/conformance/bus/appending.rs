//! Stories of durable streams: appends, deduplication, settings and expiry.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use butt_dial_domain::ports::bus::{Appended, Bus, BusError, StreamSpec};
use bytes::Bytes;
use tokio::task::JoinSet;

use super::{
    durable::{ALL, EVENTS, ROUNDING, append, assert_no_entries, open_reader, payloads, read, read_all, sequences},
    eventually, headers, no_headers, pass,
};

pub async fn reads_messages_in_order_with_headers(bus: Arc<dyn Bus>) {
    bus.create_stream(&EVENTS).await.unwrap();
    let sent = headers(&[("traceparent", "00-1-2-01")]);
    let payload = Bytes::from((0..=255).collect::<Vec<u8>>());
    let first = bus
        .append("events.a", "1", sent.clone(), payload.clone())
        .await
        .unwrap();
    assert_eq!(
        first,
        Appended {
            sequence: 1,
            duplicate: false
        }
    );
    assert_eq!(
        append(&*bus, "events.b.c", "two").await,
        Appended {
            sequence: 2,
            duplicate: false
        }
    );
    bus.append("events.empty", "3", no_headers(), Bytes::new())
        .await
        .unwrap();

    let entries = read_all(&*bus, ALL, 3).await;
    assert_eq!(sequences(&entries), [1, 2, 3]);
    let message = &entries[0].message;
    assert_eq!(
        (message.subject.as_str(), &message.headers, &message.payload),
        ("events.a", &sent, &payload)
    );
    assert_eq!(message.reply_to, None);
    assert_eq!(entries[1].message.subject, "events.b.c");
    assert!(entries[2].message.payload.is_empty());
}

pub async fn deduplicates_appends_by_id(bus: Arc<dyn Bus>) {
    bus.create_stream(&EVENTS).await.unwrap();
    let first = bus
        .append("events.a", "id", no_headers(), Bytes::from_static(b"first"))
        .await
        .unwrap();
    assert_eq!(
        first,
        Appended {
            sequence: 1,
            duplicate: false
        }
    );
    let again = bus
        .append("events.a", "id", no_headers(), Bytes::from_static(b"again"))
        .await
        .unwrap();
    assert_eq!(
        again,
        Appended {
            sequence: 1,
            duplicate: true
        }
    );
    let other = bus
        .append("events.a", "other", no_headers(), Bytes::from_static(b"other"))
        .await
        .unwrap();
    assert_eq!(
        other,
        Appended {
            sequence: 2,
            duplicate: false
        }
    );
    assert_eq!(payloads(&read_all(&*bus, ALL, 2).await), ["first", "other"]);
}

pub async fn accepts_id_again_after_window(bus: Arc<dyn Bus>) {
    let window = Duration::from_millis(300);
    bus.create_stream(&StreamSpec {
        dedup_window: window,
        ..EVENTS
    })
    .await
    .unwrap();
    let start = Instant::now();
    append(&*bus, "events.a", "id").await;
    eventually("the id is accepted again", async || {
        !append(&*bus, "events.a", "id").await.duplicate
    })
    .await;
    assert!(start.elapsed() >= window - ROUNDING);
}

pub async fn deduplicates_per_stream(bus: Arc<dyn Bus>) {
    bus.create_stream(&EVENTS).await.unwrap();
    bus.create_stream(&StreamSpec {
        name: "OTHERS",
        subjects: &["others.*"],
        ..EVENTS
    })
    .await
    .unwrap();
    for subject in ["events.a", "others.a"] {
        assert_eq!(
            append(&*bus, subject, "id").await,
            Appended {
                sequence: 1,
                duplicate: false
            }
        );
        assert_eq!(
            append(&*bus, subject, "id").await,
            Appended {
                sequence: 1,
                duplicate: true
            }
        );
    }
}

pub async fn numbers_concurrent_appends(bus: Arc<dyn Bus>) {
    const IDS: u64 = 50;
    bus.create_stream(&EVENTS).await.unwrap();
    let mut tasks = JoinSet::new();
    for _ in 0..8 {
        let bus = bus.clone();
        tasks.spawn(async move {
            let mut results = Vec::new();
            for id in 0..IDS {
                results.push((id, append(&*bus, "events.a", &id.to_string()).await));
            }
            results
        });
    }
    let results: Vec<_> = tasks.join_all().await.into_iter().flatten().collect();
    let kept: BTreeMap<u64, u64> = results
        .iter()
        .filter(|(_, appended)| !appended.duplicate)
        .map(|(id, appended)| (appended.sequence, *id))
        .collect();
    assert_eq!(
        results.iter().filter(|(_, appended)| !appended.duplicate).count(),
        IDS as usize
    );
    assert_eq!(kept.keys().copied().collect::<Vec<_>>(), (1..=IDS).collect::<Vec<_>>());
    for (id, appended) in &results {
        assert_eq!(
            kept[&appended.sequence], *id,
            "a duplicate returns the sequence of the first append"
        );
    }
}

pub async fn create_stream_is_idempotent(bus: Arc<dyn Bus>) {
    bus.create_stream(&EVENTS).await.unwrap();
    append(&*bus, "events.a", "one").await;
    bus.create_stream(&EVENTS).await.unwrap();
    assert!(append(&*bus, "events.a", "one").await.duplicate);
    assert_eq!(append(&*bus, "events.a", "two").await.sequence, 2);
    assert_eq!(payloads(&read_all(&*bus, ALL, 2).await), ["one", "two"]);
}

pub async fn create_stream_updates_settings(bus: Arc<dyn Bus>) {
    bus.create_stream(&EVENTS).await.unwrap();
    append(&*bus, "events.a", "one").await;
    bus.create_stream(&StreamSpec {
        subjects: &["events.>", "more.*"],
        ..EVENTS
    })
    .await
    .unwrap();
    assert_eq!(append(&*bus, "more.a", "two").await.sequence, 2);
    assert_eq!(payloads(&read_all(&*bus, "more.*", 1).await), ["two"]);
}

pub async fn fails_without_stream(bus: Arc<dyn Bus>) {
    let start = Instant::now();
    let append = bus.append("events.a", "id", no_headers(), Bytes::new()).await;
    assert!(matches!(append, Err(BusError::Unavailable(_))), "{append:?}");
    assert!(bus.read_log(EVENTS.name, ALL, 0).await.is_err());
    assert!(start.elapsed() < Duration::from_secs(3), "both fail at once");
}

pub async fn deletes_expired_messages(bus: Arc<dyn Bus>) {
    let short = Duration::from_millis(300);
    bus.create_stream(&StreamSpec {
        dedup_window: short,
        max_age: short,
        ..EVENTS
    })
    .await
    .unwrap();
    let mut reader = open_reader(&*bus, ALL, 0).await;
    append(&*bus, "events.a", "read").await;
    assert_eq!(payloads(&read(&mut *reader, 1).await), ["read"]);
    append(&*bus, "events.a", "unread").await;
    pass(short).await;
    eventually("the unread message is deleted", async || {
        let mut late = open_reader(&*bus, ALL, 0).await;
        late.next(1, Duration::ZERO).await.unwrap().is_empty()
    })
    .await;
    assert_eq!(
        append(&*bus, "events.a", "new").await.sequence,
        3,
        "a sequence is never reused"
    );
    let mut late = open_reader(&*bus, ALL, 0).await;
    assert_eq!(payloads(&read(&mut *late, 1).await), ["new"]);
    assert_no_entries(&mut *late).await;
}

pub async fn rejected_append_does_not_affect_others(bus: Arc<dyn Bus>) {
    const COUNT: usize = 64;
    bus.create_stream(&EVENTS).await.unwrap();
    let mut appends = JoinSet::new();
    for number in 0..COUNT {
        let bus = bus.clone();
        appends.spawn(async move {
            let is_valid = number % 4 != 0;
            let subject = if is_valid { "events.a" } else { "unknown.subject" };
            let result = bus
                .append(subject, &number.to_string(), no_headers(), Bytes::new())
                .await;
            assert_eq!(result.is_ok(), is_valid, "{number}: {result:?}");
        });
    }
    appends.join_all().await;
    assert_eq!(
        sequences(&read_all(&*bus, ALL, COUNT / 4 * 3).await),
        (1..=COUNT as u64 / 4 * 3).collect::<Vec<_>>()
    );
}
