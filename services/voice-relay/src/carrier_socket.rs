//! The socket to a carrier: text frames in the carrier's format.

use std::{sync::Arc, time::Duration};

use axum::extract::ws::{Message, WebSocket};
use butt_dial_domain::ports::voice::{IncomingFrame, OutgoingFrame, Voice};
use tokio::time::timeout;

use crate::session_end::SessionEnd;

/// A carrier sends its first frame with the socket.
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);
/// A carrier that does not read for this time is gone.
const SEND_TIMEOUT: Duration = Duration::from_secs(5);

pub(crate) struct CarrierSocket {
    socket: WebSocket,
    voice: Arc<dyn Voice>,
}

/// The carrier's ids in the first frame.
pub(crate) struct OpenedSession {
    pub session: String,
    pub carrier_id: String,
}

impl CarrierSocket {
    pub fn new(socket: WebSocket, voice: Arc<dyn Voice>) -> Self {
        Self { socket, voice }
    }

    /// Receives the first frame. `None`: the socket closed, or sent a different frame first.
    pub async fn open(&mut self) -> Option<OpenedSession> {
        let first = timeout(OPEN_TIMEOUT, self.recv()).await.ok()?.ok()?;
        match self.parse(&first) {
            Ok(IncomingFrame::Opened {
                session, carrier_id, ..
            }) => Some(OpenedSession { session, carrier_id }),
            _ => None,
        }
    }

    /// Receives the text of the next frame. Can be cancelled without loss.
    pub async fn recv(&mut self) -> Result<String, SessionEnd> {
        loop {
            match self.socket.recv().await {
                Some(Ok(Message::Text(text))) => return Ok(text.to_string()),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(Message::Close(_))) | None => return Err(SessionEnd::SocketClosed),
                Some(Ok(Message::Binary(_))) => return Err(SessionEnd::MalformedFrame),
                Some(Err(error)) => {
                    tracing::info!(%error, "call socket failed");
                    return Err(SessionEnd::SocketClosed);
                }
            }
        }
    }

    pub fn parse(&self, text: &str) -> Result<IncomingFrame, SessionEnd> {
        self.voice.parse_frame(text).map_err(|malformed| {
            tracing::warn!(reason = malformed.0, "call socket closed: malformed frame");
            SessionEnd::MalformedFrame
        })
    }

    pub async fn send(&mut self, frame: &OutgoingFrame) -> Result<(), SessionEnd> {
        let text = self.voice.encode_frame(frame);
        match timeout(SEND_TIMEOUT, self.socket.send(Message::Text(text.into()))).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(SessionEnd::SocketClosed),
        }
    }
}
