//! Reading a durable stream of the embedded bus by position. Writes nothing; the position is the reader's own.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use butt_dial_domain::ports::bus::{BusError, Headers, LogReader, LogEntry, Message};
use tokio::time::{Instant, timeout};

use super::log::{Log, unavailable};
use crate::{
    rules::{position_past_end, no_stream},
    subject::{literal_prefix, matches},
};

/// The most that one query brings into memory.
const MOST: usize = 1_024;
/// The size of a page once a smaller one held nothing that matches.
const PAGE: usize = 256;

pub(super) struct Tail {
    log: Arc<Log>,
    stream: &'static str,
    filter: String,
    /// Everything up to it was handed out, does not match, or is too old.
    position: i64,
}

/// A message and the end of the stream; where no message is, the end alone.
#[derive(sqlx::FromRow)]
struct Row {
    last_sequence: i64,
    sequence: Option<i64>,
    subject: Option<String>,
    headers: Option<String>,
    payload: Option<Vec<u8>>,
}

impl Tail {
    pub(super) async fn open(log: Arc<Log>, stream: &'static str, filter: &str, after: u64) -> Result<Self, BusError> {
        log.stream(stream)?;
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
        })
    }

    /// What matches in the next `size` messages, at most `max`, and whether there may be more after them.
    async fn page(&mut self, size: usize, max: usize, max_age: i64) -> Result<(Vec<LogEntry>, bool), BusError> {
        // The end of the stream is of the same moment as the messages: what comes later has a higher sequence.
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
        let last = rows.first().ok_or_else(|| no_stream(self.stream))?.last_sequence;
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
                    message: Message {
                        subject,
                        headers: self.headers(sequence, row.headers.as_deref())?,
                        payload: row.payload.unwrap_or_default().into(),
                        reply_to: None,
                    },
                });
            }
        }
        // A page that is not full reaches to the end, past all that it left out.
        self.position = if full { position } else { position.max(last) };
        Ok((found, full))
    }

    fn headers(&self, sequence: i64, json: Option<&str>) -> Result<Headers, BusError> {
        serde_json::from_str(json.unwrap_or("{}"))
            .map_err(|error| unavailable(format!("bus_messages {} {sequence}: headers: {error}", self.stream)))
    }
}

#[async_trait]
impl LogReader for Tail {
    async fn next(&mut self, max: usize, wait: Duration) -> Result<Vec<LogEntry>, BusError> {
        if max == 0 {
            return Ok(Vec::new());
        }
        let deadline = Instant::now() + wait;
        let mut size = max.min(MOST);
        loop {
            let stream = self.log.stream(self.stream)?;
            // Before looking, so that nothing can be appended unnoticed between the look and the wait.
            let mut changes = stream.changes.subscribe();
            let (found, more) = self.page(size, max, stream.max_age).await?;
            if !found.is_empty() {
                return Ok(found);
            }
            if more {
                size = size.max(PAGE);
                continue;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(found);
            }
            // Both ends lead back to looking.
            let _ = timeout(left, changes.changed()).await;
        }
    }
}
