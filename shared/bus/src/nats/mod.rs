//! The bus of many replicas: NATS for live traffic, JetStream for durable streams. Fails at once while the server is
//! disconnected, and verifies every setting in the server's response.

mod access;
mod connection;
mod log_reader;
mod positions;
mod pull_session;
mod streams;
mod wire;

use std::time::Duration;

use async_nats::jetstream::{Context, ContextBuilder, publish::PublishAck, response::Response};
use async_trait::async_trait;
use butt_dial_domain::{
    clock::Timestamp,
    ports::bus::{Appended, Bus, BusError, Headers, LogPosition, LogReader, Message, StreamCopies, StreamSpec},
};
use bytes::Bytes;
use futures::stream::BoxStream;

pub use self::access::{NatsAccess, NatsIdentity};
pub use self::streams::{Replicas, StreamSettings};
use self::{connection::Connection, log_reader::Reader, streams::Streams};
use crate::validation::{check_message, check_pattern, no_stream_for};

/// The longest wait for a response of the server.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

pub struct NatsBus {
    connection: Connection,
    jetstream: Context,
    streams: Streams,
}

impl NatsBus {
    /// Connects to `nats://[user:password@]host:port`, or to several URLs separated by commas. `name` identifies the
    /// client in the server's monitoring. Fails when no server with JetStream responds; later it reconnects
    /// automatically.
    pub async fn connect(url: &str, name: &str) -> Result<Self, BusError> {
        Self::connect_with(url, name, &NatsAccess::default()).await
    }

    /// Connects with an identity or certificates that the URL does not contain.
    pub async fn connect_with(url: &str, name: &str, access: &NatsAccess) -> Result<Self, BusError> {
        let connection = Connection::open(url, name, access).await?;
        let jetstream = ContextBuilder::new()
            .timeout(REQUEST_TIMEOUT)
            .build(connection.client().clone());
        let bus = Self {
            streams: Streams::new(connection.clone(), jetstream.clone(), StreamSettings::default()),
            connection,
            jetstream,
        };
        bus.check().await?;
        Ok(bus)
    }

    /// Sets the operator's settings of the streams. The default is one copy without a limit of size.
    pub fn with_streams(mut self, settings: StreamSettings) -> Self {
        self.streams = Streams::new(self.connection.clone(), self.jetstream.clone(), settings);
        self
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
        self.streams.create(spec).await
    }

    async fn append(&self, subject: &str, id: &str, headers: Headers, payload: Bytes) -> Result<Appended, BusError> {
        check_message(subject, &headers, &payload)?;
        let size = payload.len();
        let appended = append(&self.connection, subject, id, &headers, payload.clone()).await;
        if !matches!(appended, Err(AppendError::NoStream)) {
            return appended.map_err(|error| self.refused_append(subject, size, error));
        }
        // The server came back without its disks. No message was appended, so the append may be repeated.
        tracing::warn!(subject, "durable stream lost");
        self.streams.repair(subject).await?;
        let appended = append(&self.connection, subject, id, &headers, payload).await;
        appended.map_err(|error| self.refused_append(subject, size, error))
    }

    async fn read_log_after(
        &self,
        stream: &'static str,
        filter: &str,
        after: LogPosition,
    ) -> Result<Box<dyn LogReader>, BusError> {
        check_pattern(filter)?;
        let (connection, jetstream) = (self.connection.clone(), self.jetstream.clone());
        let reader = Reader::open(connection, jetstream, stream, filter, after).await?;
        Ok(Box::new(reader))
    }

    async fn last_position(&self, stream: &'static str, subject: &str) -> Result<u64, BusError> {
        self.streams.last_position(stream, subject).await
    }

    async fn position_before(&self, stream: &'static str, time: Timestamp) -> Result<u64, BusError> {
        self.streams.position_before(stream, time).await
    }

    async fn discard(&self, stream: &'static str, subject: &str, before: u64) -> Result<u64, BusError> {
        self.streams.discard(stream, subject, before).await
    }

    async fn check(&self) -> Result<(), BusError> {
        match self
            .connection
            .request("$JS.API.INFO", None, Bytes::new(), REQUEST_TIMEOUT)
            .await
        {
            Err(BusError::NoResponders(_)) => return Err(wire::unavailable("JetStream is not enabled on the server")),
            response => response.map(drop)?,
        }
        self.streams.check().await
    }

    fn stream_copies(&self) -> Vec<StreamCopies> {
        self.streams.copies()
    }
}

/// Why a message was not appended, or may not have been.
enum AppendError {
    /// No stream has the subject.
    NoStream,
    /// The stream refused the message.
    Refused(String),
    Bus(BusError),
}

impl NatsBus {
    fn refused_append(&self, subject: &str, size: usize, error: AppendError) -> BusError {
        match error {
            AppendError::NoStream => no_stream_for(subject),
            AppendError::Refused(reason) => {
                self.streams.note_refusal(size);
                wire::unavailable(format!("append to {subject}: {reason}"))
            }
            AppendError::Bus(error) => error,
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
) -> Result<Appended, AppendError> {
    let mut headers = headers.clone();
    if !id.is_empty() {
        headers.insert(wire::MESSAGE_ID.to_owned(), id.replace(char::is_control, " "));
    }
    let response = match connection
        .request(subject, wire::to_headers(&headers), payload, REQUEST_TIMEOUT)
        .await
    {
        Err(BusError::NoResponders(_)) => return Err(AppendError::NoStream),
        response => response.map_err(AppendError::Bus)?,
    };
    match serde_json::from_slice::<Response<PublishAck>>(&response.payload) {
        Ok(Response::Ok(ack)) => Ok(Appended {
            sequence: ack.sequence,
            duplicate: ack.duplicate,
        }),
        Ok(Response::Err { error }) => Err(AppendError::Refused(error.to_string())),
        Err(error) => Err(AppendError::Refused(format!(
            "the response is not an acknowledgement of a stream: {error}"
        ))),
    }
}

#[cfg(test)]
mod tests;
