//! Stories of live traffic: subscriptions, groups, requests.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use butt_dial_domain::ports::bus::{Bus, BusError, Message};
use bytes::Bytes;
use futures::{StreamExt as _, future::join_all, stream::BoxStream};
use tokio::{task::JoinSet, time::timeout};

use super::{WAIT_LIMIT, eventually, headers, next, no_headers, text};

/// Shorter than any deadline in these stories, longer than a reply takes.
const AT_ONCE: Duration = Duration::from_secs(3);

async fn publish(bus: &dyn Bus, subject: &str, payload: &str) {
    bus.publish(subject, no_headers(), Bytes::from(payload.to_owned()))
        .await
        .unwrap();
}

/// Replies to every request with its payload, as long as the returned set lives.
async fn serve_echo(bus: &Arc<dyn Bus>, requests: BoxStream<'static, Message>, name: &'static str) -> JoinSet<()> {
    let bus = bus.clone();
    let mut task = JoinSet::new();
    task.spawn(async move {
        let mut requests = requests;
        while let Some(request) = requests.next().await {
            let reply_to = request.reply_to.expect("a reply subject");
            bus.publish(&reply_to, headers(&[("By", name)]), request.payload)
                .await
                .unwrap();
        }
    });
    task
}

pub async fn delivers_copy_to_every_subscriber(bus: Arc<dyn Bus>) {
    let mut first = bus.subscribe("calls.ended").await.unwrap();
    let mut second = bus.subscribe("calls.ended").await.unwrap();
    let mut other_subject = bus.subscribe("calls.started").await.unwrap();
    let sent = headers(&[("traceparent", "00-1-2-01"), ("Note", "ä: b")]);
    bus.publish("calls.ended", sent.clone(), Bytes::from_static(b"bye"))
        .await
        .unwrap();
    let expected = Message {
        subject: "calls.ended".into(),
        headers: sent,
        payload: Bytes::from_static(b"bye"),
        reply_to: None,
    };
    assert_eq!(next(&mut first).await, expected);
    assert_eq!(next(&mut second).await, expected);
    publish(&*bus, "calls.started", "hello").await;
    assert_eq!(text(&next(&mut other_subject).await.payload), "hello");
}

pub async fn matches_wildcards_like_nats(bus: Arc<dyn Bus>) {
    let subjects = ["a", "a.b", "a.x.c", "a.b.d", "b.b.c", "a.b.c.d"];
    // Every pattern matches the last subject, which marks the end.
    let last = "a.b.c";
    let expected = BTreeMap::from([
        ("a.b.c", vec![]),
        ("a.*.c", vec!["a.x.c"]),
        ("a.b.*", vec!["a.b.d"]),
        ("*.b.c", vec!["b.b.c"]),
        ("a.>", vec!["a.b", "a.x.c", "a.b.d", "a.b.c.d"]),
        ("a.*.>", vec!["a.x.c", "a.b.d", "a.b.c.d"]),
        (">", subjects.to_vec()),
    ]);
    let mut readers = Vec::new();
    for pattern in expected.keys() {
        readers.push((*pattern, bus.subscribe(pattern).await.unwrap()));
    }
    for subject in subjects.iter().chain([&last]) {
        publish(&*bus, subject, "").await;
    }
    for (pattern, mut reader) in readers {
        let mut seen = Vec::new();
        loop {
            let subject = next(&mut reader).await.subject;
            if subject == last {
                break;
            }
            // A subscription to `>` also receives internal messages of a backend.
            if subjects.contains(&subject.as_str()) {
                seen.push(subject);
            }
        }
        assert_eq!(seen, expected[pattern], "{pattern}");
    }
}

pub async fn keeps_order_of_one_publisher(bus: Arc<dyn Bus>) {
    let mut reader = bus.subscribe("n").await.unwrap();
    for number in 0..500 {
        publish(&*bus, "n", &number.to_string()).await;
    }
    for number in 0..500 {
        assert_eq!(text(&next(&mut reader).await.payload), number.to_string());
    }
}

pub async fn delivers_messages_published_after_subscribe(bus: Arc<dyn Bus>) {
    for round in 0..50 {
        let subject = format!("round.{round}");
        let mut reader = bus.subscribe(&subject).await.unwrap();
        let mut member = bus.subscribe_group(&subject, "g").await.unwrap();
        publish(&*bus, &subject, "x").await;
        next(&mut reader).await;
        next(&mut member).await;
    }
}

pub async fn shares_messages_within_group_only(bus: Arc<dyn Bus>) {
    const COUNT: usize = 300;
    let mut members = Vec::new();
    for _ in 0..3 {
        members.push(bus.subscribe_group("work.>", "workers").await.unwrap());
    }
    let mut other_group = bus.subscribe_group("work.*", "auditors").await.unwrap();
    let mut ungrouped = bus.subscribe("work.*").await.unwrap();
    for number in 0..COUNT {
        publish(&*bus, "work.item", &number.to_string()).await;
    }
    for _ in 0..COUNT {
        next(&mut other_group).await;
        next(&mut ungrouped).await;
    }
    let mut seen = BTreeSet::new();
    let mut total = 0;
    let mut active = BTreeSet::new();
    while total < COUNT {
        let mut waiting: Vec<_> = members.iter_mut().map(|member| member.next()).collect();
        let first = futures::future::select_all(waiting.drain(..));
        let (message, member, _) = timeout(WAIT_LIMIT, first).await.expect("every message is delivered");
        seen.insert(text(&message.expect("an open subscription").payload));
        active.insert(member);
        total += 1;
    }
    assert_eq!(seen.len(), COUNT, "each message goes to one member");
    assert_eq!(active.len(), 3, "every member receives some");
}

pub async fn replies_to_request(bus: Arc<dyn Bus>) {
    let requests = bus.subscribe("echo").await.unwrap();
    let _server = serve_echo(&bus, requests, "me").await;
    let reply = bus
        .request("echo", headers(&[("a", "b")]), Bytes::from_static(b"ping"), WAIT_LIMIT)
        .await
        .unwrap();
    assert_eq!(text(&reply.payload), "ping");
    assert_eq!(reply.headers, headers(&[("By", "me")]));
}

pub async fn routes_replies_of_concurrent_requests(bus: Arc<dyn Bus>) {
    let requests = bus.subscribe("echo.*").await.unwrap();
    let _server = serve_echo(&bus, requests, "me").await;
    let replies = join_all((0..200).map(|number: u32| {
        let bus = bus.clone();
        async move {
            let payload = Bytes::from(number.to_string());
            bus.request(&format!("echo.{number}"), no_headers(), payload, WAIT_LIMIT)
                .await
                .unwrap()
        }
    }))
    .await;
    for (number, reply) in replies.into_iter().enumerate() {
        assert_eq!(text(&reply.payload), number.to_string());
    }
}

pub async fn sends_request_to_one_group_member(bus: Arc<dyn Bus>) {
    let mut servers = Vec::new();
    for name in ["one", "two"] {
        let requests = bus.subscribe_group("echo", "servers").await.unwrap();
        servers.push(serve_echo(&bus, requests, name).await);
    }
    let mut names = BTreeSet::new();
    for _ in 0..100 {
        let reply = bus
            .request("echo", no_headers(), Bytes::new(), WAIT_LIMIT)
            .await
            .unwrap();
        names.insert(reply.headers["By"].clone());
    }
    assert_eq!(names.len(), 2, "both members reply");
}

pub async fn reports_missing_responder_at_once(bus: Arc<dyn Bus>) {
    let request = async || {
        let start = Instant::now();
        let error = bus
            .request("unused", no_headers(), Bytes::new(), WAIT_LIMIT)
            .await
            .unwrap_err();
        assert!(start.elapsed() < AT_ONCE);
        error
    };
    assert_eq!(request().await, BusError::NoResponders("unused".into()));

    let listener = bus.subscribe("unused").await.unwrap();
    drop(listener);
    eventually("the dropped subscription is noticed", async || {
        let reply = bus
            .request("unused", no_headers(), Bytes::new(), Duration::from_millis(100))
            .await;
        matches!(reply, Err(BusError::NoResponders(_)))
    })
    .await;
    publish(&*bus, "unused", "publishing without a subscriber succeeds").await;
}

pub async fn times_out_without_reply(bus: Arc<dyn Bus>) {
    let _listener = bus.subscribe("silent").await.unwrap();
    let deadline = Duration::from_millis(200);
    let start = Instant::now();
    let error = bus
        .request("silent", no_headers(), Bytes::new(), deadline)
        .await
        .unwrap_err();
    assert_eq!(error, BusError::TimedOut("silent".into()));
    assert!(start.elapsed() >= deadline && start.elapsed() < AT_ONCE);
}

pub async fn drops_messages_of_slow_subscriber_only(bus: Arc<dyn Bus>) {
    const ROUNDS: usize = 40;
    const ROUND: usize = 1_000;
    let mut slow = bus.subscribe("flood").await.unwrap();
    let mut fast = bus.subscribe("flood").await.unwrap();
    for _ in 0..ROUNDS {
        for _ in 0..ROUND {
            publish(&*bus, "flood", "x").await;
        }
        for _ in 0..ROUND {
            next(&mut fast).await;
        }
    }
    publish(&*bus, "flood", "lost by the slow subscriber").await;
    next(&mut fast).await;
    let mut seen = 0;
    while let Ok(Some(_)) = timeout(Duration::from_millis(300), slow.next()).await {
        seen += 1;
    }
    assert!(seen > 0 && seen < ROUNDS * ROUND, "{seen}");
    publish(&*bus, "flood", "received after the queue was drained").await;
    assert_eq!(
        text(&next(&mut slow).await.payload),
        "received after the queue was drained"
    );
}

pub async fn passes_any_payload(bus: Arc<dyn Bus>) {
    let mut reader = bus.subscribe("bytes").await.unwrap();
    let every_byte: Vec<u8> = (0..=255).collect();
    for payload in [Vec::new(), b"\r\nPUB x 1\r\n".to_vec(), every_byte.repeat(2_048)] {
        let payload = Bytes::from(payload);
        bus.publish("bytes", no_headers(), payload.clone()).await.unwrap();
        assert_eq!(next(&mut reader).await.payload, payload);
    }
}

pub async fn rejects_invalid_messages_at_once(bus: Arc<dyn Bus>) {
    for subject in ["", "a b", "a..b", "a.*", "a.>", "a\r\nb"] {
        let start = Instant::now();
        assert!(
            bus.publish(subject, no_headers(), Bytes::new()).await.is_err(),
            "{subject:?}"
        );
        assert!(
            bus.request(subject, no_headers(), Bytes::new(), WAIT_LIMIT)
                .await
                .is_err(),
            "{subject:?}"
        );
        assert!(
            bus.append(subject, "id", no_headers(), Bytes::new()).await.is_err(),
            "{subject:?}"
        );
        assert!(start.elapsed() < AT_ONCE);
    }
    for pattern in ["", "a..b", "a.>.b", "a b"] {
        assert!(bus.subscribe(pattern).await.is_err(), "{pattern:?}");
        assert!(bus.subscribe_group(pattern, "g").await.is_err(), "{pattern:?}");
    }
    for pair in [("a:b", "c"), ("a b", "c"), ("", "c"), ("a", "b\r\nc")] {
        assert!(
            bus.publish("a", headers(&[pair]), Bytes::new()).await.is_err(),
            "{pair:?}"
        );
    }
    let too_large = Bytes::from(vec![0; 2_000_000]);
    assert!(bus.publish("a", no_headers(), too_large).await.is_err());
    bus.check().await.unwrap();
}

pub async fn passes_check(bus: Arc<dyn Bus>) {
    bus.check().await.unwrap();
}
