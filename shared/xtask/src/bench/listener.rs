//! An agent that listens: it reads pushed events and answers pings, which confirm the events to the server.

use std::time::{Duration, Instant};

use anyhow::ensure;
use serde_json::{Value, json};

use super::{http_client::Connection, mcp_client::Endpoint};

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

    /// Opens a listener that accepts sampling requests for its own model.
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

    /// Reads the next pushed event and the time of its arrival.
    pub async fn next(&mut self) -> anyhow::Result<(Value, Instant)> {
        loop {
            let (message, at) = self.message().await?;
            if message["method"] == "notifications/message" {
                return Ok((message["params"]["data"].clone(), at));
            }
        }
    }

    /// Reads the next message of any kind and the time of its arrival. Answers pings.
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
            let response = self
                .posting
                .exchange(&self.endpoint.post(&self.path, "", &pong))
                .await?;
            ensure!(response.status == 202, "the pong got status {}", response.status);
        }
    }

    /// Reads `count` events, which must arrive in the order of their numbers. Returns the time of the last arrival.
    pub async fn read(&mut self, count: u64) -> anyhow::Result<Instant> {
        let mut last = (0, Instant::now());
        for _ in 0..count {
            let (event, at) = tokio::time::timeout(Duration::from_secs(60), self.next()).await??;
            let seq = event["seq"].as_i64().unwrap_or_default();
            ensure!(seq > last.0, "event {seq} arrived after event {}", last.0);
            last = (seq, at);
        }
        // Answers the pings that confirm the last events.
        while let Ok(event) = tokio::time::timeout(Duration::from_millis(300), self.next()).await {
            event?;
        }
        Ok(last.1)
    }
}
