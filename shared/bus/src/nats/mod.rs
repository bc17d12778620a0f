//! The bus of many replicas: NATS for live traffic, JetStream for what must not be lost. Never waits for a server that
//! is known to be away, and never believes a setting that the server did not confirm.

mod consumer;
mod link;
mod tail;
mod wire;

use std::time::Duration;

use async_nats::jetstream::{
    Context, ContextBuilder,
    context::GetStreamErrorKind,
    publish::PublishAck,
    response::Response,
    stream::{Config, RetentionPolicy, StorageType},
};
use async_trait::async_trait;
use butt_dial_domain::ports::bus::{
    Appended, Bus, BusError, Consumer, ConsumerSpec, Headers, LogReader, Message, StreamSpec,
};
use bytes::Bytes;
use futures::stream::BoxStream;

use self::{consumer::Reader, link::Link, tail::Tail};
use crate::{
    dead::DEAD_LETTERS,
    rules::{check_message, check_pattern, no_stream_takes},
};

/// What the server may take to confirm an append, an answer or a setting.
const DEADLINE: Duration = Duration::from_secs(5);

pub struct NatsBus {
    link: Link,
    jetstream: Context,
    replicas: usize,
}

impl NatsBus {
    /// `nats://[user:password@]host:port`, several separated by commas. `name` is what the server's operator sees.
    /// Fails when no server with JetStream answers; once connected, it reconnects by itself.
    pub async fn connect(url: &str, name: &str) -> Result<Self, BusError> {
        let link = Link::connect(url, name).await?;
        let jetstream = ContextBuilder::new().timeout(DEADLINE).build(link.client().clone());
        let bus = Self {
            link,
            jetstream,
            replicas: 1,
        };
        bus.check().await?;
        Ok(bus)
    }

    /// On how many servers new streams are kept. One server alone loses what it has not yet synced to disk when its
    /// machine loses power: it syncs every two minutes.
    pub fn with_replicas(mut self, replicas: usize) -> Self {
        self.replicas = replicas.max(1);
        self
    }

    /// With `update`, a stream that exists takes over the settings; without, it stays as it is.
    async fn create(&self, spec: &StreamSpec, update: bool) -> Result<(), BusError> {
        let found = match self
            .link
            .bounded(spec.name, DEADLINE, self.jetstream.get_stream(spec.name))
            .await?
        {
            Ok(stream) => Some(stream.cached_info().config.clone()),
            Err(error) => match error.kind() {
                GetStreamErrorKind::JetStream(error) if error.code() == 404 => None,
                _ => return Err(wire::unavailable(error)),
            },
        };
        let Some(found) = found else {
            let wanted = Config {
                name: spec.name.to_owned(),
                retention: RetentionPolicy::Limits,
                storage: StorageType::File,
                num_replicas: self.replicas,
                ..Config::default()
            };
            let created = self.jetstream.create_stream(with_settings(wanted, spec));
            let created = self
                .link
                .bounded(spec.name, DEADLINE, created)
                .await?
                .map_err(wire::unavailable)?;
            return confirm_stream(spec, &created.cached_info().config);
        };
        if !update || confirm_stream(spec, &found).is_ok() {
            return Ok(());
        }
        // What an operator has set beside ours, such as the number of replicas, stays.
        let updated = self.jetstream.update_stream(with_settings(found, spec));
        let updated = self
            .link
            .bounded(spec.name, DEADLINE, updated)
            .await?
            .map_err(wire::unavailable)?;
        confirm_stream(spec, &updated.config)
    }
}

fn with_settings(config: Config, spec: &StreamSpec) -> Config {
    Config {
        subjects: spec.subjects.iter().map(|&subject| subject.to_owned()).collect(),
        max_age: spec.max_age,
        duplicate_window: spec.dedup_window,
        ..config
    }
}

/// The server ignores what it does not know, so its answer is compared.
fn confirm_stream(spec: &StreamSpec, actual: &Config) -> Result<(), BusError> {
    let agrees = actual.subjects == spec.subjects
        && actual.max_age == spec.max_age
        && actual.duplicate_window == spec.dedup_window;
    if agrees {
        Ok(())
    } else {
        Err(wire::unavailable(format!(
            "stream {} is not as asked: {actual:?}",
            spec.name
        )))
    }
}

#[async_trait]
impl Bus for NatsBus {
    async fn publish(&self, subject: &str, headers: Headers, payload: Bytes) -> Result<(), BusError> {
        check_message(subject, &headers, &payload)?;
        self.link.publish(subject, wire::to_headers(&headers), payload).await
    }

    async fn request(
        &self,
        subject: &str,
        headers: Headers,
        payload: Bytes,
        deadline: Duration,
    ) -> Result<Message, BusError> {
        check_message(subject, &headers, &payload)?;
        self.link
            .request(subject, wire::to_headers(&headers), payload, deadline)
            .await
            .map(wire::live_message)
    }

    async fn subscribe(&self, subject: &str) -> Result<BoxStream<'static, Message>, BusError> {
        check_pattern(subject)?;
        self.link.subscribe(subject, None).await
    }

    async fn subscribe_group(&self, subject: &str, group: &str) -> Result<BoxStream<'static, Message>, BusError> {
        check_pattern(subject)?;
        self.link.subscribe(subject, Some(group)).await
    }

    async fn create_stream(&self, spec: &StreamSpec) -> Result<(), BusError> {
        self.create(spec, true).await
    }

    async fn append(&self, subject: &str, id: &str, headers: Headers, payload: Bytes) -> Result<Appended, BusError> {
        check_message(subject, &headers, &payload)?;
        append(&self.link, subject, id, &headers, payload).await
    }

    async fn consumer(&self, spec: &ConsumerSpec) -> Result<Box<dyn Consumer>, BusError> {
        check_pattern(spec.filter)?;
        self.create(&DEAD_LETTERS, false).await?;
        Ok(Box::new(
            Reader::open(self.link.clone(), &self.jetstream, spec.clone()).await?,
        ))
    }

    async fn read_log(&self, stream: &'static str, filter: &str, after: u64) -> Result<Box<dyn LogReader>, BusError> {
        check_pattern(filter)?;
        let (link, jetstream) = (self.link.clone(), self.jetstream.clone());
        Ok(Box::new(Tail::open(link, jetstream, stream, filter, after).await?))
    }

    async fn check(&self) -> Result<(), BusError> {
        match self.link.request("$JS.API.INFO", None, Bytes::new(), DEADLINE).await {
            Err(BusError::NoResponders(_)) => Err(wire::unavailable("the server has no JetStream")),
            answer => answer.map(drop),
        }
    }
}

/// An append is a request that the stream answers.
async fn append(link: &Link, subject: &str, id: &str, headers: &Headers, payload: Bytes) -> Result<Appended, BusError> {
    let mut headers = headers.clone();
    if !id.is_empty() {
        headers.insert("Nats-Msg-Id".to_owned(), id.replace(char::is_control, " "));
    }
    let answer = match link
        .request(subject, wire::to_headers(&headers), payload, DEADLINE)
        .await
    {
        Err(BusError::NoResponders(_)) => return Err(no_stream_takes(subject)),
        answer => answer?,
    };
    match serde_json::from_slice::<Response<PublishAck>>(&answer.payload) {
        Ok(Response::Ok(ack)) => Ok(Appended {
            sequence: ack.sequence,
            duplicate: ack.duplicate,
        }),
        Ok(Response::Err { error }) => Err(wire::unavailable(format!("append to {subject}: {error}"))),
        Err(error) => Err(wire::unavailable(format!(
            "append to {subject}: the answer is none of a stream: {error}"
        ))),
    }
}

#[cfg(test)]
mod tests;
