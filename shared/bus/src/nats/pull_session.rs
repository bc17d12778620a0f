//! One pull consumer of JetStream and the messages that it sends. Detects every loss between server and client by the
//! consumer's numbering, and reports it as `Event::Broken`.

use std::{future::ready, time::Duration};

use async_nats::{
    StatusCode, Subscriber,
    jetstream::{Context, Message as JetStreamMessage, consumer::pull},
};
use butt_dial_domain::ports::bus::{BusError, LogEntry};
use futures::StreamExt as _;
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

use super::{REQUEST_TIMEOUT, connection::Connection, wire};

/// The messages of one pull request. The server pushes them as they are appended.
const BATCH: usize = 512;
/// The server ends a pull request after this time.
const REQUEST_EXPIRY: Duration = Duration::from_secs(5);
/// The longest transit of a message, or of the end of a request.
const TRANSIT_TIMEOUT: Duration = Duration::from_secs(2);
/// Header of the end of a request: the number of messages that the server has not sent. It reveals the loss of the last
/// messages.
const UNSENT_MESSAGES: &str = "Nats-Pending-Messages";

/// A consumer on the server and its state at the client.
pub(super) struct PullSession {
    pub(super) connection: Connection,
    pub(super) context: Context,
    pub(super) messages: Subscriber,
    pub(super) inbox: String,
    pub(super) consumer: String,
    pub(super) pull_subject: String,
    /// The consumer's number of the last message received.
    pub(super) delivered: u64,
    /// Messages that wait at the server, as of its last message.
    pub(super) pending: u64,
    pub(super) request: Option<PullRequest>,
    pub(super) disconnects: watch::Receiver<()>,
}

/// A pull request that the server holds.
pub(super) struct PullRequest {
    /// Messages that the server may still send for it.
    open: usize,
    /// The server's end of the request must have arrived by then.
    deadline: Instant,
}

/// The result of one read of the subscription.
pub(super) enum Event {
    Message(LogEntry),
    RequestEnded,
    /// A message was lost or the consumer is gone; the text holds the reason.
    Broken(String),
    /// The wait is over.
    Nothing,
}

impl PullSession {
    /// Sends a pull request unless the server holds one. Does not wait for a response.
    pub(super) async fn ensure_request(&mut self) -> Result<(), BusError> {
        if self.request.is_some() {
            return Ok(());
        }
        let request = pull::BatchConfig {
            batch: BATCH,
            expires: Some(REQUEST_EXPIRY),
            ..pull::BatchConfig::default()
        };
        let request = serde_json::to_vec(&request).map_err(wire::unavailable)?;
        let (subject, inbox) = (self.pull_subject.clone(), self.inbox.clone());
        let client = self.connection.client();
        let sent = client.publish_with_reply(subject, inbox, request.into());
        self.connection
            .with_timeout(&self.pull_subject, REQUEST_TIMEOUT, sent)
            .await?
            .map_err(wire::unavailable)?;
        self.request = Some(PullRequest {
            open: BATCH,
            deadline: Instant::now() + REQUEST_EXPIRY + TRANSIT_TIMEOUT,
        });
        Ok(())
    }

    /// Waits for the next event until `deadline`.
    pub(super) async fn wait(&mut self, position: u64, deadline: Instant) -> Event {
        // Messages that wait at the server are in transit, however short the wait.
        let end = match self.pending {
            0 => deadline,
            _ => deadline.max(Instant::now() + TRANSIT_TIMEOUT),
        };
        let overdue = self
            .request
            .as_ref()
            .map(|request| request.deadline)
            .filter(|request_deadline| *request_deadline <= end);
        match self.next_event(position, sleep_until(overdue.unwrap_or(end))).await {
            Event::Nothing if overdue.is_some() => Event::Broken("the server did not end a pull request".to_owned()),
            Event::Nothing => {
                // Pending messages that did not arrive have expired at the server.
                self.pending = 0;
                Event::Nothing
            }
            event => event,
        }
    }

    /// Returns an event that has already arrived. Uses no timer, because the shortest one takes a millisecond.
    pub(super) async fn poll(&mut self, position: u64) -> Event {
        self.next_event(position, ready(())).await
    }

    async fn next_event(&mut self, position: u64, end: impl Future<Output = ()>) -> Event {
        tokio::select! {
            biased;
            _ = self.disconnects.changed() => Event::Broken("lost the connection to NATS".to_owned()),
            message = self.messages.next() => match message {
                Some(message) => self.accept(message, position),
                None => Event::Broken("the subscription was closed".to_owned()),
            },
            () = end => Event::Nothing,
        }
    }

    fn end_request(&mut self, status: StatusCode, message: &async_nats::Message) -> Event {
        let open = self.request.take().map(|request| request.open);
        if status != StatusCode::TIMEOUT && status != StatusCode::NOT_FOUND {
            let description = message.description.as_deref().unwrap_or_default();
            return Event::Broken(format!("{status} {description}"));
        }
        let headers = message.headers.as_ref();
        let unsent = headers
            .and_then(|headers| headers.get(UNSENT_MESSAGES))
            .and_then(|count| count.as_str().parse::<usize>().ok());
        match (open, unsent) {
            (Some(open), Some(unsent)) if open != unsent => Event::Broken(format!(
                "messages were lost: {open} not received, {unsent} not sent by the server"
            )),
            _ => Event::RequestEnded,
        }
    }

    /// Checks the message against the consumer's numbering and converts it.
    fn accept(&mut self, message: async_nats::Message, position: u64) -> Event {
        if let Some(status) = message.status {
            return self.end_request(status, &message);
        }
        let message = JetStreamMessage {
            message,
            context: self.context.clone(),
        };
        let (sequence, delivered, pending) = match message.info() {
            Ok(info) => (info.stream_sequence, info.consumer_sequence, info.pending),
            Err(error) => return Event::Broken(error.to_string()),
        };
        if delivered != self.delivered + 1 {
            return Event::Broken(format!("delivery {delivered} follows {}", self.delivered));
        }
        if sequence <= position {
            return Event::Broken(format!("message {sequence} follows {position}"));
        }
        self.delivered = delivered;
        self.pending = pending;
        self.request = self
            .request
            .take()
            .filter(|request| request.open > 1)
            .map(|request| PullRequest {
                open: request.open - 1,
                ..request
            });
        Event::Message(LogEntry {
            sequence,
            id: wire::message_id(message.message.headers.as_ref()),
            message: wire::durable_message(message.message),
        })
    }
}
