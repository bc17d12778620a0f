//! The socket to a carrier: text frames in the carrier's format.

use std::{sync::Arc, time::Duration};

use axum::extract::ws::{Message, WebSocket};
use butt_dial_calls::Metrics;
use butt_dial_domain::{
    ids,
    ports::voice::{IncomingFrame, OutgoingFrame, Voice},
};
use tokio::time::timeout;

use crate::session_end::SessionEnd;

/// A carrier sends its first frame with the socket.
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);
/// A carrier that does not read for this time is gone.
const SEND_TIMEOUT: Duration = Duration::from_secs(5);
/// Time to answer the carrier's Close frame.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// Ignored frames of one socket that are logged.
const LOGGED_FRAMES: u64 = 3;

pub(crate) struct CarrierSocket {
    socket: WebSocket,
    voice: Arc<dyn Voice>,
    metrics: Metrics,
    /// Frames that were ignored so far.
    ignored: u64,
}

/// The carrier's ids in the first frame.
pub(crate) struct OpenedSession {
    pub session: String,
    pub carrier_id: Option<String>,
}

impl CarrierSocket {
    pub fn new(socket: WebSocket, voice: Arc<dyn Voice>, metrics: Metrics) -> Self {
        Self {
            socket,
            voice,
            metrics,
            ignored: 0,
        }
    }

    /// Receives the first frame. Others before it are ignored. `None`: the socket closed, or the frame did not arrive in
    /// time.
    pub async fn open(&mut self) -> Option<OpenedSession> {
        let opened = async {
            loop {
                let text = self.recv().await.ok()?;
                if let Some(IncomingFrame::Opened {
                    session, carrier_id, ..
                }) = self.parse(&text)
                {
                    let session = session.unwrap_or_else(ids::unique);
                    return Some(OpenedSession { session, carrier_id });
                }
            }
        };
        timeout(OPEN_TIMEOUT, opened).await.ok()?
    }

    /// Receives the text of the next frame. Can be cancelled without loss.
    pub async fn recv(&mut self) -> Result<String, SessionEnd> {
        loop {
            match self.socket.recv().await {
                Some(Ok(Message::Text(text))) => return Ok(text.to_string()),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                // The Close frame of the answer is sent by the next reads (RFC 6455, 5.5.1).
                Some(Ok(Message::Close(_))) => {
                    let answer = async { while let Some(Ok(_)) = self.socket.recv().await {} };
                    drop(timeout(CLOSE_TIMEOUT, answer).await);
                    return Err(SessionEnd::SocketClosed);
                }
                None => return Err(SessionEnd::SocketClosed),
                Some(Ok(Message::Binary(_))) => self.ignore("a binary frame"),
                Some(Err(error)) => {
                    tracing::info!(%error, "call socket failed");
                    return Err(SessionEnd::SocketClosed);
                }
            }
        }
    }

    /// Parses a frame. A malformed one is ignored and counted.
    pub fn parse(&mut self, text: &str) -> Option<IncomingFrame> {
        match self.voice.parse_frame(text) {
            Ok(frame) => Some(frame),
            Err(malformed) => {
                self.ignore(malformed.0);
                None
            }
        }
    }

    fn ignore(&mut self, reason: &'static str) {
        self.metrics.record_ignored_frame();
        self.ignored += 1;
        if self.ignored <= LOGGED_FRAMES {
            tracing::warn!(reason, ignored = self.ignored, "call frame ignored");
        }
    }

    pub async fn send(&mut self, frame: &OutgoingFrame) -> Result<(), SessionEnd> {
        let text = self.voice.encode_frame(frame);
        match timeout(SEND_TIMEOUT, self.socket.send(Message::Text(text.into()))).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(SessionEnd::SocketClosed),
        }
    }
}
