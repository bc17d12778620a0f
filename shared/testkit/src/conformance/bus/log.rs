//! Stories of reading a durable stream by position: order, and nothing missing.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use butt_dial_domain::ports::bus::{Bus, BusError, LogReader, LogEntry};
use bytes::Bytes;
use tokio::task::JoinSet;

use super::{
    PATIENCE,
    durable::{EVENTS, GLANCE, ROUNDING, append},
    eventually, headers, no_headers, pass, text,
};

const ALL: &str = "events.>";

async fn read(bus: &dyn Bus, filter: &str, after: u64) -> Box<dyn LogReader> {
    bus.read_log(EVENTS.name, filter, after).await.unwrap()
}

/// Reads until there are so many.
async fn take(reader: &mut dyn LogReader, count: usize) -> Vec<LogEntry> {
    let mut taken = Vec::new();
    while taken.len() < count {
        let more = reader.next(count - taken.len(), PATIENCE).await.unwrap();
        assert!(!more.is_empty(), "{} of {count} came", taken.len());
        taken.extend(more);
    }
    assert_eq!(taken.len(), count, "no more than asked for");
    taken
}

async fn nothing(reader: &mut dyn LogReader) {
    assert_eq!(reader.next(10, GLANCE).await.unwrap(), []);
}

fn sequences(logged: &[LogEntry]) -> Vec<u64> {
    logged.iter().map(|logged| logged.sequence).collect()
}

fn payloads(logged: &[LogEntry]) -> Vec<String> {
    logged.iter().map(|logged| text(&logged.message.payload)).collect()
}

async fn append_all(bus: &dyn Bus, count: usize) {
    for number in 1..=count {
        append(bus, "events.a", &number.to_string()).await;
    }
}

pub async fn a_log_is_read_from_its_beginning(bus: Arc<dyn Bus>) {
    bus.create_stream(&EVENTS).await.unwrap();
    let sent = headers(&[("traceparent", "00-1-2-01")]);
    let payload = Bytes::from((0..=255).collect::<Vec<u8>>());
    bus.append("events.a", "1", sent.clone(), payload.clone())
        .await
        .unwrap();
    bus.append("events.b.c", "2", no_headers(), Bytes::new()).await.unwrap();
    let mut reader = read(&*bus, ALL, 0).await;
    let logged = take(&mut *reader, 2).await;
    assert_eq!(sequences(&logged), [1, 2]);
    let message = &logged[0].message;
    assert_eq!(
        (message.subject.as_str(), &message.headers, &message.payload),
        ("events.a", &sent, &payload)
    );
    assert_eq!(message.reply_to, None);
    assert_eq!(logged[1].message.subject, "events.b.c");
    assert!(logged[1].message.payload.is_empty());
    nothing(&mut *reader).await;
}

pub async fn a_log_is_read_from_its_middle(bus: Arc<dyn Bus>) {
    bus.create_stream(&EVENTS).await.unwrap();
    append_all(&*bus, 5).await;
    let mut reader = read(&*bus, ALL, 3).await;
    assert_eq!(sequences(&take(&mut *reader, 2).await), [4, 5]);
    let mut reader = read(&*bus, ALL, 5).await;
    nothing(&mut *reader).await;
    append(&*bus, "events.a", "6").await;
    assert_eq!(sequences(&take(&mut *reader, 1).await), [6]);
}

pub async fn a_log_reader_sees_only_what_its_filter_lets_through(bus: Arc<dyn Bus>) {
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
        let mut reader = read(&*bus, filter, 0).await;
        assert_eq!(
            payloads(&take(&mut *reader, expected.len()).await),
            expected,
            "{filter}"
        );
        nothing(&mut *reader).await;
    }
}

pub async fn many_others_do_not_hide_the_one_that_is_looked_for(bus: Arc<dyn Bus>) {
    bus.create_stream(&EVENTS).await.unwrap();
    append_at_once(&bus, 600).await;
    append(&*bus, "events.b.wanted", "wanted").await;
    for filter in ["events.b.wanted", "events.*.wanted", "events.b.>"] {
        let mut reader = read(&*bus, filter, 0).await;
        let logged = reader.next(1, PATIENCE).await.unwrap();
        assert_eq!(sequences(&logged), [601], "{filter}");
    }
    let mut reader = read(&*bus, "events.*.wanted", 0).await;
    take(&mut *reader, 1).await;
    append(&*bus, "events.b.wanted", "again").await;
    assert_eq!(sequences(&take(&mut *reader, 1).await), [602]);
}

pub async fn a_log_reader_gives_what_there_is_at_once_and_no_more_than_asked(bus: Arc<dyn Bus>) {
    bus.create_stream(&EVENTS).await.unwrap();
    append_all(&*bus, 5).await;
    let mut reader = read(&*bus, ALL, 0).await;
    let start = Instant::now();
    assert_eq!(reader.next(0, PATIENCE).await.unwrap(), []);
    assert_eq!(sequences(&reader.next(1, PATIENCE).await.unwrap()), [1]);
    assert_eq!(
        sequences(&reader.next(1, Duration::ZERO).await.unwrap()),
        [2],
        "without waiting"
    );
    assert_eq!(sequences(&take(&mut *reader, 3).await), [3, 4, 5]);
    assert!(start.elapsed() < PATIENCE / 2);
}

pub async fn a_log_reader_waits_and_returns_empty(bus: Arc<dyn Bus>) {
    bus.create_stream(&EVENTS).await.unwrap();
    append(&*bus, "events.b", "not for it").await;
    let mut reader = read(&*bus, "events.a", 0).await;
    let wait = Duration::from_millis(300);
    let start = Instant::now();
    assert_eq!(reader.next(5, wait).await.unwrap(), []);
    assert!(start.elapsed() >= wait - ROUNDING && start.elapsed() < PATIENCE / 2);
    assert_eq!(reader.next(5, Duration::ZERO).await.unwrap(), []);
}

pub async fn a_log_reader_is_woken_by_an_append(bus: Arc<dyn Bus>) {
    bus.create_stream(&EVENTS).await.unwrap();
    let mut reader = read(&*bus, "events.*.in", 0).await;
    for round in 0..20 {
        let start = Instant::now();
        let payload = round.to_string();
        let (logged, _) = tokio::join!(take(&mut *reader, 1), async {
            // Most often the reader waits by now; when it does not, the story holds just as well.
            pass(Duration::from_millis(10)).await;
            append(&*bus, "events.sms.in", &payload).await
        });
        assert!(start.elapsed() < PATIENCE / 4);
        assert_eq!(payloads(&logged), [payload]);
    }
}

/// From as many tasks as there are messages.
async fn append_at_once(bus: &Arc<dyn Bus>, count: usize) {
    let mut appends = JoinSet::new();
    for number in 1..=count {
        let bus = bus.clone();
        appends.spawn(async move { append(&*bus, "events.a", &number.to_string()).await.sequence });
    }
    let mut numbers = appends.join_all().await;
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=count as u64).collect::<Vec<_>>());
}

pub async fn a_burst_is_read_completely_and_in_order(bus: Arc<dyn Bus>) {
    const COUNT: usize = 2_000;
    bus.create_stream(&EVENTS).await.unwrap();
    append_at_once(&bus, COUNT).await;
    let mut reader = read(&*bus, ALL, 0).await;
    let logged = take(&mut *reader, COUNT).await;
    assert_eq!(sequences(&logged), (1..=COUNT as u64).collect::<Vec<_>>());
    let mut sent: Vec<usize> = payloads(&logged)
        .iter()
        .map(|payload| payload.parse().unwrap())
        .collect();
    sent.sort_unstable();
    assert_eq!(sent, (1..=COUNT).collect::<Vec<_>>(), "each once");
    nothing(&mut *reader).await;
}

pub async fn order_holds_while_many_append(bus: Arc<dyn Bus>) {
    const WRITERS: usize = 8;
    const EACH: usize = 50;
    bus.create_stream(&EVENTS).await.unwrap();
    let mut reader = read(&*bus, ALL, 0).await;
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let bus = bus.clone();
        writers.spawn(async move {
            for number in 0..EACH {
                append(&*bus, &format!("events.{writer}"), &format!("{writer}.{number:02}")).await;
            }
        });
    }
    let logged = take(&mut *reader, WRITERS * EACH).await;
    writers.join_all().await;
    assert_eq!(
        sequences(&logged),
        (1..=(WRITERS * EACH) as u64).collect::<Vec<_>>(),
        "nothing overtakes, nothing is left out"
    );
    for writer in 0..WRITERS {
        let of_one: Vec<_> = payloads(&logged)
            .into_iter()
            .filter(|payload| payload.starts_with(&format!("{writer}.")))
            .collect();
        assert_eq!(of_one.len(), EACH);
        assert!(of_one.is_sorted(), "{of_one:?}");
    }
}

pub async fn two_log_readers_do_not_disturb_each_other(bus: Arc<dyn Bus>) {
    bus.create_stream(&EVENTS).await.unwrap();
    append_all(&*bus, 4).await;
    let (mut one, mut two) = (read(&*bus, ALL, 0).await, read(&*bus, ALL, 0).await);
    assert_eq!(sequences(&take(&mut *one, 3).await), [1, 2, 3]);
    assert_eq!(sequences(&take(&mut *two, 1).await), [1]);
    drop(one);
    assert_eq!(sequences(&take(&mut *two, 3).await), [2, 3, 4]);
}

pub async fn a_log_reader_opened_at_a_position_continues_exactly_there(bus: Arc<dyn Bus>) {
    bus.create_stream(&EVENTS).await.unwrap();
    append_all(&*bus, 20).await;
    let mut position = 0;
    for expected in 1..=20 {
        // Most were sent to a reader that is gone: it kept nothing for itself.
        let mut reader = read(&*bus, ALL, position).await;
        let logged = take(&mut *reader, 1).await;
        assert_eq!(payloads(&logged), [expected.to_string()]);
        position = logged[0].sequence;
    }
}

pub async fn a_read_that_is_given_up_skips_nothing(bus: Arc<dyn Bus>) {
    const COUNT: usize = 100;
    bus.create_stream(&EVENTS).await.unwrap();
    let mut reader = read(&*bus, ALL, 0).await;
    let mut logged = Vec::new();
    let mut writer = JoinSet::new();
    writer.spawn(async move { append_all(&*bus, COUNT).await });
    let start = Instant::now();
    while logged.len() < COUNT {
        assert!(start.elapsed() < PATIENCE, "{} of {COUNT} came", logged.len());
        tokio::select! {
            biased;
            more = reader.next(3, PATIENCE) => logged.extend(more.unwrap()),
            () = pass(Duration::from_micros(300)) => {}
        }
    }
    writer.join_all().await;
    assert_eq!(sequences(&logged), (1..=COUNT as u64).collect::<Vec<_>>());
}

pub async fn what_is_too_old_is_not_read_and_not_waited_for(bus: Arc<dyn Bus>) {
    let mut spec = EVENTS;
    spec.max_age = Duration::from_millis(500);
    spec.dedup_window = Duration::from_millis(500);
    bus.create_stream(&spec).await.unwrap();
    append_all(&*bus, 3).await;
    eventually("they are gone", async || {
        let mut reader = read(&*bus, ALL, 0).await;
        reader.next(10, Duration::ZERO).await.unwrap().is_empty()
    })
    .await;
    let mut reader = read(&*bus, ALL, 1).await;
    append(&*bus, "events.a", "4").await;
    assert_eq!(sequences(&take(&mut *reader, 1).await), [4]);
}

pub async fn a_log_that_cannot_be_the_one_is_an_error(bus: Arc<dyn Bus>) {
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
        "what is appended would be taken for old"
    );
    let senseless = bus.read_log(EVENTS.name, "events..a", 0).await;
    assert!(matches!(senseless.err(), Some(BusError::Unavailable(_))), "no pattern");
}

pub async fn one_refused_append_harms_no_other(bus: Arc<dyn Bus>) {
    const COUNT: usize = 64;
    bus.create_stream(&EVENTS).await.unwrap();
    let mut appends = JoinSet::new();
    for number in 0..COUNT {
        let bus = bus.clone();
        appends.spawn(async move {
            let taken = number % 4 != 0;
            let subject = if taken { "events.a" } else { "nobody.takes.this" };
            let answer = bus
                .append(subject, &number.to_string(), no_headers(), Bytes::new())
                .await;
            assert_eq!(answer.is_ok(), taken, "{number}: {answer:?}");
        });
    }
    appends.join_all().await;
    let mut reader = read(&*bus, ALL, 0).await;
    assert_eq!(
        sequences(&take(&mut *reader, COUNT / 4 * 3).await),
        (1..=COUNT as u64 / 4 * 3).collect::<Vec<_>>()
    );
}
