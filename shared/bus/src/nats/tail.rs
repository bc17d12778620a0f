//! Reading a JetStream stream by position. The server's consumer is a tool that may break at any time: it is made anew
//! at the position. Never skips a message that was lost on the way, and never takes an answer of a former consumer.

use std::{collections::VecDeque, future::ready, time::Duration};

use async_nats::{
    StatusCode, Subscriber,
    jetstream::{
        Context, Message as JetStreamMessage,
        consumer::{self, AckPolicy, DeliverPolicy, PullConsumer, pull},
    },
};
use async_trait::async_trait;
use butt_dial_domain::ports::bus::{BusError, LogReader, LogEntry};
use futures::StreamExt as _;
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

use super::{DEADLINE, link::Link, wire};
use crate::rules::position_past_end;

/// Messages that one request asks for: the server sends them as they come, without being asked again.
const BATCH: usize = 512;
/// For how long a request stands when nothing comes.
const EXPIRES: Duration = Duration::from_secs(5);
/// What a message, or the end of a request, may take on its way.
const GRACE: Duration = Duration::from_secs(2);
/// The server forgets a consumer that nobody asked for so long.
const INACTIVE: Duration = Duration::from_secs(60);
/// How many messages of a request that ends the server did not send: it shows that the last ones were lost on the way.
const UNANSWERED: &str = "Nats-Pending-Messages";

pub(super) struct Tail {
    link: Link,
    jetstream: Context,
    stream: &'static str,
    filter: String,
    /// The last sequence that was received.
    position: u64,
    /// Received and not yet handed out.
    received: VecDeque<LogEntry>,
    /// None: to be opened at the position.
    session: Option<Session>,
}

/// One consumer on the server, and what comes from it.
struct Session {
    link: Link,
    context: Context,
    messages: Subscriber,
    inbox: String,
    pull_subject: String,
    /// The consumer numbers what it sends, and this was its last.
    delivered: u64,
    /// Messages that wait at the server, as far as it said.
    pending: u64,
    request: Option<Request>,
    losses: watch::Receiver<()>,
}

/// A request for messages that the server holds.
struct Request {
    open: usize,
    /// When its end must have been heard of.
    ends: Instant,
}

/// What one look at the subscription brought.
enum Event {
    Message(LogEntry),
    RequestEnded,
    /// Nothing more comes from this consumer, or something was lost; why.
    Broken(String),
    /// The time is over.
    Nothing,
}

impl Tail {
    pub(super) async fn open(
        link: Link,
        jetstream: Context,
        stream: &'static str,
        filter: &str,
        after: u64,
    ) -> Result<Self, BusError> {
        let mut tail = Self {
            link,
            jetstream,
            stream,
            filter: filter.to_owned(),
            position: after,
            received: VecDeque::new(),
            session: None,
        };
        let mut session = tail.session().await?;
        session.ask().await?;
        tail.session = Some(session);
        Ok(tail)
    }

    /// A consumer that begins after the position, and the way to hear from it.
    async fn session(&self) -> Result<Session, BusError> {
        let deadline = Instant::now() + DEADLINE;
        let left = || deadline.saturating_duration_since(Instant::now());
        // Before anything is asked of the server: whatever is lost from now on shows.
        let losses = self.link.losses();
        let found = self.jetstream.get_stream(self.stream);
        let found = self
            .link
            .bounded(self.stream, left(), found)
            .await?
            .map_err(|error| wire::unavailable(format!("stream {}: {error}", self.stream)))?;
        let last = found.cached_info().state.last_sequence;
        if last < self.position {
            return Err(position_past_end(self.stream, last, self.position));
        }
        let created = self.jetstream.create_consumer_on_stream(self.settings(), self.stream);
        let consumer: PullConsumer = self
            .link
            .bounded(self.stream, left(), created)
            .await?
            .map_err(|error| wire::unavailable(format!("reader of stream {}: {error}", self.stream)))?;
        let info = consumer.cached_info();
        self.confirm(&info.config)?;
        let client = self.link.client();
        let inbox = client.new_inbox();
        let messages = self
            .link
            .bounded(self.stream, left(), client.subscribe(inbox.clone()))
            .await?
            .map_err(wire::unavailable)?;
        Ok(Session {
            link: self.link.clone(),
            context: self.jetstream.clone(),
            messages,
            inbox,
            pull_subject: format!("$JS.API.CONSUMER.MSG.NEXT.{}.{}", self.stream, info.name),
            delivered: 0,
            pending: info.num_pending,
            request: None,
            losses,
        })
    }

    fn settings(&self) -> pull::Config {
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
            inactive_threshold: INACTIVE,
            memory_storage: true,
            num_replicas: 1,
            ..pull::Config::default()
        }
    }

    fn confirm(&self, actual: &consumer::Config) -> Result<(), BusError> {
        let wanted = self.settings();
        let agrees = actual.filter_subject == wanted.filter_subject
            && actual.ack_policy == wanted.ack_policy
            && actual.deliver_policy == wanted.deliver_policy;
        if agrees {
            Ok(())
        } else {
            Err(wire::unavailable(format!(
                "the reader of stream {} is not as asked: {actual:?}",
                self.stream
            )))
        }
    }

    /// Waits until `deadline` for one message, and takes those that came with it.
    async fn receive(&mut self, max: usize, deadline: Instant) -> Result<(), BusError> {
        let mut was_broken = false;
        while self.received.len() < max {
            let in_hand = !self.received.is_empty();
            if self.session.is_none() && !in_hand {
                self.session = Some(self.session().await?);
            }
            // None only with something in hand, which nothing may keep back.
            let Some(session) = &mut self.session else { break };
            let event = if in_hand {
                session.glance(self.position).await
            } else {
                session.ask().await?;
                session.wait(self.position, deadline).await
            };
            match event {
                Event::Message(message) => {
                    self.position = message.sequence;
                    self.received.push_back(message);
                }
                Event::RequestEnded => {}
                Event::Nothing => break,
                Event::Broken(reason) => {
                    tracing::debug!(stream = self.stream, position = self.position, reason, "reading anew");
                    self.session = None;
                    if was_broken {
                        return Err(wire::unavailable(format!("reading stream {}: {reason}", self.stream)));
                    }
                    was_broken = !in_hand;
                }
            }
        }
        Ok(())
    }
}

#[async_trait]
impl LogReader for Tail {
    async fn next(&mut self, max: usize, wait: Duration) -> Result<Vec<LogEntry>, BusError> {
        self.receive(max, Instant::now() + wait).await?;
        let count = self.received.len().min(max);
        Ok(self.received.drain(..count).collect())
    }
}

impl Session {
    /// Sees to it that the server holds a request. Waits for no answer.
    async fn ask(&mut self) -> Result<(), BusError> {
        if self.request.is_some() {
            return Ok(());
        }
        let wanted = pull::BatchConfig {
            batch: BATCH,
            expires: Some(EXPIRES),
            ..pull::BatchConfig::default()
        };
        let wanted = serde_json::to_vec(&wanted).map_err(wire::unavailable)?;
        let (subject, inbox) = (self.pull_subject.clone(), self.inbox.clone());
        let sent = self.link.client().publish_with_reply(subject, inbox, wanted.into());
        self.link
            .bounded(&self.pull_subject, DEADLINE, sent)
            .await?
            .map_err(wire::unavailable)?;
        self.request = Some(Request {
            open: BATCH,
            ends: Instant::now() + EXPIRES + GRACE,
        });
        Ok(())
    }

    /// What comes until `deadline`.
    async fn wait(&mut self, position: u64, deadline: Instant) -> Event {
        // What the server has is on its way, however short the wait.
        let over = match self.pending {
            0 => deadline,
            _ => deadline.max(Instant::now() + GRACE),
        };
        let overdue = self
            .request
            .as_ref()
            .map(|request| request.ends)
            .filter(|ends| *ends <= over);
        match self.event(position, sleep_until(overdue.unwrap_or(over))).await {
            Event::Nothing if overdue.is_some() => Event::Broken("a request was not answered".to_owned()),
            Event::Nothing => {
                // If there was something, it has become too old there.
                self.pending = 0;
                Event::Nothing
            }
            event => event,
        }
    }

    /// What is here already. Without a timer, whose shortest is a millisecond.
    async fn glance(&mut self, position: u64) -> Event {
        self.event(position, ready(())).await
    }

    async fn event(&mut self, position: u64, over: impl Future<Output = ()>) -> Event {
        tokio::select! {
            biased;
            _ = self.losses.changed() => Event::Broken("lost the connection to NATS".to_owned()),
            message = self.messages.next() => match message {
                Some(message) => self.take(message, position),
                None => Event::Broken("the subscription was closed".to_owned()),
            },
            () = over => Event::Nothing,
        }
    }

    fn end_request(&mut self, status: StatusCode, message: &async_nats::Message) -> Event {
        let open = self.request.take().map(|request| request.open);
        if status != StatusCode::TIMEOUT && status != StatusCode::NOT_FOUND {
            let description = message.description.as_deref().unwrap_or_default();
            return Event::Broken(format!("{status} {description}"));
        }
        let headers = message.headers.as_ref();
        let unanswered = headers
            .and_then(|headers| headers.get(UNANSWERED))
            .and_then(|count| count.as_str().parse::<usize>().ok());
        match (open, unanswered) {
            (Some(open), Some(unanswered)) if open != unanswered => Event::Broken(format!(
                "{open} messages are missing where the server misses {unanswered}"
            )),
            _ => Event::RequestEnded,
        }
    }

    fn take(&mut self, message: async_nats::Message, position: u64) -> Event {
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
            .map(|request| Request {
                open: request.open - 1,
                ..request
            });
        Event::Message(LogEntry {
            sequence,
            message: wire::durable_message(message.message),
        })
    }
}
