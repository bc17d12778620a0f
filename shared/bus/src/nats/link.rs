//! The connection. The client queues what is sent while the server is away, and then waits; here such calls fail at
//! once instead, because a live message that arrives late helps nobody and a durable one is appended again.

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

use super::{DEADLINE, wire};
use crate::rules::LIVE_CAPACITY;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// A server that answers two of these no more is given up.
const PING_INTERVAL: Duration = Duration::from_secs(5);
const MAX_RECONNECT_DELAY: Duration = Duration::from_secs(1);

#[derive(Clone)]
pub(super) struct Link {
    client: Client,
    /// Changes at every loss of the connection.
    losses: watch::Receiver<()>,
}

impl Link {
    pub(super) async fn connect(url: &str, name: &str) -> Result<Self, BusError> {
        let servers = url
            .split(',')
            .map(|server| server.trim().parse())
            .collect::<Result<Vec<ServerAddr>, io::Error>>()
            .map_err(|error| wire::unavailable(format!("not the URL of a NATS server: {error}")))?;
        // Without user and password, which a URL may hold.
        let addresses: Vec<_> = servers
            .iter()
            .map(|server| format!("{}:{}", server.host(), server.port()))
            .collect();
        let (report, losses) = watch::channel(());
        let options = ConnectOptions::new()
            .name(name)
            .connection_timeout(CONNECT_TIMEOUT)
            .ping_interval(PING_INTERVAL)
            .request_timeout(Some(DEADLINE))
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
        // The client's own limit is one for each address that a name stands for.
        match timeout(2 * CONNECT_TIMEOUT, options.connect(servers)).await {
            Ok(Ok(client)) => Ok(Self { client, losses }),
            Ok(Err(error)) => Err(wire::unavailable(format!(
                "can't connect to NATS at {}: {error}",
                addresses.join(", ")
            ))),
            Err(_) => Err(wire::unavailable(format!(
                "can't connect to NATS at {}: no answer",
                addresses.join(", ")
            ))),
        }
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// Changes at every loss of the connection from now on.
    pub(super) fn losses(&self) -> watch::Receiver<()> {
        let mut losses = self.losses.clone();
        losses.mark_unchanged();
        losses
    }

    /// Runs a conversation with the server, which ends when the connection or the deadline does.
    pub(super) async fn bounded<T>(
        &self,
        about: &str,
        deadline: Duration,
        talk: impl IntoFuture<Output = T>,
    ) -> Result<T, BusError> {
        let mut losses = self.losses();
        if self.client.connection_state() != State::Connected {
            return Err(wire::unavailable("not connected to NATS"));
        }
        let ends = async {
            tokio::select! {
                _ = losses.changed() => wire::unavailable("lost the connection to NATS"),
                () = sleep(deadline) => BusError::TimedOut(about.to_owned()),
            }
        };
        match select(Box::pin(talk.into_future()), Box::pin(ends)).await {
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
        self.bounded(&about, DEADLINE, published)
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
        let answer = self.client.send_request(subject.to_owned(), request);
        self.bounded(subject, deadline, answer)
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
            .bounded(subject, DEADLINE, subscribed)
            .await?
            .map_err(wire::unavailable)?;
        self.round_trip().await?;
        Ok(messages.map(wire::live_message).boxed())
    }

    /// The server handles what one connection sends in order: once a message to ourselves is back, it has done all that
    /// was sent before. Without this another connection's message could overtake the subscription.
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
        self.bounded("subscribe", DEADLINE, returned).await?
    }
}
