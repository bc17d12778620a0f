//! The bench as the carrier (Twilio with ConversationRelay): it requests the TwiML of a call, opens the socket named there,
//! and exchanges speech as text. It adds no latency.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use futures::{SinkExt as _, StreamExt as _, TryStreamExt as _, stream};
use serde_json::{Value, json};
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Message, client::IntoClientRequest},
};

use super::super::{
    http_client::Connection,
    webhooks::{self, NUMBER},
};

const PATH: &str = "/webhooks/twilio/voice";
/// Calls that start concurrently.
const CONCURRENT_STARTS: usize = 16;
/// For the next frame on the socket of a call.
const FRAME_TIMEOUT: Duration = Duration::from_secs(10);

pub struct Carrier {
    ingest: SocketAddr,
    relays: Vec<SocketAddr>,
}

/// A call with an open socket.
pub struct CarrierCall {
    socket: WebSocketStream<TcpStream>,
}

impl Carrier {
    pub fn new(ingest: SocketAddr, relays: Vec<SocketAddr>) -> Self {
        Self { ingest, relays }
    }

    /// Starts `calls` calls and plays their greetings to the end.
    pub async fn connect(&self, calls: usize) -> anyhow::Result<Vec<CarrierCall>> {
        stream::iter((0..calls).map(|_| self.connect_one()))
            .buffer_unordered(CONCURRENT_STARTS)
            .try_collect()
            .await
    }

    async fn connect_one(&self) -> anyhow::Result<CarrierCall> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let sid = |kind: &str| format!("{kind}{:08x}{n:024x}", std::process::id());
        let from = format!("+1415555{:04}", n % 10_000);
        let url = self.request_socket(&sid("CA"), &from).await?;
        // The load balancer selects the relays in turn.
        let relay = self.relays[usize::try_from(n)? % self.relays.len()];
        let mut call = CarrierCall::open(relay, &url).await?;
        let setup = json!({
            "type": "setup", "sessionId": sid("VX"), "callSid": sid("CA"), "from": from, "to": NUMBER,
            "direction": "inbound", "callType": "PSTN", "callStatus": "RINGING", "customParameters": {},
        });
        call.send(&setup).await?;
        let (greeting, _) = call.next_text().await?;
        call.playback_started().await?;
        call.playback_finished(&greeting).await?;
        Ok(call)
    }

    /// Requests the TwiML of a call. Returns the address of its socket.
    async fn request_socket(&self, sid: &str, from: &str) -> anyhow::Result<String> {
        let fields = [
            ("AccountSid", webhooks::simulated("TWILIO_ACCOUNT_SID")),
            ("ApiVersion", "2010-04-01"),
            ("CallSid", sid),
            ("CallStatus", "ringing"),
            ("Called", NUMBER),
            ("Caller", from),
            ("Direction", "inbound"),
            ("From", from),
            ("To", NUMBER),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let request = webhooks::signed(self.ingest, PATH, &fields);
        let response = Connection::open(self.ingest).await?.exchange(&request).await?;
        ensure!(
            response.status == 200,
            "the webhook of a call got status {}",
            response.status
        );
        let start = response.body.find("wss://").context("the TwiML names no socket")?;
        let url = response.body[start..].split('"').next().unwrap_or_default();
        Ok(url.to_owned())
    }
}

impl CarrierCall {
    /// Opens the socket directly at the relay, with the host and path of the public address.
    async fn open(relay: SocketAddr, url: &str) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(relay).await?;
        stream.set_nodelay(true)?;
        let mut request = url.replacen("wss://", "ws://", 1).into_client_request()?;
        let signature = webhooks::signature(url, &[]).parse()?;
        request.headers_mut().insert("x-twilio-signature", signature);
        let (socket, _) = client_async(request, stream).await?;
        Ok(Self { socket })
    }

    pub async fn send(&mut self, frame: &Value) -> anyhow::Result<()> {
        Ok(self.socket.send(Message::text(frame.to_string())).await?)
    }

    async fn send_info(&mut self, name: &str, value: &str) -> anyhow::Result<()> {
        self.send(&json!({ "type": "info", "name": name, "value": value }))
            .await
    }

    /// Sends the caller's speech word by word, at the pace of real speech. Returns the time of the last word.
    pub async fn speak(&mut self, text: &str, pause: Duration) -> anyhow::Result<Instant> {
        self.send_info("clientSpeaking", "on").await?;
        let ends = text.match_indices(' ').map(|(at, _)| at);
        for end in ends.collect::<Vec<_>>() {
            self.send_prompt(&text[..end], false).await?;
            tokio::time::sleep(pause).await;
        }
        let finished = self.send_final_prompt(text).await?;
        self.send_info("clientSpeaking", "off").await?;
        Ok(finished)
    }

    /// Sends the caller's speech as one final prompt. Returns the time just before it was sent.
    pub async fn send_final_prompt(&mut self, text: &str) -> anyhow::Result<Instant> {
        let now = Instant::now();
        self.send_prompt(text, true).await?;
        Ok(now)
    }

    async fn send_prompt(&mut self, text: &str, is_last: bool) -> anyhow::Result<()> {
        self.send(&json!({ "type": "prompt", "voicePrompt": text, "lang": "en-US", "last": is_last }))
            .await
    }

    /// Sends a barge-in before any playback. Returns the time just before it was sent.
    pub async fn interrupt(&mut self) -> anyhow::Result<Instant> {
        let now = Instant::now();
        self.send(&json!({ "type": "interrupt", "utteranceUntilInterrupt": "", "durationUntilInterruptMs": 0 }))
            .await?;
        Ok(now)
    }

    /// Reads the next text to speak and the time of its arrival.
    pub async fn next_text(&mut self) -> anyhow::Result<(String, Instant)> {
        loop {
            let message = timeout(FRAME_TIMEOUT, self.socket.next())
                .await
                .context("the relay sent no text in time")?;
            let now = Instant::now();
            match message.context("the relay closed the socket")?? {
                Message::Text(text) => {
                    let frame: Value = serde_json::from_str(&text)?;
                    match frame["type"].as_str() {
                        Some("text") => return Ok((frame["token"].as_str().unwrap_or_default().to_owned(), now)),
                        Some("end") => bail!("the relay ended the session"),
                        _ => {}
                    }
                }
                Message::Close(_) => bail!("the relay closed the socket"),
                _ => {}
            }
        }
    }

    pub async fn playback_started(&mut self) -> anyhow::Result<()> {
        self.send_info("agentSpeaking", "on").await
    }

    /// Reports that the caller heard the whole text.
    pub async fn playback_finished(&mut self, text: &str) -> anyhow::Result<()> {
        self.send_info("tokensPlayed", text).await?;
        self.send_info("agentSpeaking", "off").await
    }
}
