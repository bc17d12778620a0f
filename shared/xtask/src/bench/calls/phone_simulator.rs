//! Simulated callers: a client of the simulator of the carriers, which dials, speaks, and records each word heard.

use std::{net::SocketAddr, time::Instant};

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use super::super::{
    http_client::{Connection, Response},
    webhooks::NUMBER,
};

/// Makes calls and reads their records.
pub struct PhoneSimulator {
    address: SocketAddr,
    connection: Connection,
}

/// A simulated call.
pub struct PhoneCall {
    id: String,
    /// The start of its clock.
    started: Instant,
}

/// A word that the caller heard. The time is in milliseconds on the clock of the call.
pub struct HeardWord {
    pub at_ms: u64,
    pub word: String,
}

/// The state of a call.
pub struct CallRecord {
    pub heard: Vec<HeardWord>,
    pub is_over: bool,
    /// The number of sockets so far.
    pub sessions: usize,
}

impl PhoneSimulator {
    pub async fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let connection = Connection::open(address).await?;
        Ok(Self { address, connection })
    }

    /// Sets the address for the webhooks of the vendors.
    pub async fn set_callback_url(&mut self, base_url: &str) -> anyhow::Result<()> {
        self.post("/call-back-to", &json!({ "base_url": base_url })).await?;
        Ok(())
    }

    /// Dials the agent. The caller then does these steps.
    pub async fn dial(&mut self, from: &str, steps: &Value) -> anyhow::Result<PhoneCall> {
        let request = json!({ "from": from, "to": NUMBER, "steps": steps });
        let response = self.post("/phone-calls", &request).await?;
        let started = Instant::now();
        let created: Value = serde_json::from_str(&response.body)?;
        let id = created["id"].as_str().context("the call has no id")?.to_owned();
        Ok(PhoneCall { id, started })
    }

    /// Makes the caller do a step.
    pub async fn run_step(&mut self, call: &PhoneCall, step: &Value) -> anyhow::Result<()> {
        self.post(&format!("/phone-calls/{}/do", call.id), step).await?;
        Ok(())
    }

    /// Reads the state of a call.
    pub async fn record(&mut self, call: &PhoneCall) -> anyhow::Result<CallRecord> {
        let request = format!(
            "GET /phone-calls/{} HTTP/1.1\r\nHost: {}\r\n\r\n",
            call.id, self.address
        );
        let response = self.connection.exchange(request.as_bytes()).await?;
        let call: Value = serde_json::from_str(&response.body)?;
        let heard = call["heard"].as_array().context("the call has no list of sounds")?;
        let word = |sound: &Value| {
            Some(HeardWord {
                at_ms: sound["at_ms"].as_u64()?,
                word: sound["sound"]["word"].as_str()?.to_owned(),
            })
        };
        Ok(CallRecord {
            heard: heard.iter().filter_map(word).collect(),
            is_over: !call["ended_ms"].is_null(),
            sessions: call["sessions"].as_array().map_or(0, Vec::len),
        })
    }

    async fn post(&mut self, path: &str, body: &Value) -> anyhow::Result<Response> {
        let (address, body) = (self.address, body.to_string());
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let response = self.connection.exchange(request.as_bytes()).await?;
        ensure!(response.status < 300, "{path}: {} {}", response.status, response.body);
        Ok(response)
    }
}

impl PhoneCall {
    /// Converts a time to the clock of the call. Too early by the latency of the request that dialled.
    pub fn clock_ms(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.started).as_millis()).unwrap_or(u64::MAX)
    }
}

impl CallRecord {
    pub fn heard_text(&self) -> String {
        let words: Vec<&str> = self.heard.iter().map(|word| word.word.as_str()).collect();
        words.join(" ")
    }
}
