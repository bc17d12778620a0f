//! Reads a JetStream stream by position. The server's consumer is disposable: when it breaks, a new one is created at
//! the position. Never skips a lost message.

use std::{collections::VecDeque, time::Duration};

use async_nats::jetstream::{
    Context,
    consumer::{self, AckPolicy, DeliverPolicy, PullConsumer, pull},
    stream::Stream,
};
use async_trait::async_trait;
use butt_dial_domain::ports::bus::{BusError, LogEntry, LogPosition, LogReader};
use tokio::time::Instant;

use super::{
    REQUEST_TIMEOUT,
    connection::Connection,
    pull_session::{Event, PullSession},
    streams::is_missing,
    wire,
};
use crate::validation::position_past_end;

/// The server deletes a consumer without a pull request for this long.
const INACTIVE_THRESHOLD: Duration = Duration::from_secs(60);

pub(super) struct Reader {
    connection: Connection,
    jetstream: Context,
    stream: &'static str,
    filter: String,
    /// The last sequence that was received.
    position: u64,
    /// The id of the entry at the position; empty if it is not known.
    id: String,
    /// Received, not yet returned to the caller.
    received: VecDeque<LogEntry>,
    /// `None`: to be opened at the position.
    session: Option<PullSession>,
}

impl Reader {
    pub(super) async fn open(
        connection: Connection,
        jetstream: Context,
        stream: &'static str,
        filter: &str,
        after: LogPosition,
    ) -> Result<Self, BusError> {
        let mut reader = Self {
            connection,
            jetstream,
            stream,
            filter: filter.to_owned(),
            position: after.sequence,
            id: after.id,
            received: VecDeque::new(),
            session: None,
        };
        let mut session = reader.open_session().await?;
        session.ensure_request().await?;
        reader.session = Some(session);
        Ok(reader)
    }

    /// Creates a consumer behind the position and subscribes to its messages.
    async fn open_session(&self) -> Result<PullSession, BusError> {
        let deadline = Instant::now() + REQUEST_TIMEOUT;
        let remaining = || deadline.saturating_duration_since(Instant::now());
        // Before the first request, so that every later disconnect is noticed.
        let disconnects = self.connection.disconnects();
        let found = self.jetstream.get_stream(self.stream);
        let found = self
            .connection
            .with_timeout(self.stream, remaining(), found)
            .await?
            .map_err(|error| wire::unavailable(format!("stream {}: {error}", self.stream)))?;
        let last = found.cached_info().state.last_sequence;
        if last < self.position {
            return Err(position_past_end(self.stream, last, self.position));
        }
        self.verify_entry(&found, remaining()).await?;
        let created = self.jetstream.create_consumer_on_stream(self.config(), self.stream);
        let consumer: PullConsumer = self
            .connection
            .with_timeout(self.stream, remaining(), created)
            .await?
            .map_err(|error| wire::unavailable(format!("consumer of stream {}: {error}", self.stream)))?;
        let info = consumer.cached_info();
        self.verify_config(&info.config)?;
        let client = self.connection.client();
        let inbox = client.new_inbox();
        let messages = self
            .connection
            .with_timeout(self.stream, remaining(), client.subscribe(inbox.clone()))
            .await?
            .map_err(wire::unavailable)?;
        Ok(PullSession {
            connection: self.connection.clone(),
            context: self.jetstream.clone(),
            messages,
            inbox,
            consumer: info.name.clone(),
            pull_subject: format!("$JS.API.CONSUMER.MSG.NEXT.{}.{}", self.stream, info.name),
            delivered: 0,
            pending: info.num_pending,
            request: None,
            disconnects,
        })
    }

    /// Fails when the entry at the position is another one than was read. A server that lost entries that it had not synced
    /// gives their numbers to new ones.
    async fn verify_entry(&self, stream: &Stream, timeout: Duration) -> Result<(), BusError> {
        if self.position == 0 || self.id.is_empty() {
            return Ok(());
        }
        let message = stream.get_raw_message(self.position);
        match self.connection.with_timeout(self.stream, timeout, message).await? {
            Ok(message) if wire::message_id(Some(&message.headers)) == self.id => Ok(()),
            Ok(_) => Err(BusError::OtherEntry {
                stream: self.stream.to_owned(),
                position: self.position,
            }),
            // It has expired.
            Err(error) if is_missing(&error) => Ok(()),
            Err(error) => Err(wire::unavailable(format!("stream {}: {error}", self.stream))),
        }
    }

    fn config(&self) -> pull::Config {
        let deliver_policy = match self.position {
            0 => DeliverPolicy::All,
            position => DeliverPolicy::ByStartSequence {
                start_sequence: position + 1,
            },
        };
        pull::Config {
            deliver_policy,
            filter_subject: self.filter.clone(),
            ack_policy: AckPolicy::None,
            inactive_threshold: INACTIVE_THRESHOLD,
            memory_storage: true,
            num_replicas: 1,
            ..pull::Config::default()
        }
    }

    /// Compares the settings with the server's response, because the server ignores unknown ones.
    fn verify_config(&self, actual: &consumer::Config) -> Result<(), BusError> {
        let expected = self.config();
        let agrees = actual.filter_subject == expected.filter_subject
            && actual.ack_policy == expected.ack_policy
            && actual.deliver_policy == expected.deliver_policy;
        if agrees {
            Ok(())
        } else {
            Err(wire::unavailable(format!(
                "the server did not apply the settings of the consumer of stream {}: {actual:?}",
                self.stream
            )))
        }
    }

    /// Waits until `deadline` for one message, and also receives those that have already arrived.
    async fn receive(&mut self, max: usize, deadline: Instant) -> Result<(), BusError> {
        let mut was_broken = false;
        while self.received.len() < max {
            let has_messages = !self.received.is_empty();
            if self.session.is_none() && !has_messages {
                self.session = Some(self.open_session().await?);
            }
            // `None` only with messages received, which must not be delayed.
            let Some(session) = &mut self.session else { break };
            let event = if has_messages {
                session.poll(self.position).await
            } else {
                session.ensure_request().await?;
                session.wait(self.position, deadline).await
            };
            match event {
                Event::Message(message) => {
                    self.position = message.sequence;
                    self.id.clone_from(&message.id);
                    self.received.push_back(message);
                }
                Event::RequestEnded => {}
                Event::Nothing => break,
                Event::Broken(reason) => {
                    tracing::debug!(
                        stream = self.stream,
                        position = self.position,
                        reason,
                        "log reader reopened"
                    );
                    self.session = None;
                    if was_broken {
                        return Err(wire::unavailable(format!("reading stream {}: {reason}", self.stream)));
                    }
                    was_broken = !has_messages;
                }
            }
        }
        Ok(())
    }
}

#[async_trait]
impl LogReader for Reader {
    async fn next(&mut self, max: usize, wait: Duration) -> Result<Vec<LogEntry>, BusError> {
        self.receive(max, Instant::now() + wait).await?;
        let count = self.received.len().min(max);
        Ok(self.received.drain(..count).collect())
    }

    async fn count_unread(&mut self) -> Result<u64, BusError> {
        let session = match self.session.take() {
            Some(session) => session,
            None => self.open_session().await?,
        };
        let session = self.session.insert(session);
        let stream = self.jetstream.get_stream_no_info(self.stream);
        let stream = self
            .connection
            .with_timeout(self.stream, REQUEST_TIMEOUT, stream)
            .await?
            .map_err(wire::unavailable)?;
        let info = stream.consumer_info(&session.consumer);
        let info = self
            .connection
            .with_timeout(self.stream, REQUEST_TIMEOUT, info)
            .await?
            .map_err(wire::unavailable)?;
        let in_transit = info.delivered.consumer_sequence.saturating_sub(session.delivered);
        Ok(self.received.len() as u64 + in_transit + info.num_pending)
    }
}
