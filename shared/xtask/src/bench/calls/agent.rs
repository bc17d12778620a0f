//! An agent program: it listens for calls and answers each turn at once, with one request after the other per call.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use serde_json::{Value, json};
use tokio::{sync::mpsc, task::JoinSet};

use super::super::{http_client::Connection, listener::Listener, mcp_client::Endpoint};

/// A stream counts as a listener after a grace period of two seconds. The server sends no event at its end.
pub const CONNECT_GRACE: Duration = Duration::from_millis(2_100);
/// Between two attempts of an agent that repeats failed requests.
const RETRY_INTERVAL: Duration = Duration::from_millis(200);
/// The time-out of a long poll.
const WAIT_MS: u64 = 50_000;

/// Returns the agent's reply to the text of a turn.
pub type ReplyFn = fn(&str) -> String;

/// A turn as the agent saw it.
pub struct AgentTurn {
    pub text: String,
    pub received: Instant,
    /// Just before the reply was sent.
    pub replied: Instant,
}

/// Stops when it is dropped.
pub struct Agent {
    turns: mpsc::UnboundedReceiver<AgentTurn>,
    tasks: JoinSet<anyhow::Result<()>>,
}

impl Agent {
    /// Starts to answer the calls of the agent. Returns when the server counts it as a listener.
    pub async fn open(endpoint: &Endpoint, reply: ReplyFn) -> anyhow::Result<Self> {
        let listener = Listener::open(endpoint).await?;
        tokio::time::sleep(CONNECT_GRACE).await;
        let (sender, turns) = mpsc::unbounded_channel();
        let mut tasks = JoinSet::new();
        tasks.spawn(listen(listener, endpoint.clone(), reply, sender));
        Ok(Self { turns, tasks })
    }

    /// Starts an agent that opens its stream and its requests again when they fail.
    pub async fn open_persistent(endpoint: &Endpoint, reply: ReplyFn) -> anyhow::Result<Self> {
        let listener = Listener::open(endpoint).await?;
        tokio::time::sleep(CONNECT_GRACE).await;
        let (sender, turns) = mpsc::unbounded_channel();
        let mut tasks = JoinSet::new();
        tasks.spawn(listen_persistently(listener, endpoint.clone(), reply, sender));
        Ok(Self { turns, tasks })
    }

    /// Returns the turns so far. Fails if a request of the agent failed.
    pub fn finish(mut self) -> anyhow::Result<Vec<AgentTurn>> {
        while let Some(result) = self.tasks.try_join_next() {
            result??;
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
    reply: ReplyFn,
    turns: mpsc::UnboundedSender<AgentTurn>,
) -> anyhow::Result<()> {
    let mut calls = JoinSet::new();
    loop {
        tokio::select! {
            event = listener.next() => {
                let (event, _) = event?;
                if event["type"] == "call.incoming" {
                    let call = event["callId"].as_str().context("the call has no id")?.to_owned();
                    calls.spawn(attend(endpoint.clone(), call, reply, turns.clone()));
                }
            }
            Some(result) = calls.join_next() => result??,
        }
    }
}

/// Listens as `listen` does, over as many streams as it takes. A call is attended once, also if its event arrives again.
async fn listen_persistently(
    mut listener: Listener,
    endpoint: Endpoint,
    reply: ReplyFn,
    turns: mpsc::UnboundedSender<AgentTurn>,
) -> anyhow::Result<()> {
    let (mut calls, mut known) = (JoinSet::new(), HashSet::new());
    loop {
        let Ok((event, _)) = listener.next().await else {
            listener = loop {
                tokio::time::sleep(RETRY_INTERVAL).await;
                if let Ok(listener) = Listener::open(&endpoint).await {
                    break listener;
                }
            };
            continue;
        };
        if event["type"] == "call.incoming" {
            let call = event["callId"].as_str().context("the call has no id")?.to_owned();
            if known.insert(call.clone()) {
                calls.spawn(attend_persistently(endpoint.clone(), call, reply, turns.clone()));
            }
        }
    }
}

async fn attend_persistently(
    endpoint: Endpoint,
    call: String,
    reply: ReplyFn,
    turns: mpsc::UnboundedSender<AgentTurn>,
) {
    while attend(endpoint.clone(), call.clone(), reply, turns.clone())
        .await
        .is_err()
    {
        tokio::time::sleep(RETRY_INTERVAL).await;
    }
}

/// Answers the turns of a call until it ends.
async fn attend(
    endpoint: Endpoint,
    call: String,
    reply: ReplyFn,
    turns: mpsc::UnboundedSender<AgentTurn>,
) -> anyhow::Result<()> {
    let attend = json!({ "callId": call, "waitMs": WAIT_MS }).to_string();
    let attend = endpoint.post("/api/v1/calls/attend", "", &attend);
    let mut connection = Connection::open(endpoint.address).await?;
    let mut request = attend.clone();
    loop {
        let response = connection.exchange(&request).await?;
        let received = Instant::now();
        let body: Value = serde_json::from_str(&response.body)?;
        let turn = match response.status {
            // The reply was late: the error may contain the turn to answer instead.
            200 | 409 => &body["next"],
            410 => return Ok(()),
            // No relay owns the call at the moment.
            503 => &Value::Null,
            status => bail!("{call}: {status} {}", response.body),
        };
        request = match turn["event"].as_str() {
            Some("call.turn") => {
                let text = turn["text"].as_str().unwrap_or_default().to_owned();
                let body = json!({ "turnId": turn["turnId"], "text": reply(&text), "waitMs": WAIT_MS }).to_string();
                let request = endpoint.post(&format!("/api/v1/calls/{call}/reply"), "", &body);
                let replied = Instant::now();
                // Fails only at the end of the measurement.
                turns
                    .send(AgentTurn {
                        text,
                        received,
                        replied,
                    })
                    .ok();
                request
            }
            Some("call.ended") => return Ok(()),
            _ => attend.clone(),
        };
    }
}

/// Finds the last number in a text.
pub fn find_number(text: &str) -> Option<usize> {
    let digits = text.rsplit(|c: char| !c.is_ascii_digit()).find(|part| !part.is_empty());
    digits?.parse().ok()
}
