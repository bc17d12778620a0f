//! Stories of durable streams: what a reader answers, and what becomes of a message that nobody can handle.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use butt_dial_domain::ports::bus::{Bus, ConsumerSpec};
use bytes::Bytes;

use super::{
    durable::{ACK_WAIT, EVENTS, GRAVEDIGGER, READER, ROUNDING, append, fetch, nothing, one, payloads},
    headers, pass, text,
};

pub async fn an_acknowledged_message_never_comes_again(bus: Arc<dyn Bus>) {
    bus.create_stream(&EVENTS).await.unwrap();
    let spec = ConsumerSpec {
        ack_wait: ACK_WAIT,
        ..READER
    };
    let reader = bus.consumer(&spec).await.unwrap();
    append(&*bus, "events.a", "one").await;
    one(&*reader).await.ack().await.unwrap();
    pass(ACK_WAIT).await;
    nothing(&*reader).await;
    nothing(&*bus.consumer(&spec).await.unwrap()).await;
}

pub async fn an_unanswered_message_comes_again(bus: Arc<dyn Bus>) {
    bus.create_stream(&EVENTS).await.unwrap();
    let reader = bus
        .consumer(&ConsumerSpec {
            ack_wait: ACK_WAIT,
            ..READER
        })
        .await
        .unwrap();
    append(&*bus, "events.a", "one").await;
    let start = Instant::now();
    for attempt in 1..=3 {
        let delivery = one(&*reader).await;
        assert!(
            start.elapsed() + ROUNDING >= ACK_WAIT * (attempt - 1),
            "not before its time"
        );
        assert_eq!((delivery.sequence(), delivery.attempt()), (1, attempt));
        assert_eq!(text(&delivery.message().payload), "one");
    }
    let delivery = one(&*reader).await;
    delivery.ack().await.unwrap();
    pass(ACK_WAIT).await;
    nothing(&*reader).await;
}

pub async fn a_rejected_message_comes_again_after_its_delay(bus: Arc<dyn Bus>) {
    bus.create_stream(&EVENTS).await.unwrap();
    let reader = bus.consumer(&READER).await.unwrap();
    append(&*bus, "events.a", "one").await;
    let delay = Duration::from_millis(400);
    let delivery = one(&*reader).await;
    let start = Instant::now();
    delivery.nak(delay).await.unwrap();
    append(&*bus, "events.a", "two").await;
    assert_eq!(
        text(&one(&*reader).await.message().payload),
        "two",
        "it does not hold up the others"
    );
    let delivery = one(&*reader).await;
    assert!(start.elapsed() >= delay - ROUNDING);
    assert_eq!((delivery.sequence(), delivery.attempt()), (1, 2));
    delivery.nak(Duration::ZERO).await.unwrap();
    assert_eq!(one(&*reader).await.attempt(), 3);
}

pub async fn a_message_in_progress_stays_in_hand(bus: Arc<dyn Bus>) {
    bus.create_stream(&EVENTS).await.unwrap();
    let reader = bus
        .consumer(&ConsumerSpec {
            ack_wait: ACK_WAIT,
            ..READER
        })
        .await
        .unwrap();
    append(&*bus, "events.a", "one").await;
    let delivery = one(&*reader).await;
    let start = Instant::now();
    while start.elapsed() < 3 * ACK_WAIT {
        delivery.in_progress().await.unwrap();
        nothing(&*reader).await;
    }
    delivery.ack().await.unwrap();
    pass(ACK_WAIT).await;
    nothing(&*reader).await;
}

/// What a dead letter must say about the message `events.a`, number 1.
async fn assert_buried(bus: &dyn Bus, reason: &str) {
    let gravedigger = bus.consumer(&GRAVEDIGGER).await.unwrap();
    let letter = one(&*gravedigger).await;
    let message = letter.message();
    assert_eq!(message.subject, "dead.EVENTS.reader");
    assert_eq!(text(&message.payload), "poison");
    assert_eq!(message.headers["Origin"], "carrier", "what it carried it keeps");
    assert_eq!(message.headers["Dead-Subject"], "events.a");
    assert_eq!(message.headers["Dead-Sequence"], "1");
    assert!(message.headers["Dead-Reason"].contains(reason), "{:?}", message.headers);
    letter.ack().await.unwrap();
    nothing(&*gravedigger).await;
}

async fn append_poison(bus: &dyn Bus) {
    let payload = Bytes::from_static(b"poison");
    bus.append("events.a", "poison", headers(&[("Origin", "carrier")]), payload)
        .await
        .unwrap();
}

pub async fn a_message_never_answered_becomes_a_dead_letter(bus: Arc<dyn Bus>) {
    bus.create_stream(&EVENTS).await.unwrap();
    let spec = ConsumerSpec {
        ack_wait: ACK_WAIT,
        max_deliver: 2,
        ..READER
    };
    let reader = bus.consumer(&spec).await.unwrap();
    append_poison(&*bus).await;
    assert_eq!(one(&*reader).await.attempt(), 1);
    assert_eq!(one(&*reader).await.attempt(), 2);
    // All readers are gone when its time is up; whoever comes later sees to it.
    drop(reader);
    pass(ACK_WAIT).await;
    let reader = bus.consumer(&spec).await.unwrap();
    nothing(&*reader).await;
    assert_buried(&*bus, "2 deliveries").await;
    pass(ACK_WAIT).await;
    nothing(&*reader).await;
}

pub async fn a_message_rejected_to_the_end_becomes_a_dead_letter(bus: Arc<dyn Bus>) {
    bus.create_stream(&EVENTS).await.unwrap();
    let reader = bus
        .consumer(&ConsumerSpec {
            max_deliver: 3,
            ..READER
        })
        .await
        .unwrap();
    append_poison(&*bus).await;
    for attempt in 1..=3 {
        let delivery = one(&*reader).await;
        assert_eq!(delivery.attempt(), attempt);
        delivery.nak(Duration::from_millis(10)).await.unwrap();
    }
    assert_buried(&*bus, "3 deliveries").await;
    nothing(&*reader).await;
}

pub async fn a_message_can_be_dead_lettered_directly(bus: Arc<dyn Bus>) {
    bus.create_stream(&EVENTS).await.unwrap();
    let reader = bus
        .consumer(&ConsumerSpec {
            ack_wait: ACK_WAIT,
            ..READER
        })
        .await
        .unwrap();
    append_poison(&*bus).await;
    one(&*reader).await.dead_letter("no such\r\nagent").await.unwrap();
    assert_buried(&*bus, "no such").await;
    pass(ACK_WAIT).await;
    nothing(&*reader).await;
}

pub async fn a_dead_letter_is_not_buried_twice(bus: Arc<dyn Bus>) {
    bus.create_stream(&EVENTS).await.unwrap();
    let reader = bus.consumer(&READER).await.unwrap();
    append_poison(&*bus).await;
    one(&*reader).await.dead_letter("of age").await.unwrap();
    let gravedigger = bus.consumer(&GRAVEDIGGER).await.unwrap();
    one(&*gravedigger)
        .await
        .dead_letter("can't be handled either")
        .await
        .unwrap();
    nothing(&*gravedigger).await;
    let historian = bus
        .consumer(&ConsumerSpec {
            name: "historian",
            ..GRAVEDIGGER
        })
        .await
        .unwrap();
    assert_eq!(fetch(&*historian, 10).await.len(), 1, "it lies where it lay");
}

pub async fn burying_one_does_not_stop_the_others(bus: Arc<dyn Bus>) {
    bus.create_stream(&EVENTS).await.unwrap();
    let reader = bus
        .consumer(&ConsumerSpec {
            ack_wait: ACK_WAIT,
            max_deliver: 1,
            ..READER
        })
        .await
        .unwrap();
    append_poison(&*bus).await;
    drop(one(&*reader).await);
    pass(ACK_WAIT).await;
    append(&*bus, "events.a", "healthy").await;
    assert_eq!(payloads(&fetch(&*reader, 10).await), ["healthy"]);
    assert_buried(&*bus, "1 deliveries").await;
}
