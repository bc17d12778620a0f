//! Reads a durable stream of the embedded bus by position. Writes nothing: the caller stores the position.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use butt_dial_domain::ports::bus::{BusError, Headers, LogEntry, LogReader, Message};
use tokio::{
    sync::Notify,
    time::{Instant, timeout_at},
};

use super::log::{Log, unavailable};
use crate::{
    subject::{literal_prefix, matches},
    validation::{position_past_end, unknown_stream},
};

/// The largest page of one query, in messages.
const MAX_PAGE: usize = 1_024;
/// The page size after a smaller page without a match.
const SCAN_PAGE: usize = 256;

pub(super) struct Reader {
    log: Arc<Log>,
    stream: &'static str,
    filter: String,
    /// Every message up to here was returned, does not match, or has expired.
    position: i64,
    /// Every message of the reader's subjects up to the last notification was returned.
    is_at_end: bool,
    appended: Arc<Notify>,
}

/// A message and the end of the stream. Without a message: the end only.
#[derive(sqlx::FromRow)]
struct Row {
    last_sequence: i64,
    sequence: Option<i64>,
    subject: Option<String>,
    headers: Option<String>,
    payload: Option<Vec<u8>>,
}

impl Reader {
    pub(super) async fn open(log: Arc<Log>, stream: &'static str, filter: &str, after: u64) -> Result<Self, BusError> {
        // Before the first query, so that no append is missed in between.
        let appended = log.register_reader(stream, filter)?;
        let last: i64 = sqlx::query_scalar("SELECT last_sequence FROM bus_streams WHERE name = $1")
            .bind(stream)
            .fetch_one(log.pool())
            .await
            .map_err(unavailable)?;
        let position = match i64::try_from(after) {
            Ok(position) if position <= last => position,
            _ => return Err(position_past_end(stream, last.unsigned_abs(), after)),
        };
        Ok(Self {
            log,
            stream,
            filter: filter.to_owned(),
            position,
            is_at_end: false,
            appended,
        })
    }

    /// Returns the matches in the next `size` messages, at most `max`, and whether more may follow them.
    async fn page(&mut self, size: usize, max: usize, max_age: i64) -> Result<(Vec<LogEntry>, bool), BusError> {
        // One statement, so that the end of the stream is consistent with the messages.
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT s.last_sequence, m.sequence, m.subject, m.headers, m.payload
             FROM bus_streams s LEFT JOIN bus_messages m
             ON m.stream = s.name AND m.sequence > $2 AND m.appended_at > $3
             AND substr(m.subject, 1, length($4)) = $4
             WHERE s.name = $1 ORDER BY m.sequence LIMIT $5",
        )
        .bind(self.stream)
        .bind(self.position)
        .bind(self.log.now() - max_age)
        .bind(literal_prefix(&self.filter))
        .bind(i64::try_from(size).unwrap_or(i64::MAX))
        .fetch_all(self.log.pool())
        .await
        .map_err(unavailable)?;
        let last = rows.first().ok_or_else(|| unknown_stream(self.stream))?.last_sequence;
        let full = rows.len() == size && rows.iter().all(|row| row.sequence.is_some());
        let mut found = Vec::with_capacity(rows.len());
        let mut position = self.position;
        for row in rows {
            let (Some(sequence), Some(subject)) = (row.sequence, row.subject) else {
                break;
            };
            if found.len() == max {
                self.position = position;
                return Ok((found, true));
            }
            position = sequence;
            if matches(&self.filter, &subject) {
                found.push(LogEntry {
                    sequence: sequence.unsigned_abs(),
                    // Not needed: entries and the positions of readers are lost together or not at all.
                    id: String::new(),
                    message: Message {
                        subject,
                        headers: self.headers(sequence, row.headers.as_deref())?,
                        payload: row.payload.unwrap_or_default().into(),
                        reply_to: None,
                    },
                });
            }
        }
        // A page that is not full reaches the end of the stream, past the rows that the filter excluded.
        self.position = if full { position } else { position.max(last) };
        Ok((found, full))
    }

    fn headers(&self, sequence: i64, json: Option<&str>) -> Result<Headers, BusError> {
        serde_json::from_str(json.unwrap_or("{}"))
            .map_err(|error| unavailable(format!("bus_messages {} {sequence}: headers: {error}", self.stream)))
    }
}

#[async_trait]
impl LogReader for Reader {
    async fn next(&mut self, max: usize, wait: Duration) -> Result<Vec<LogEntry>, BusError> {
        if max == 0 {
            return Ok(Vec::new());
        }
        let deadline = Instant::now() + wait;
        let mut size = max.min(MAX_PAGE);
        loop {
            if !self.is_at_end {
                let max_age = self.log.max_age(self.stream)?;
                let (found, more) = self.page(size, max, max_age).await?;
                self.is_at_end = !more;
                if !found.is_empty() {
                    return Ok(found);
                }
                size = size.max(SCAN_PAGE);
                continue;
            }
            match timeout_at(deadline, self.appended.notified()).await {
                Ok(()) => self.is_at_end = false,
                Err(_) => return Ok(Vec::new()),
            }
        }
    }

    async fn count_unread(&mut self) -> Result<u64, BusError> {
        let last: i64 = sqlx::query_scalar("SELECT last_sequence FROM bus_streams WHERE name = $1")
            .bind(self.stream)
            .fetch_one(self.log.pool())
            .await
            .map_err(unavailable)?;
        Ok(last.saturating_sub(self.position).max(0).unsigned_abs())
    }
}
