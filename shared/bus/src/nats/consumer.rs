//! Reading a durable stream over JetStream. Never trusts the server to bury: it would stop delivering silently.

use std::time::{Duration, Instant};

use async_nats::jetstream::{
    AckKind, Context,
    consumer::{AckPolicy, PullConsumer, pull},
    message::Message as JetStreamMessage,
};
use async_trait::async_trait;
use butt_dial_domain::ports::bus::{BusError, Consumer, ConsumerSpec, Delivery, Message};
use bytes::Bytes;
use futures::StreamExt as _;

use super::{DEADLINE, append, link::Link, wire};
use crate::dead;

/// A delay of zero would be a nak without delay.
const MIN_DELAY: Duration = Duration::from_millis(1);
/// What the server may take to say that there is nothing, beyond the wait that was asked for.
const GRACE: Duration = Duration::from_secs(2);

pub(super) struct Reader {
    link: Link,
    consumer: PullConsumer,
    spec: ConsumerSpec,
}

impl Reader {
    pub(super) async fn open(link: Link, jetstream: &Context, spec: ConsumerSpec) -> Result<Self, BusError> {
        let config = pull::Config {
            durable_name: Some(spec.name.to_owned()),
            filter_subject: spec.filter.to_owned(),
            ack_policy: AckPolicy::Explicit,
            ack_wait: spec.ack_wait,
            // No limit at the server: at its limit the server only stops and sends an advisory, which is lost when
            // nobody hears it. So a used-up message comes once more, to whichever replica is alive, and that one buries
            // it (`fetch`). When all are dead, it waits in the stream.
            max_deliver: -1,
            ..pull::Config::default()
        };
        let created = jetstream.create_consumer_on_stream(config, spec.stream);
        let consumer: PullConsumer = link
            .bounded(spec.stream, DEADLINE, created)
            .await?
            .map_err(|error| wire::unavailable(format!("consumer {} of stream {}: {error}", spec.name, spec.stream)))?;
        let actual = &consumer.cached_info().config;
        let agrees = actual.filter_subject == spec.filter
            && actual.ack_policy == AckPolicy::Explicit
            && actual.ack_wait == spec.ack_wait
            && actual.max_deliver == -1;
        if !agrees {
            return Err(wire::unavailable(format!(
                "consumer {} is not as asked: {actual:?}",
                spec.name
            )));
        }
        Ok(Self { link, consumer, spec })
    }

    /// What is there now.
    async fn pull(&self, max: usize) -> Result<Vec<JetStreamMessage>, BusError> {
        self.collect(self.consumer.fetch().max_messages(max).messages(), max, Duration::ZERO)
            .await
    }

    /// The first that comes. Never more: what the server would send after we stopped listening comes only after
    /// `ack_wait`.
    async fn pull_first(&self, wait: Duration) -> Result<Vec<JetStreamMessage>, BusError> {
        self.collect(self.consumer.batch().max_messages(1).expires(wait).messages(), 1, wait)
            .await
    }

    async fn collect(
        &self,
        asked: impl Future<Output = Result<pull::Batch, pull::BatchError>>,
        max: usize,
        wait: Duration,
    ) -> Result<Vec<JetStreamMessage>, BusError> {
        let deadline = Instant::now() + wait + GRACE;
        let left = || deadline.saturating_duration_since(Instant::now());
        let about = self.spec.stream;
        let mut batch = self
            .link
            .bounded(about, left(), asked)
            .await?
            .map_err(wire::unavailable)?;
        let mut messages = Vec::new();
        while messages.len() < max {
            let next = self.link.bounded(about, left(), batch.next()).await;
            match next {
                Ok(None) => break,
                Ok(Some(Ok(message))) => messages.push(message),
                // What is in hand is in hand: an error will show again at the next fetch.
                Ok(Some(Err(_))) | Err(_) if !messages.is_empty() => break,
                Ok(Some(Err(error))) => return Err(wire::unavailable(error)),
                Err(error) => return Err(error),
            }
        }
        Ok(messages)
    }

    /// Those that may be handled; the used-up are buried.
    async fn claim(&self, messages: Vec<JetStreamMessage>) -> Result<Vec<Box<dyn Delivery>>, BusError> {
        let mut claims = Vec::<Box<dyn Delivery>>::with_capacity(messages.len());
        for message in messages {
            let claim = self.delivery(message)?;
            if claim.attempt <= self.spec.max_deliver.max(1) {
                claims.push(Box::new(claim));
            } else if let Err(error) = claim
                .bury(claim.attempt - 1, &dead::used_up(self.spec.max_deliver))
                .await
            {
                // It comes again, and the next who sees it tries. The others in hand must not suffer.
                tracing::warn!(stream = self.spec.stream, consumer = self.spec.name, sequence = claim.sequence, %error,
                    "a used-up message could not be buried");
            }
        }
        Ok(claims)
    }

    fn delivery(&self, message: JetStreamMessage) -> Result<Claim, BusError> {
        let info = message.info().map_err(wire::unavailable)?;
        let (sequence, delivered) = (info.stream_sequence, info.delivered);
        let ack_subject = message.reply.as_ref().map(ToString::to_string).unwrap_or_default();
        Ok(Claim {
            link: self.link.clone(),
            spec: self.spec.clone(),
            ack_subject,
            sequence,
            attempt: u32::try_from(delivered).unwrap_or(u32::MAX),
            message: wire::durable_message(message.message),
        })
    }
}

#[async_trait]
impl Consumer for Reader {
    async fn fetch(&self, max: usize, wait: Duration) -> Result<Vec<Box<dyn Delivery>>, BusError> {
        if max == 0 {
            return Ok(Vec::new());
        }
        let deadline = Instant::now() + wait;
        loop {
            let claims = self.claim(self.pull(max).await?).await?;
            let left = deadline.saturating_duration_since(Instant::now());
            if !claims.is_empty() || left < MIN_DELAY {
                return Ok(claims);
            }
            let first = self.pull_first(left).await?;
            let mut claims = self.claim(first).await?;
            if !claims.is_empty() {
                // A burst seldom comes alone. That there is no more, or no server, takes nothing from the first.
                if max > 1
                    && let Ok(more) = self.pull(max - 1).await
                {
                    claims.extend(self.claim(more).await?);
                }
                return Ok(claims);
            }
        }
    }
}

struct Claim {
    link: Link,
    spec: ConsumerSpec,
    ack_subject: String,
    sequence: u64,
    attempt: u32,
    message: Message,
}

impl Claim {
    /// Tells the server and waits until it knows.
    async fn answer(&self, kind: AckKind) -> Result<(), BusError> {
        match self
            .link
            .request(&self.ack_subject, None, Bytes::from(kind), DEADLINE)
            .await
        {
            Ok(_) => Ok(()),
            Err(BusError::NoResponders(_)) => Err(wire::unavailable("the server has no JetStream")),
            Err(error) => Err(error),
        }
    }

    /// First the letter, then the end of the delivery: interrupted in between, it is done again and the letter is a
    /// duplicate.
    async fn bury(&self, attempt: u32, reason: &str) -> Result<(), BusError> {
        let ConsumerSpec { stream, name, .. } = self.spec;
        if let Some(letter) = dead::letter(stream, name, self.sequence, attempt, &self.message, reason) {
            append(&self.link, &letter.subject, &letter.id, &letter.headers, letter.payload).await?;
        }
        self.answer(AckKind::Term).await
    }
}

#[async_trait]
impl Delivery for Claim {
    fn message(&self) -> &Message {
        &self.message
    }

    fn sequence(&self) -> u64 {
        self.sequence
    }

    fn attempt(&self) -> u32 {
        self.attempt
    }

    async fn ack(self: Box<Self>) -> Result<(), BusError> {
        self.answer(AckKind::Ack).await
    }

    async fn nak(self: Box<Self>, delay: Duration) -> Result<(), BusError> {
        if self.attempt >= self.spec.max_deliver {
            return self.bury(self.attempt, &dead::used_up(self.spec.max_deliver)).await;
        }
        self.answer(AckKind::Nak(Some(delay.max(MIN_DELAY)))).await
    }

    async fn in_progress(&self) -> Result<(), BusError> {
        self.answer(AckKind::Progress).await
    }

    async fn dead_letter(self: Box<Self>, reason: &str) -> Result<(), BusError> {
        self.bury(self.attempt, reason).await
    }
}
