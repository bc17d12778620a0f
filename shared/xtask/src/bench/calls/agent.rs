//! An agent as programs are: it listens for calls, and answers each of them with one request after the other, without
//! thinking.

use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde_json::{Value, json};
use tokio::{sync::mpsc, task::JoinSet};

use super::super::{http::Connection, listener::Listener, mcp::Endpoint};

/// A stream counts as a listener once it is two seconds old, and what waits for the agent is then asked again; there is nothing
/// that tells.
pub const SETTLED: Duration = Duration::from_millis(2_100);
/// The longest that a request may wait.
const WAIT_MS: u64 = 50_000;

/// What the agent says to what the caller has said.
pub type Mind = fn(&str) -> String;

/// A turn as the agent's program saw it.
pub struct Taken {
    pub text: String,
    /// It was there.
    pub at: Instant,
    /// The answer was about to leave.
    pub answered: Instant,
}

/// Gone with its handle.
pub struct Agent {
    turns: mpsc::UnboundedReceiver<Taken>,
    tasks: JoinSet<anyhow::Result<()>>,
}

impl Agent {
    /// From now on its calls are answered.
    pub async fn open(endpoint: &Endpoint, mind: Mind) -> anyhow::Result<Self> {
        let listener = Listener::open(endpoint).await?;
        tokio::time::sleep(SETTLED).await;
        let (sender, turns) = mpsc::unbounded_channel();
        let mut tasks = JoinSet::new();
        tasks.spawn(listen(listener, endpoint.clone(), mind, sender));
        Ok(Self { turns, tasks })
    }

    /// All turns up to now. An error where the agent could not be what it should.
    pub fn finish(mut self) -> anyhow::Result<Vec<Taken>> {
        while let Some(ended) = self.tasks.try_join_next() {
            ended??;
        }
        let mut turns = Vec::new();
        while let Ok(turn) = self.turns.try_recv() {
            turns.push(turn);
        }
        Ok(turns)
    }
}

async fn listen(
    mut listener: Listener,
    endpoint: Endpoint,
    mind: Mind,
    turns: mpsc::UnboundedSender<Taken>,
) -> anyhow::Result<()> {
    let mut calls = JoinSet::new();
    loop {
        tokio::select! {
            event = listener.next() => {
                let (event, _) = event?;
                if event["type"] == "call.incoming" {
                    let call = event["callId"].as_str().context("a call without an id")?.to_owned();
                    calls.spawn(attend(endpoint.clone(), call, mind, turns.clone()));
                }
            }
            Some(ended) = calls.join_next() => ended??,
        }
    }
}

/// One call, to its end.
async fn attend(
    endpoint: Endpoint,
    call: String,
    mind: Mind,
    turns: mpsc::UnboundedSender<Taken>,
) -> anyhow::Result<()> {
    let attending = json!({ "callId": call, "waitMs": WAIT_MS }).to_string();
    let attending = endpoint.post("/api/v1/calls/attend", "", &attending);
    let mut connection = Connection::open(endpoint.address).await?;
    let mut request = attending.clone();
    loop {
        let answer = connection.exchange(&request).await?;
        let at = Instant::now();
        let body: Value = serde_json::from_str(&answer.body)?;
        let turn = match answer.status {
            // Too late: the refusal may hold the turn to answer instead.
            200 | 409 => &body["next"],
            410 => return Ok(()),
            // The call is between two relays.
            503 => &Value::Null,
            status => bail!("{call}: {status} {}", answer.body),
        };
        request = match turn["event"].as_str() {
            Some("call.turn") => {
                let text = turn["text"].as_str().unwrap_or_default().to_owned();
                let reply = json!({ "turnId": turn["turnId"], "text": mind(&text), "waitMs": WAIT_MS }).to_string();
                let reply = endpoint.post(&format!("/api/v1/calls/{call}/reply"), "", &reply);
                let answered = Instant::now();
                // Nobody counts any more when the bench is over.
                turns.send(Taken { text, at, answered }).ok();
                reply
            }
            Some("call.ended") => return Ok(()),
            _ => attending.clone(),
        };
    }
}

/// The last number in what somebody said.
pub fn number(text: &str) -> Option<usize> {
    let digits = text.rsplit(|c: char| !c.is_ascii_digit()).find(|part| !part.is_empty());
    digits?.parse().ok()
}
