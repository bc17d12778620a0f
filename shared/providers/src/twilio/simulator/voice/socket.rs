//! The WebSocket that Twilio opens to us: signed over the TwiML's URL, and connected to the server of that URL in this machine or
//! a private network.

use std::{net::IpAddr, time::Duration};

use futures::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{
        Message,
        client::IntoClientRequest,
        protocol::{CloseFrame, frame::coding::CloseCode},
    },
};

use crate::{
    simulator::SimulatorState,
    twilio::{
        simulator::accounts::token_of,
        webhook::{self, Payload},
    },
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A peer that accepts no data for this long counts as gone.
const SEND_TIMEOUT: Duration = Duration::from_secs(2);

pub struct Socket {
    stream: WebSocketStream<TcpStream>,
    /// No data passes in either direction.
    pub is_severed: bool,
}

pub enum SocketEvent {
    Text(String),
    /// The peer closed the socket, or it broke.
    Gone,
}

impl Socket {
    /// Opens and signs the socket. Returns `None` on any failure.
    pub async fn open(simulator: &SimulatorState, account: &str, url: &str) -> Option<Self> {
        if !simulator.may_open_socket() || !url.starts_with("wss://") {
            return None;
        }
        timeout(CONNECT_TIMEOUT, Self::connect(simulator, account, url))
            .await
            .ok()
            .flatten()
    }

    async fn connect(simulator: &SimulatorState, account: &str, url: &str) -> Option<Self> {
        let routed = url::Url::parse(&simulator.routed(url)).ok()?;
        let (host, port) = (routed.host_str()?, routed.port_or_known_default()?);
        let stream = TcpStream::connect((host.trim_matches(['[', ']']), port)).await.ok()?;
        // Without TLS no data may leave this machine, or the private network of its containers.
        if !is_private(stream.peer_addr().ok()?.ip()) {
            return None;
        }
        // A failure only costs latency.
        let _ = stream.set_nodelay(true);
        // Path and host are those of the TwiML; the route is the load balancer's.
        let mut request = url.replacen("wss://", "ws://", 1).into_client_request().ok()?;
        let signature = webhook::sign(&token_of(simulator, account), url, Payload::Form(&[]));
        for (name, value) in [
            ("x-twilio-signature", signature.as_str()),
            ("x-amzn-bedrock-agentcore-runtime-custom-twilio-signature", &signature),
            ("user-agent", "Jetty/11.0.24"),
        ] {
            request.headers_mut().insert(name, value.parse().ok()?);
        }
        let (stream, _) = client_async(request, stream).await.ok()?;
        Some(Self {
            stream,
            is_severed: false,
        })
    }

    /// Sends a frame. A failure shows at the next read.
    pub async fn send(&mut self, frame: &Value) {
        if !self.is_severed {
            let _ = timeout(SEND_TIMEOUT, self.stream.send(Message::text(frame.to_string()))).await;
        }
    }

    /// Returns the next event. Never completes for a severed socket.
    pub async fn next(&mut self) -> SocketEvent {
        if self.is_severed {
            return std::future::pending().await;
        }
        loop {
            match self.stream.next().await {
                Some(Ok(Message::Text(text))) => return SocketEvent::Text(text.to_string()),
                Some(Ok(Message::Binary(_))) => return SocketEvent::Text(String::new()),
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                Some(Ok(Message::Close(_)) | Err(_)) | None => return SocketEvent::Gone,
            }
        }
    }

    /// Sends a close frame and waits for the peer's.
    pub async fn close(&mut self, code: u16, reason: &'static str) {
        if self.is_severed {
            return;
        }
        let frame = CloseFrame {
            code: CloseCode::from(code),
            reason: reason.into(),
        };
        let goodbye = async {
            self.stream.close(Some(frame)).await.ok()?;
            while let Some(Ok(_)) = self.stream.next().await {}
            Some(())
        };
        let _ = timeout(SEND_TIMEOUT, goodbye).await;
    }

    /// Closes without a close frame: the peer gets RST instead of FIN.
    pub fn reset(self) {
        let _ = self.stream.get_ref().set_zero_linger();
    }
}

fn is_private(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => address.is_loopback() || address.is_private(),
        IpAddr::V6(address) => address.is_loopback() || address.is_unique_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_stay_in_private_networks() {
        for (address, expected) in [
            ("127.0.0.1", true),
            ("10.231.77.5", true),
            ("172.18.0.3", true),
            ("::1", true),
            ("fd00::1", true),
            ("::ffff:10.0.0.1", true),
            ("203.0.113.7", false),
            ("2001:db8::1", false),
            ("::ffff:203.0.113.7", false),
        ] {
            assert_eq!(is_private(address.parse().unwrap()), expected, "{address}");
        }
    }
}
