//! What the stories of durable streams share: a stream, a reader, and short words for using them.

use std::time::Duration;

use butt_dial_domain::ports::bus::{Appended, Bus, Consumer, ConsumerSpec, Delivery, StreamSpec};
use bytes::Bytes;

use super::{PATIENCE, no_headers, text};

/// Long enough for every answer in these stories, short enough to wait for.
pub(super) const ACK_WAIT: Duration = Duration::from_millis(500);
pub(super) const LONG: Duration = Duration::from_secs(60);
/// How long a fetch waits to see that there is nothing.
pub(super) const GLANCE: Duration = Duration::from_millis(100);
/// Servers round times to milliseconds.
pub(super) const ROUNDING: Duration = Duration::from_millis(5);

pub(super) const EVENTS: StreamSpec = StreamSpec {
    name: "EVENTS",
    subjects: &["events.>"],
    dedup_window: LONG,
    max_age: Duration::from_secs(3_600),
};

pub(super) const READER: ConsumerSpec = ConsumerSpec {
    stream: "EVENTS",
    name: "reader",
    filter: "events.>",
    ack_wait: LONG,
    max_deliver: 5,
};

pub(super) const GRAVEDIGGER: ConsumerSpec = ConsumerSpec {
    stream: "DEAD",
    name: "gravedigger",
    filter: "dead.>",
    ack_wait: LONG,
    max_deliver: 5,
};

pub(super) async fn append(bus: &dyn Bus, subject: &str, payload: &str) -> Appended {
    bus.append(subject, payload, no_headers(), Bytes::from(payload.to_owned()))
        .await
        .unwrap()
}

pub(super) async fn fetch(consumer: &dyn Consumer, max: usize) -> Vec<Box<dyn Delivery>> {
    consumer.fetch(max, PATIENCE).await.unwrap()
}

pub(super) async fn one(consumer: &dyn Consumer) -> Box<dyn Delivery> {
    let mut deliveries = fetch(consumer, 1).await;
    assert_eq!(deliveries.len(), 1);
    deliveries.remove(0)
}

pub(super) async fn nothing(consumer: &dyn Consumer) {
    let deliveries = consumer.fetch(10, GLANCE).await.unwrap();
    let subjects: Vec<_> = deliveries
        .iter()
        .map(|delivery| delivery.message().subject.clone())
        .collect();
    assert!(subjects.is_empty(), "{subjects:?}");
}

pub(super) fn payloads(deliveries: &[Box<dyn Delivery>]) -> Vec<String> {
    deliveries
        .iter()
        .map(|delivery| text(&delivery.message().payload))
        .collect()
}
