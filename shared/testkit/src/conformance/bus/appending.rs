//! Stories of durable streams: what is appended, and for how long it is known.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use butt_dial_domain::ports::bus::{Appended, Bus, BusError, ConsumerSpec, StreamSpec};
use bytes::Bytes;
use tokio::task::JoinSet;

use super::{
    durable::{ACK_WAIT, EVENTS, GLANCE, READER, ROUNDING, append, fetch, nothing, one, payloads},
    eventually, headers, no_headers, pass,
};

pub async fn messages_are_read_in_order_with_all_they_carry(bus: Arc<dyn Bus>) {
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

    let reader = bus.consumer(&READER).await.unwrap();
    let deliveries = fetch(&*reader, 10).await;
    assert_eq!(deliveries.len(), 3);
    let message = deliveries[0].message();
    assert_eq!(
        (message.subject.as_str(), &message.headers, &message.payload),
        ("events.a", &sent, &payload)
    );
    assert_eq!(message.reply_to, None);
    assert_eq!(deliveries[1].message().subject, "events.b.c");
    assert!(deliveries[2].message().payload.is_empty());
    for (index, delivery) in deliveries.iter().enumerate() {
        assert_eq!((delivery.sequence(), delivery.attempt()), (index as u64 + 1, 1));
    }
}

pub async fn append_is_deduplicated(bus: Arc<dyn Bus>) {
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
    let reader = bus.consumer(&READER).await.unwrap();
    assert_eq!(payloads(&fetch(&*reader, 10).await), ["first", "other"]);
    nothing(&*reader).await;
}

pub async fn an_id_is_forgotten_after_the_window(bus: Arc<dyn Bus>) {
    let window = Duration::from_millis(300);
    bus.create_stream(&StreamSpec {
        dedup_window: window,
        ..EVENTS
    })
    .await
    .unwrap();
    let start = Instant::now();
    append(&*bus, "events.a", "id").await;
    eventually("the id can be used again", async || {
        !append(&*bus, "events.a", "id").await.duplicate
    })
    .await;
    assert!(start.elapsed() >= window - ROUNDING);
}

pub async fn ids_are_known_for_each_stream(bus: Arc<dyn Bus>) {
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

pub async fn concurrent_appends_are_numbered_and_deduplicated(bus: Arc<dyn Bus>) {
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
        assert_eq!(kept[&appended.sequence], *id, "a duplicate names the one that was kept");
    }
}

pub async fn creating_a_stream_again_changes_nothing(bus: Arc<dyn Bus>) {
    bus.create_stream(&EVENTS).await.unwrap();
    append(&*bus, "events.a", "one").await;
    bus.create_stream(&EVENTS).await.unwrap();
    assert!(append(&*bus, "events.a", "one").await.duplicate);
    assert_eq!(append(&*bus, "events.a", "two").await.sequence, 2);
    let reader = bus.consumer(&READER).await.unwrap();
    assert_eq!(payloads(&fetch(&*reader, 10).await), ["one", "two"]);
}

pub async fn other_settings_are_taken_over(bus: Arc<dyn Bus>) {
    bus.create_stream(&EVENTS).await.unwrap();
    append(&*bus, "events.a", "one").await;
    bus.create_stream(&StreamSpec {
        subjects: &["events.>", "more.*"],
        ..EVENTS
    })
    .await
    .unwrap();
    assert_eq!(append(&*bus, "more.a", "two").await.sequence, 2);
    let reader = bus
        .consumer(&ConsumerSpec {
            filter: "more.*",
            ..READER
        })
        .await
        .unwrap();
    assert_eq!(payloads(&fetch(&*reader, 10).await), ["two"]);
}

pub async fn without_a_stream_nothing_is_appended_or_read(bus: Arc<dyn Bus>) {
    let start = Instant::now();
    let append = bus.append("events.a", "id", no_headers(), Bytes::new()).await;
    assert!(matches!(append, Err(BusError::Unavailable(_))), "{append:?}");
    assert!(bus.consumer(&READER).await.is_err());
    assert!(start.elapsed() < Duration::from_secs(3), "both are known at once");
}

pub async fn old_messages_go(bus: Arc<dyn Bus>) {
    let short = Duration::from_millis(300);
    bus.create_stream(&StreamSpec {
        dedup_window: short,
        max_age: short,
        ..EVENTS
    })
    .await
    .unwrap();
    let reader = bus
        .consumer(&ConsumerSpec {
            ack_wait: ACK_WAIT,
            ..READER
        })
        .await
        .unwrap();
    append(&*bus, "events.a", "read").await;
    let _in_hand = one(&*reader).await;
    append(&*bus, "events.a", "unread").await;
    pass(short).await;
    // A name of its own each time: what one has fetched, it does not get again at once.
    let names = ["n1", "n2", "n3", "n4", "n5", "n6", "n7", "n8", "n9"];
    let mut gone = false;
    for name in names {
        let late = bus.consumer(&ConsumerSpec { name, ..READER }).await.unwrap();
        gone = late.fetch(1, 2 * GLANCE).await.unwrap().is_empty();
        if gone {
            break;
        }
    }
    assert!(gone, "the unread one goes, too");
    pass(ACK_WAIT).await;
    nothing(&*reader).await;
    assert_eq!(
        append(&*bus, "events.a", "new").await.sequence,
        3,
        "a sequence is never used again"
    );
    assert_eq!(payloads(&fetch(&*reader, 10).await), ["new"]);
}
