//! MCP as clients speak it, over the cheap HTTP client: sessions, calls, and what the Python client does for every call.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use tokio::task::JoinSet;

use super::{http::Connection, process::Server};

#[derive(Clone, Copy)]
pub struct Job {
    pub connections: usize,
    pub time: Duration,
}

#[derive(Clone)]
pub struct Endpoint {
    pub address: SocketAddr,
    /// Header lines, each with its line break.
    auth: String,
}

const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"bench","version":"1"}}}"#;
const NO_CAPABILITIES: &str = r#""capabilities":{}"#;
const INITIALIZED: &str = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
/// In the result of a call that the tool refused.
const REFUSED: &str = r#""isError":true"#;

/// Arguments of a send, a new message each.
pub fn sms(n: u64) -> String {
    format!(
        r#"{{"to":"+1415555{:04}","channel":"sms","body":"Your order {n} has shipped and arrives on Tuesday.","idempotencyKey":"bench-{}-{n}"}}"#,
        n % 10_000,
        std::process::id()
    )
}

impl Endpoint {
    pub fn bare(address: SocketAddr) -> Self {
        Self {
            address,
            auth: String::new(),
        }
    }

    pub fn agent(server: &Server) -> Self {
        Self {
            address: server.process.address,
            auth: format!("Authorization: Bearer {}\r\n", server.agent_token),
        }
    }

    pub fn post(&self, path: &str, session: &str, body: &str) -> Vec<u8> {
        format!(
            "POST {path} HTTP/1.1\r\nHost: {}\r\n{}{session}Content-Type: application/json\r\nAccept: application/json, text/event-stream\r\nContent-Length: {}\r\n\r\n{body}",
            self.address,
            self.auth,
            body.len()
        )
        .into_bytes()
    }

    async fn initialize(&self, connection: &mut Connection) -> anyhow::Result<String> {
        let answer = connection.exchange(&self.post("/mcp", "", INITIALIZE)).await?;
        ensure!(answer.status == 200, "initialize: {} {}", answer.status, answer.body);
        let id = answer.header("mcp-session-id").context("no session id")?;
        let session = format!("Mcp-Session-Id: {id}\r\nMcp-Protocol-Version: 2025-11-25\r\n");
        let noted = connection.exchange(&self.post("/mcp", &session, INITIALIZED)).await?;
        ensure!(noted.status == 202, "initialized: {}", noted.status);
        Ok(session)
    }

    pub async fn rate(
        &self,
        job: Job,
        tool: &'static str,
        args: &(impl Fn(u64) -> String + Sync),
    ) -> anyhow::Result<f64> {
        Ok(self.count(job, tool, args).await?.1)
    }

    /// Calls over sessions that stay open: how many, and how many a second.
    pub async fn count(
        &self,
        job: Job,
        tool: &'static str,
        args: &(impl Fn(u64) -> String + Sync),
    ) -> anyhow::Result<(u64, f64)> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let end = Instant::now() + job.time;
        let callers = (0..job.connections).map(|_| async {
            let mut connection = Connection::open(self.address).await?;
            let session = self.initialize(&mut connection).await?;
            let mut done = 0u64;
            while Instant::now() < end {
                let args = args(NEXT.fetch_add(1, Ordering::Relaxed));
                let body = call(tool, &args);
                let answer = connection.exchange(&self.post("/mcp", &session, &body)).await?;
                let well = answer.status == 200 && answer.body.contains("\"result\"") && !answer.body.contains(REFUSED);
                ensure!(well, "{tool}: {} {}", answer.status, answer.body);
                done += 1;
            }
            Ok::<u64, anyhow::Error>(done)
        });
        let begun = Instant::now();
        let counts = futures::future::try_join_all(callers).await?;
        let total: u64 = counts.iter().sum();
        Ok((total, total as f64 / begun.elapsed().as_secs_f64()))
    }

    /// A new connection and session for every call.
    pub async fn connect_rate(&self, job: Job, tool: &'static str, args: &'static str) -> anyhow::Result<f64> {
        self.repeat(job, move |endpoint| async move { endpoint.call_once(tool, args).await })
            .await
    }

    /// What the Python client does for every call: a stream, the handshake, the call, and away.
    pub async fn sse_connect_rate(&self, job: Job, tool: &'static str) -> anyhow::Result<f64> {
        self.repeat(job, move |endpoint| async move {
            let (mut stream, path) = endpoint.open_sse().await?;
            let mut posting = Connection::open(endpoint.address).await?;
            posting.exchange(&endpoint.post(&path, "", INITIALIZE)).await?;
            stream.read_until("\"id\":0").await?;
            posting.exchange(&endpoint.post(&path, "", INITIALIZED)).await?;
            posting.exchange(&endpoint.post(&path, "", &call(tool, "{}"))).await?;
            stream.read_until("\"id\":1").await?;
            Ok(())
        })
        .await
    }

    async fn repeat<F>(&self, job: Job, once: impl Fn(Endpoint) -> F) -> anyhow::Result<f64>
    where
        F: Future<Output = anyhow::Result<()>>,
    {
        let end = Instant::now() + job.time;
        let begun = Instant::now();
        let once = &once;
        let callers = (0..job.connections).map(|_| async move {
            let mut done = 0u64;
            while Instant::now() < end {
                once(self.clone()).await?;
                done += 1;
            }
            Ok::<u64, anyhow::Error>(done)
        });
        let counts = futures::future::try_join_all(callers).await?;
        Ok(counts.iter().sum::<u64>() as f64 / begun.elapsed().as_secs_f64())
    }

    async fn open_sse(&self) -> anyhow::Result<(Connection, String)> {
        let mut stream = Connection::open(self.address).await?;
        let request = format!(
            "GET /sse HTTP/1.1\r\nHost: {}\r\n{}Accept: text/event-stream\r\n\r\n",
            self.address, self.auth
        );
        let status = stream.begin(request.as_bytes()).await?;
        ensure!(status == 200, "GET /sse: {status}");
        let event = stream.read_until("data: ").await?;
        let path = event
            .lines()
            .find_map(|line| line.strip_prefix("data: "))
            .context("no endpoint")?
            .to_owned();
        Ok((stream, path))
    }

    /// A stream that listens, with a connection to post to it and the path to post to. `capabilities` as JSON.
    pub async fn open_listener(&self, capabilities: &str) -> anyhow::Result<(Connection, Connection, String)> {
        let (mut stream, path) = self.open_sse().await?;
        let mut posting = Connection::open(self.address).await?;
        let initialize = INITIALIZE.replace(NO_CAPABILITIES, &format!("\"capabilities\":{capabilities}"));
        posting.exchange(&self.post(&path, "", &initialize)).await?;
        stream.read_until("\"id\":0").await?;
        posting.exchange(&self.post(&path, "", INITIALIZED)).await?;
        Ok((stream, posting, path))
    }

    /// A connection and a session for one call, and away.
    pub async fn call_once(&self, tool: &str, args: &str) -> anyhow::Result<()> {
        let mut connection = Connection::open(self.address).await?;
        let session = self.initialize(&mut connection).await?;
        let answer = connection
            .exchange(&self.post("/mcp", &session, &call(tool, args)))
            .await?;
        ensure!(answer.body.contains("\"result\""), "{}", answer.body);
        let close = format!(
            "DELETE /mcp HTTP/1.1\r\nHost: {}\r\n{}{session}\r\n",
            self.address, self.auth
        );
        connection.exchange(close.as_bytes()).await?;
        Ok(())
    }

    /// Streams whose clients have introduced themselves and then say nothing.
    pub async fn open_sse_sessions(&self, count: usize) -> anyhow::Result<Vec<Connection>> {
        let mut opening = JoinSet::new();
        let gate = Arc::new(tokio::sync::Semaphore::new(64));
        for _ in 0..count {
            let (endpoint, gate) = (self.clone(), gate.clone());
            opening.spawn(async move {
                let _turn = gate.acquire_owned().await?;
                Ok::<_, anyhow::Error>(endpoint.open_listener("{}").await?.0)
            });
        }
        opening.join_all().await.into_iter().collect()
    }
}

fn call(tool: &str, args: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"{tool}","arguments":{args}}}}}"#)
}
