//! Helpers that the stories of durable streams share.

use std::time::Duration;

use butt_dial_domain::ports::bus::{Appended, Bus, LogEntry, LogReader, StreamSpec};
use bytes::Bytes;

use super::{WAIT_LIMIT, no_headers, text};

pub(super) const LONG: Duration = Duration::from_secs(60);
/// How long a read waits before a story concludes that there is no entry.
pub(super) const EMPTY_WAIT: Duration = Duration::from_millis(100);
/// Servers round times to milliseconds.
pub(super) const ROUNDING: Duration = Duration::from_millis(5);

pub(super) const EVENTS: StreamSpec = StreamSpec {
    name: "EVENTS",
    subjects: &["events.>"],
    dedup_window: LONG,
    max_age: Duration::from_secs(3_600),
};

/// Matches every subject of `EVENTS`.
pub(super) const ALL: &str = "events.>";

/// Appends the text with itself as its id.
pub(super) async fn append(bus: &dyn Bus, subject: &str, payload: &str) -> Appended {
    bus.append(subject, payload, no_headers(), Bytes::from(payload.to_owned()))
        .await
        .unwrap()
}

pub(super) async fn open_reader(bus: &dyn Bus, filter: &str, after: u64) -> Box<dyn LogReader> {
    bus.read_log(EVENTS.name, filter, after).await.unwrap()
}

/// Reads exactly `count` entries.
pub(super) async fn read(reader: &mut dyn LogReader, count: usize) -> Vec<LogEntry> {
    let mut entries = Vec::new();
    while entries.len() < count {
        let more = reader.next(count - entries.len(), WAIT_LIMIT).await.unwrap();
        assert!(!more.is_empty(), "{} of {count} entries", entries.len());
        entries.extend(more);
    }
    assert_eq!(entries.len(), count, "more entries than requested");
    entries
}

/// Reads the whole stream from its beginning.
pub(super) async fn read_all(bus: &dyn Bus, filter: &str, count: usize) -> Vec<LogEntry> {
    let mut reader = open_reader(bus, filter, 0).await;
    let entries = read(&mut *reader, count).await;
    assert_no_entries(&mut *reader).await;
    entries
}

pub(super) async fn assert_no_entries(reader: &mut dyn LogReader) {
    assert_eq!(reader.next(10, EMPTY_WAIT).await.unwrap(), []);
}

pub(super) fn sequences(entries: &[LogEntry]) -> Vec<u64> {
    entries.iter().map(|entry| entry.sequence).collect()
}

pub(super) fn payloads(entries: &[LogEntry]) -> Vec<String> {
    entries.iter().map(|entry| text(&entry.message.payload)).collect()
}
