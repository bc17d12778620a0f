//! The bus of many replicas: NATS for live traffic, JetStream for durable streams. Fails at once while the server is
//! disconnected, and verifies every setting in the server's response.

mod connection;
mod log_reader;
mod pull_session;
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
use butt_dial_domain::ports::bus::{Appended, Bus, BusError, Headers, LogReader, Message, StreamSpec};
use bytes::Bytes;
use futures::stream::BoxStream;

use self::{connection::Connection, log_reader::Reader};
use crate::validation::{check_message, check_pattern, no_stream_for};

/// The longest wait for a response of the server.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

pub struct NatsBus {
    connection: Connection,
    jetstream: Context,
    replicas: usize,
}

impl NatsBus {
    /// Connects to `nats://[user:password@]host:port`, or to several URLs separated by commas. `name` identifies the
    /// client in the server's monitoring. Fails when no server with JetStream responds; later it reconnects
    /// automatically.
    pub async fn connect(url: &str, name: &str) -> Result<Self, BusError> {
        let connection = Connection::open(url, name).await?;
        let jetstream = ContextBuilder::new()
            .timeout(REQUEST_TIMEOUT)
            .build(connection.client().clone());
        let bus = Self {
            connection,
            jetstream,
            replicas: 1,
        };
        bus.check().await?;
        Ok(bus)
    }

    /// Sets the number of servers that store a new stream. The default, one, loses up to two minutes of messages when the
    /// machine loses power: that is the server's sync interval.
    pub fn with_replicas(mut self, replicas: usize) -> Self {
        self.replicas = replicas.max(1);
        self
    }

    /// Returns the settings of a stream, `None` when it does not exist.
    async fn stream_config(&self, name: &str) -> Result<Option<Config>, BusError> {
        let found = self.jetstream.get_stream(name);
        match self.connection.with_timeout(name, REQUEST_TIMEOUT, found).await? {
            Ok(stream) => Ok(Some(stream.cached_info().config.clone())),
            Err(error) => match error.kind() {
                GetStreamErrorKind::JetStream(error) if error.code() == 404 => Ok(None),
                _ => Err(wire::unavailable(error)),
            },
        }
    }
}

fn with_spec(config: Config, spec: &StreamSpec) -> Config {
    Config {
        subjects: spec.subjects.iter().map(|&subject| subject.to_owned()).collect(),
        max_age: spec.max_age,
        duplicate_window: spec.dedup_window,
        ..config
    }
}

/// Compares the settings with the server's response, because the server ignores unknown ones.
fn verify_config(spec: &StreamSpec, actual: &Config) -> Result<(), BusError> {
    let agrees = actual.subjects == spec.subjects
        && actual.max_age == spec.max_age
        && actual.duplicate_window == spec.dedup_window;
    if agrees {
        Ok(())
    } else {
        Err(wire::unavailable(format!(
            "the server did not apply the settings of stream {}: {actual:?}",
            spec.name
        )))
    }
}

#[async_trait]
impl Bus for NatsBus {
    async fn publish(&self, subject: &str, headers: Headers, payload: Bytes) -> Result<(), BusError> {
        check_message(subject, &headers, &payload)?;
        self.connection
            .publish(subject, wire::to_headers(&headers), payload)
            .await
    }

    async fn request(
        &self,
        subject: &str,
        headers: Headers,
        payload: Bytes,
        deadline: Duration,
    ) -> Result<Message, BusError> {
        check_message(subject, &headers, &payload)?;
        self.connection
            .request(subject, wire::to_headers(&headers), payload, deadline)
            .await
            .map(wire::live_message)
    }

    async fn subscribe(&self, subject: &str) -> Result<BoxStream<'static, Message>, BusError> {
        check_pattern(subject)?;
        self.connection.subscribe(subject, None).await
    }

    async fn subscribe_group(&self, subject: &str, group: &str) -> Result<BoxStream<'static, Message>, BusError> {
        check_pattern(subject)?;
        self.connection.subscribe(subject, Some(group)).await
    }

    async fn create_stream(&self, spec: &StreamSpec) -> Result<(), BusError> {
        let Some(existing) = self.stream_config(spec.name).await? else {
            let config = Config {
                name: spec.name.to_owned(),
                retention: RetentionPolicy::Limits,
                storage: StorageType::File,
                num_replicas: self.replicas,
                ..Config::default()
            };
            let created = self.jetstream.create_stream(with_spec(config, spec));
            let created = self
                .connection
                .with_timeout(spec.name, REQUEST_TIMEOUT, created)
                .await?
                .map_err(wire::unavailable)?;
            return verify_config(spec, &created.cached_info().config);
        };
        if verify_config(spec, &existing).is_ok() {
            return Ok(());
        }
        // Keeps the operator's other settings, such as the number of replicas.
        let updated = self.jetstream.update_stream(with_spec(existing, spec));
        let updated = self
            .connection
            .with_timeout(spec.name, REQUEST_TIMEOUT, updated)
            .await?
            .map_err(wire::unavailable)?;
        verify_config(spec, &updated.config)
    }

    async fn append(&self, subject: &str, id: &str, headers: Headers, payload: Bytes) -> Result<Appended, BusError> {
        check_message(subject, &headers, &payload)?;
        append(&self.connection, subject, id, &headers, payload).await
    }

    async fn read_log(&self, stream: &'static str, filter: &str, after: u64) -> Result<Box<dyn LogReader>, BusError> {
        check_pattern(filter)?;
        let (connection, jetstream) = (self.connection.clone(), self.jetstream.clone());
        let reader = Reader::open(connection, jetstream, stream, filter, after).await?;
        Ok(Box::new(reader))
    }

    async fn check(&self) -> Result<(), BusError> {
        match self
            .connection
            .request("$JS.API.INFO", None, Bytes::new(), REQUEST_TIMEOUT)
            .await
        {
            Err(BusError::NoResponders(_)) => Err(wire::unavailable("JetStream is not enabled on the server")),
            response => response.map(drop),
        }
    }
}

/// Sends the message as a request, which the stream acknowledges.
async fn append(
    connection: &Connection,
    subject: &str,
    id: &str,
    headers: &Headers,
    payload: Bytes,
) -> Result<Appended, BusError> {
    let mut headers = headers.clone();
    if !id.is_empty() {
        headers.insert("Nats-Msg-Id".to_owned(), id.replace(char::is_control, " "));
    }
    let response = match connection
        .request(subject, wire::to_headers(&headers), payload, REQUEST_TIMEOUT)
        .await
    {
        Err(BusError::NoResponders(_)) => return Err(no_stream_for(subject)),
        response => response?,
    };
    match serde_json::from_slice::<Response<PublishAck>>(&response.payload) {
        Ok(Response::Ok(ack)) => Ok(Appended {
            sequence: ack.sequence,
            duplicate: ack.duplicate,
        }),
        Ok(Response::Err { error }) => Err(wire::unavailable(format!("append to {subject}: {error}"))),
        Err(error) => Err(wire::unavailable(format!(
            "append to {subject}: the response is not an acknowledgement of a stream: {error}"
        ))),
    }
}

#[cfg(test)]
mod tests;
