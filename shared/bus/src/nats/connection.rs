//! The connection to NATS. While the server is disconnected the client would queue messages; here calls fail at once
//! instead, because a late live message has no use and the caller repeats a failed append.

use std::{io, time::Duration};

use async_nats::{Client, ConnectOptions, Event, HeaderMap, Request, RequestErrorKind, ServerAddr, connection::State};
use butt_dial_domain::ports::bus::{BusError, Message};
use bytes::Bytes;
use futures::{
    StreamExt as _,
    future::{Either, select},
    stream::BoxStream,
};
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};

use super::{NatsAccess, REQUEST_TIMEOUT, wire};
use crate::validation::LIVE_CAPACITY;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// After two unanswered pings the connection counts as lost.
const PING_INTERVAL: Duration = Duration::from_secs(5);
const MAX_RECONNECT_DELAY: Duration = Duration::from_secs(1);

#[derive(Clone)]
pub(super) struct Connection {
    client: Client,
    /// Changes whenever the connection is lost.
    disconnects: watch::Receiver<()>,
}

impl Connection {
    pub(super) async fn open(url: &str, name: &str, access: &NatsAccess) -> Result<Self, BusError> {
        let servers = url
            .split(',')
            .map(|server| server.trim().parse())
            .collect::<Result<Vec<ServerAddr>, io::Error>>()
            .map_err(|error| wire::unavailable(format!("invalid NATS URL: {error}")))?;
        // For error texts: without user and password.
        let addresses: Vec<_> = servers
            .iter()
            .map(|server| format!("{}:{}", server.host(), server.port()))
            .collect();
        let (report, disconnects) = watch::channel(());
        let options = ConnectOptions::new()
            .name(name)
            .connection_timeout(CONNECT_TIMEOUT)
            .ping_interval(PING_INTERVAL)
            .request_timeout(Some(REQUEST_TIMEOUT))
            .subscription_capacity(LIVE_CAPACITY)
            .reconnect_delay_callback(|attempts| {
                let attempts = u32::try_from(attempts).unwrap_or(u32::MAX);
                Duration::from_millis(25)
                    .saturating_mul(attempts.saturating_sub(1))
                    .min(MAX_RECONNECT_DELAY)
            })
            .event_callback(move |event| {
                if event == Event::Disconnected {
                    report.send_replace(());
                }
                async {}
            });
        let options = access.apply(options, &servers)?;
        // The client's connection timeout applies to each address of a host name.
        match timeout(2 * CONNECT_TIMEOUT, options.connect(servers)).await {
            Ok(Ok(client)) => Ok(Self { client, disconnects }),
            Ok(Err(error)) => Err(wire::unavailable(format!(
                "can't connect to NATS at {}: {error}",
                addresses.join(", ")
            ))),
            Err(_) => Err(wire::unavailable(format!(
                "can't connect to NATS at {}: no response",
                addresses.join(", ")
            ))),
        }
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// Returns a receiver that changes whenever the connection is lost from now on.
    pub(super) fn disconnects(&self) -> watch::Receiver<()> {
        let mut disconnects = self.disconnects.clone();
        disconnects.mark_unchanged();
        disconnects
    }

    /// Awaits an exchange with the server. Fails with `Unavailable` when the connection is lost or was lost before, with
    /// `TimedOut(about)` after the time-out.
    pub(super) async fn with_timeout<T>(
        &self,
        about: &str,
        timeout: Duration,
        exchange: impl IntoFuture<Output = T>,
    ) -> Result<T, BusError> {
        let mut disconnects = self.disconnects();
        if self.client.connection_state() != State::Connected {
            return Err(wire::unavailable("not connected to NATS"));
        }
        let failure = async {
            tokio::select! {
                _ = disconnects.changed() => wire::unavailable("lost the connection to NATS"),
                () = sleep(timeout) => BusError::TimedOut(about.to_owned()),
            }
        };
        match select(Box::pin(exchange.into_future()), Box::pin(failure)).await {
            Either::Left((result, _)) => Ok(result),
            Either::Right((error, _)) => Err(error),
        }
    }

    pub(super) async fn publish(
        &self,
        subject: &str,
        headers: Option<HeaderMap>,
        payload: Bytes,
    ) -> Result<(), BusError> {
        let subject = subject.to_owned();
        let about = subject.clone();
        let published = async {
            match headers {
                Some(headers) => self.client.publish_with_headers(subject, headers, payload).await,
                None => self.client.publish(subject, payload).await,
            }
        };
        self.with_timeout(&about, REQUEST_TIMEOUT, published)
            .await?
            .map_err(wire::unavailable)
    }

    pub(super) async fn request(
        &self,
        subject: &str,
        headers: Option<HeaderMap>,
        payload: Bytes,
        deadline: Duration,
    ) -> Result<async_nats::Message, BusError> {
        let mut request = Request::new().payload(payload).timeout(None);
        if let Some(headers) = headers {
            request = request.headers(headers);
        }
        let reply = self.client.send_request(subject.to_owned(), request);
        self.with_timeout(subject, deadline, reply)
            .await?
            .map_err(|error| match error.kind() {
                RequestErrorKind::NoResponders => BusError::NoResponders(subject.to_owned()),
                RequestErrorKind::TimedOut => BusError::TimedOut(subject.to_owned()),
                _ => wire::unavailable(error),
            })
    }

    pub(super) async fn subscribe(
        &self,
        subject: &str,
        group: Option<&str>,
    ) -> Result<BoxStream<'static, Message>, BusError> {
        let pattern = subject.to_owned();
        let subscribed = async {
            match group {
                None => self.client.subscribe(pattern).await,
                Some(group) => self.client.queue_subscribe(pattern, group.to_owned()).await,
            }
        };
        let messages = self
            .with_timeout(subject, REQUEST_TIMEOUT, subscribed)
            .await?
            .map_err(wire::unavailable)?;
        self.round_trip().await?;
        Ok(messages.map(wire::live_message).boxed())
    }

    /// Sends a message to itself and waits for it. The server handles the commands of one connection in order, so a
    /// subscription sent before is active then. Without this, a message of another connection could be missed.
    async fn round_trip(&self) -> Result<(), BusError> {
        let inbox = self.client.new_inbox();
        let returned = async {
            let mut messages = self.client.subscribe(inbox.clone()).await.map_err(wire::unavailable)?;
            self.client
                .publish(inbox.clone(), Bytes::new())
                .await
                .map_err(wire::unavailable)?;
            messages
                .next()
                .await
                .map(drop)
                .ok_or_else(|| wire::unavailable("the subscription was closed"))
        };
        self.with_timeout("subscribe", REQUEST_TIMEOUT, returned).await?
    }
}
