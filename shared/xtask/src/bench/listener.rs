//! An agent that listens: it reads what is pushed, and answers pings, which is how the server knows that it has it.

use std::time::{Duration, Instant};

use anyhow::ensure;
use serde_json::{Value, json};

use super::{http::Connection, mcp::Endpoint};

pub struct Listener {
    stream: Connection,
    posting: Connection,
    endpoint: Endpoint,
    path: String,
}

impl Listener {
    pub async fn open(endpoint: &Endpoint) -> anyhow::Result<Self> {
        Self::open_with(endpoint, "{}").await
    }

    /// One whose client has a model of its own, which may be asked.
    pub async fn open_with_model(endpoint: &Endpoint) -> anyhow::Result<Self> {
        Self::open_with(endpoint, r#"{"sampling":{}}"#).await
    }

    async fn open_with(endpoint: &Endpoint, capabilities: &str) -> anyhow::Result<Self> {
        let (stream, posting, path) = endpoint.open_listener(capabilities).await?;
        Ok(Self {
            stream,
            posting,
            endpoint: endpoint.clone(),
            path,
        })
    }

    /// The next event that is pushed, and when it came.
    pub async fn next(&mut self) -> anyhow::Result<(Value, Instant)> {
        loop {
            let (message, at) = self.message().await?;
            if message["method"] == "notifications/message" {
                return Ok((message["params"]["data"].clone(), at));
            }
        }
    }

    /// The next message of whatever kind, and when it came. Pings are answered here.
    pub async fn message(&mut self) -> anyhow::Result<(Value, Instant)> {
        loop {
            let text = self.stream.read_until("data: ").await?;
            let at = Instant::now();
            let Some(data) = text.lines().find_map(|line| line.strip_prefix("data: ")) else {
                continue;
            };
            let message: Value = serde_json::from_str(data)?;
            if message["method"] != "ping" {
                return Ok((message, at));
            }
            let pong = json!({ "jsonrpc": "2.0", "id": message["id"], "result": {} }).to_string();
            let answer = self
                .posting
                .exchange(&self.endpoint.post(&self.path, "", &pong))
                .await?;
            ensure!(answer.status == 202, "a pong was answered {}", answer.status);
        }
    }

    /// So many messages, which must come in the order of their numbers. Returns when the last one came.
    pub async fn take(&mut self, count: u64) -> anyhow::Result<Instant> {
        let mut last = (0, Instant::now());
        for _ in 0..count {
            let (event, at) = tokio::time::timeout(Duration::from_secs(60), self.next()).await??;
            let seq = event["seq"].as_i64().unwrap_or_default();
            ensure!(seq > last.0, "number {seq} came after number {}", last.0);
            last = (seq, at);
        }
        // The last ones are confirmed like the others.
        while let Ok(event) = tokio::time::timeout(Duration::from_millis(300), self.next()).await {
            event?;
        }
        Ok(last.1)
    }
}
