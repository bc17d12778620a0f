//! People on the telephone, at the carriers' simulator: they call, speak, and what they hear is written down word by word.

use std::{net::SocketAddr, time::Instant};

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use super::super::{
    http::{Connection, Response},
    webhooks::NUMBER,
};

/// Looks at calls, and makes them.
pub struct Phones {
    address: SocketAddr,
    connection: Connection,
}

/// A call that somebody has made.
pub struct Phone {
    id: String,
    /// When its clock began to count.
    begun: Instant,
}

/// What its person heard, and when, in milliseconds of the call's clock.
pub struct Word {
    pub at_ms: u64,
    pub word: String,
}

/// How a call stands.
pub struct Record {
    pub heard: Vec<Word>,
    pub is_over: bool,
    /// Sockets that it has had.
    pub sessions: usize,
}

impl Phones {
    pub async fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let connection = Connection::open(address).await?;
        Ok(Self { address, connection })
    }

    /// Where the vendors call.
    pub async fn call_back_to(&mut self, base_url: &str) -> anyhow::Result<()> {
        self.post("/call-back-to", &json!({ "base_url": base_url })).await?;
        Ok(())
    }

    /// Somebody calls us, and does this.
    pub async fn dial(&mut self, from: &str, steps: &Value) -> anyhow::Result<Phone> {
        let order = json!({ "from": from, "to": NUMBER, "steps": steps });
        let made = self.post("/phone-calls", &order).await?;
        let begun = Instant::now();
        let made: Value = serde_json::from_str(&made.body)?;
        let id = made["id"].as_str().context("a call without an id")?.to_owned();
        Ok(Phone { id, begun })
    }

    /// The person on the line does something.
    pub async fn act(&mut self, phone: &Phone, act: &Value) -> anyhow::Result<()> {
        self.post(&format!("/phone-calls/{}/do", phone.id), act).await?;
        Ok(())
    }

    pub async fn look(&mut self, phone: &Phone) -> anyhow::Result<Record> {
        let request = format!(
            "GET /phone-calls/{} HTTP/1.1\r\nHost: {}\r\n\r\n",
            phone.id, self.address
        );
        let answer = self.connection.exchange(request.as_bytes()).await?;
        let shown: Value = serde_json::from_str(&answer.body)?;
        let heard = shown["heard"].as_array().context("a call without sounds")?;
        let word = |sound: &Value| {
            Some(Word {
                at_ms: sound["at_ms"].as_u64()?,
                word: sound["sound"]["word"].as_str()?.to_owned(),
            })
        };
        Ok(Record {
            heard: heard.iter().filter_map(word).collect(),
            is_over: !shown["ended_ms"].is_null(),
            sessions: shown["sessions"].as_array().map_or(0, Vec::len),
        })
    }

    async fn post(&mut self, path: &str, body: &Value) -> anyhow::Result<Response> {
        let (address, body) = (self.address, body.to_string());
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let answer = self.connection.exchange(request.as_bytes()).await?;
        ensure!(answer.status < 300, "{path}: {} {}", answer.status, answer.body);
        Ok(answer)
    }
}

impl Phone {
    /// A moment on the call's clock: never too late, by as much as the order took on its way.
    pub fn clock(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.begun).as_millis()).unwrap_or(u64::MAX)
    }
}

impl Record {
    pub fn heard_text(&self) -> String {
        let words: Vec<&str> = self.heard.iter().map(|word| word.word.as_str()).collect();
        words.join(" ")
    }
}
