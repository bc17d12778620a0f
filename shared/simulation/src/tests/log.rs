//! The bus: a durable log that survives crashes of processes, and live messages. An append that is acknowledged is durable. A
//! power failure of the log loses its last entries, also acknowledged ones, and gives their numbers to later entries, as a NATS
//! with one copy does.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use butt_dial_domain::{
    clock::Timestamp,
    ports::bus::{Appended, Bus, BusError, Headers, LogEntry, LogPosition, LogReader, Message, StreamSpec},
};
use butt_dial_messaging::inbound::STREAM;
use bytes::Bytes;
use chrono::TimeDelta;
use futures::{StreamExt, channel::mpsc, stream::BoxStream};
use tokio::{
    sync::Notify,
    time::{Instant, timeout_at},
};

use super::faults::Faults;

#[derive(Clone)]
pub struct Entry {
    pub sequence: u64,
    pub subject: String,
    pub id: String,
    headers: Headers,
    payload: Bytes,
    at: Timestamp,
}

#[derive(Default)]
struct State {
    entries: Vec<Entry>,
    /// Ids of entries that were lost.
    lost: Vec<String>,
    /// Counts power failures. Readers from before have lost their connection.
    generation: u64,
    subscribers: Vec<(String, mpsc::UnboundedSender<Message>)>,
}

pub struct Log {
    state: Mutex<State>,
    /// Wakes readers in the order in which they began to wait. `watch` would wake them in a random order.
    changed: Notify,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            state: Mutex::default(),
            changed: Notify::new(),
        }
    }
}

impl Log {
    fn append(&self, subject: &str, id: &str, headers: Headers, payload: Bytes, now: Timestamp) -> Appended {
        let mut state = self.state.lock().unwrap();
        let window = TimeDelta::from_std(STREAM.dedup_window).unwrap();
        let prior = state
            .entries
            .iter()
            .find(|entry| !id.is_empty() && entry.id == id && now - entry.at < window);
        if let Some(prior) = prior {
            return Appended {
                sequence: prior.sequence,
                duplicate: true,
            };
        }
        let sequence = state.entries.last().map_or(0, |entry| entry.sequence) + 1;
        state.entries.push(Entry {
            sequence,
            subject: subject.to_owned(),
            id: id.to_owned(),
            headers,
            payload,
            at: now,
        });
        drop(state);
        self.changed.notify_waiters();
        Appended {
            sequence,
            duplicate: false,
        }
    }

    /// Loses the last entries.
    pub fn fail_power(&self, count: usize) -> usize {
        let mut state = self.state.lock().unwrap();
        let kept = state.entries.len().saturating_sub(count);
        let lost: Vec<Entry> = state.entries.drain(kept..).collect();
        state.generation += 1;
        let count = lost.len();
        state.lost.extend(lost.into_iter().map(|entry| entry.id));
        drop(state);
        self.changed.notify_waiters();
        count
    }

    /// Returns the entries that are stored now.
    pub fn entries(&self) -> Vec<Entry> {
        self.state.lock().unwrap().entries.clone()
    }

    /// Returns the ids of entries that a power failure has lost.
    pub fn lost(&self) -> Vec<String> {
        self.state.lock().unwrap().lost.clone()
    }

    fn publish(&self, subject: &str, headers: &Headers, payload: &Bytes) {
        let mut state = self.state.lock().unwrap();
        state.subscribers.retain(|(subscribed, sender)| {
            let message = Message {
                subject: subject.to_owned(),
                headers: headers.clone(),
                payload: payload.clone(),
                reply_to: None,
            };
            subscribed != subject || sender.unbounded_send(message).is_ok()
        });
    }

    fn subscribe(&self, subject: &str) -> BoxStream<'static, Message> {
        let (sender, messages) = mpsc::unbounded();
        self.state
            .lock()
            .unwrap()
            .subscribers
            .push((subject.to_owned(), sender));
        messages.boxed()
    }

    fn open(&self, after: &LogPosition) -> Result<u64, BusError> {
        let state = self.state.lock().unwrap();
        let end = state.entries.last().map_or(0, |entry| entry.sequence);
        let (stream, position) = (STREAM.name.to_owned(), after.sequence);
        if position > end {
            return Err(BusError::PositionPastEnd { stream, end, position });
        }
        let entry = state.entries.iter().find(|entry| entry.sequence == position);
        if entry.is_some_and(|entry| !after.id.is_empty() && entry.id != after.id) {
            return Err(BusError::OtherEntry { stream, position });
        }
        Ok(state.generation)
    }
}

/// The bus of a process.
pub struct ProcessBus(pub Arc<Faults>);

impl ProcessBus {
    fn log(&self) -> &Log {
        &self.0.world.log
    }

    async fn pass(&self, point: &'static str) -> Result<(), BusError> {
        match self.0.pass(point).await {
            true => Ok(()),
            false => Err(BusError::Unavailable("simulated failure".into())),
        }
    }
}

#[async_trait]
impl Bus for ProcessBus {
    async fn publish(&self, subject: &str, headers: Headers, payload: Bytes) -> Result<(), BusError> {
        self.pass("before a publish").await?;
        for _ in 0..=u8::from(self.0.strikes(20)) {
            self.log().publish(subject, &headers, &payload);
        }
        self.pass("after a publish").await
    }

    async fn request(&self, subject: &str, _: Headers, _: Bytes, _: Duration) -> Result<Message, BusError> {
        Err(BusError::NoResponders(subject.to_owned()))
    }

    async fn subscribe(&self, subject: &str) -> Result<BoxStream<'static, Message>, BusError> {
        self.pass("before a subscription").await?;
        Ok(self.log().subscribe(subject))
    }

    async fn subscribe_group(&self, subject: &str, _: &str) -> Result<BoxStream<'static, Message>, BusError> {
        self.subscribe(subject).await
    }

    async fn create_stream(&self, _: &StreamSpec) -> Result<(), BusError> {
        Ok(())
    }

    async fn append(&self, subject: &str, id: &str, headers: Headers, payload: Bytes) -> Result<Appended, BusError> {
        self.pass("before an append").await?;
        let appended = self.log().append(subject, id, headers, payload, self.0.world.now());
        self.0.note(|| {
            format!(
                "appends {} to {subject}{}",
                appended.sequence,
                if appended.duplicate { " (repeated)" } else { "" }
            )
        });
        self.pass("after an append").await?;
        Ok(appended)
    }

    async fn read_log_after(
        &self,
        _: &'static str,
        filter: &str,
        after: LogPosition,
    ) -> Result<Box<dyn LogReader>, BusError> {
        self.pass("before the log is opened").await?;
        let generation = self.log().open(&after)?;
        Ok(Box::new(Reader {
            faults: self.0.clone(),
            filter: filter.to_owned(),
            after: after.sequence,
            generation,
        }))
    }

    async fn last_position(&self, _: &'static str, subject: &str) -> Result<u64, BusError> {
        self.pass("before the end of the log").await?;
        let entries = self.log().entries();
        let last = entries.iter().rev().find(|entry| entry.subject == subject);
        Ok(last.map_or(0, |entry| entry.sequence))
    }

    async fn position_before(&self, _: &'static str, time: Timestamp) -> Result<u64, BusError> {
        self.pass("before a position by time").await?;
        let entries = self.log().entries();
        let first = entries.iter().find(|entry| entry.at >= time);
        Ok(first
            .or(entries.last())
            .map_or(0, |entry| entry.sequence.saturating_sub(1)))
    }

    async fn check(&self) -> Result<(), BusError> {
        self.pass("before a check").await
    }
}

struct Reader {
    faults: Arc<Faults>,
    filter: String,
    after: u64,
    generation: u64,
}

#[async_trait]
impl LogReader for Reader {
    async fn next(&mut self, max: usize, wait: Duration) -> Result<Vec<LogEntry>, BusError> {
        let deadline = Instant::now() + wait;
        let lost = || BusError::Unavailable("simulated failure".into());
        loop {
            let changed = self.faults.world.log.changed.notified();
            let found: Vec<Entry> = {
                let state = self.faults.world.log.state.lock().unwrap();
                if state.generation != self.generation {
                    return Err(lost());
                }
                let new = state
                    .entries
                    .iter()
                    .filter(|entry| entry.sequence > self.after && entry.subject == self.filter);
                new.take(max).cloned().collect()
            };
            if let Some(last) = found.last() {
                if !self.faults.pass("before entries are read").await {
                    return Err(lost());
                }
                self.after = last.sequence;
                return Ok(found.into_iter().map(entry_of).collect());
            }
            if timeout_at(deadline, changed).await.is_err() {
                return Ok(Vec::new());
            }
        }
    }

    async fn count_unread(&mut self) -> Result<u64, BusError> {
        Ok(0)
    }
}

fn entry_of(entry: Entry) -> LogEntry {
    LogEntry {
        sequence: entry.sequence,
        id: entry.id,
        message: Message {
            subject: entry.subject,
            headers: entry.headers,
            payload: entry.payload,
            reply_to: None,
        },
    }
}
