//! The carrier, played by the bench: it asks what to do with a call, opens the socket that it is told of, and brings and
//! speaks words (Twilio, ConversationRelay). It takes no time of its own.

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
    http::Connection,
    webhooks::{self, NUMBER},
};

const PATH: &str = "/webhooks/twilio/voice";
/// Calls that begin at the same time.
const RINGING: usize = 16;
/// Whatever is waited for on a call's socket: longer than anything that is not lost takes.
const PATIENCE: Duration = Duration::from_secs(10);

pub struct Carrier {
    ingest: SocketAddr,
    relays: Vec<SocketAddr>,
}

/// A call that is talked on.
pub struct Line {
    socket: WebSocketStream<TcpStream>,
}

impl Carrier {
    pub fn new(ingest: SocketAddr, relays: Vec<SocketAddr>) -> Self {
        Self { ingest, relays }
    }

    /// So many people call, and hear to its end what they are greeted with.
    pub async fn connect(&self, calls: usize) -> anyhow::Result<Vec<Line>> {
        stream::iter((0..calls).map(|_| self.connect_one()))
            .buffer_unordered(RINGING)
            .try_collect()
            .await
    }

    async fn connect_one(&self) -> anyhow::Result<Line> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let sid = |kind: &str| format!("{kind}{:08x}{n:024x}", std::process::id());
        let from = format!("+1415555{:04}", n % 10_000);
        let url = self.ask(&sid("CA"), &from).await?;
        // The load balancer takes turns.
        let relay = self.relays[usize::try_from(n)? % self.relays.len()];
        let mut line = Line::open(relay, &url).await?;
        let setup = json!({
            "type": "setup", "sessionId": sid("VX"), "callSid": sid("CA"), "from": from, "to": NUMBER,
            "direction": "inbound", "callType": "PSTN", "callStatus": "RINGING", "customParameters": {},
        });
        line.send(&setup).await?;
        let (greeting, _) = line.hear().await?;
        line.begin_to_speak().await?;
        line.has_spoken(&greeting).await?;
        Ok(line)
    }

    /// The address of the socket that the call is to be talked over.
    async fn ask(&self, sid: &str, from: &str) -> anyhow::Result<String> {
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
        let answer = Connection::open(self.ingest).await?.exchange(&request).await?;
        ensure!(answer.status == 200, "a call was answered {}", answer.status);
        let from = answer.body.find("wss://").context("nobody talks with the caller")?;
        let url = answer.body[from..].split('"').next().unwrap_or_default();
        Ok(url.to_owned())
    }
}

impl Line {
    /// At the relay itself, with the host and the path as the carrier was told them.
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

    async fn inform(&mut self, name: &str, value: &str) -> anyhow::Result<()> {
        self.send(&json!({ "type": "info", "name": name, "value": value }))
            .await
    }

    /// The caller says something, in as many pieces and as slowly as people do. Returns when the last piece is written.
    pub async fn say(&mut self, text: &str, pause: Duration) -> anyhow::Result<Instant> {
        self.inform("clientSpeaking", "on").await?;
        let ends = text.match_indices(' ').map(|(at, _)| at);
        for end in ends.collect::<Vec<_>>() {
            self.prompt(&text[..end], false).await?;
            tokio::time::sleep(pause).await;
        }
        let asked = self.ask(text).await?;
        self.inform("clientSpeaking", "off").await?;
        Ok(asked)
    }

    /// The caller has said this, and nothing is known of it but the end.
    pub async fn ask(&mut self, text: &str) -> anyhow::Result<Instant> {
        let now = Instant::now();
        self.prompt(text, true).await?;
        Ok(now)
    }

    async fn prompt(&mut self, text: &str, is_last: bool) -> anyhow::Result<()> {
        self.send(&json!({ "type": "prompt", "voicePrompt": text, "lang": "en-US", "last": is_last }))
            .await
    }

    /// The caller falls in before they have heard anything. Returns when that is written.
    pub async fn interrupt(&mut self) -> anyhow::Result<Instant> {
        let now = Instant::now();
        self.send(&json!({ "type": "interrupt", "utteranceUntilInterrupt": "", "durationUntilInterruptMs": 0 }))
            .await?;
        Ok(now)
    }

    /// The next words that are to be spoken, and when they came.
    pub async fn hear(&mut self) -> anyhow::Result<(String, Instant)> {
        loop {
            let message = timeout(PATIENCE, self.socket.next()).await.context("silence")?;
            let now = Instant::now();
            match message.context("the relay has closed the socket")?? {
                Message::Text(text) => {
                    let frame: Value = serde_json::from_str(&text)?;
                    match frame["type"].as_str() {
                        Some("text") => return Ok((frame["token"].as_str().unwrap_or_default().to_owned(), now)),
                        Some("end") => bail!("the relay has ended the session"),
                        _ => {}
                    }
                }
                Message::Close(_) => bail!("the relay has closed the socket"),
                _ => {}
            }
        }
    }

    pub async fn begin_to_speak(&mut self) -> anyhow::Result<()> {
        self.inform("agentSpeaking", "on").await
    }

    /// The caller has heard this.
    pub async fn has_spoken(&mut self, text: &str) -> anyhow::Result<()> {
        self.inform("tokensPlayed", text).await?;
        self.inform("agentSpeaking", "off").await
    }
}
