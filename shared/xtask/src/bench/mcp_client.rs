//! An MCP client on `http_client`: sessions, calls, and the sequence of requests that the Python client makes per call.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use anyhow::{Context, ensure};
use tokio::task::JoinSet;

use super::{http_client::Connection, load::Load, process::Server};

#[derive(Clone)]
pub struct Endpoint {
    pub address: SocketAddr,
    /// Header lines, each with its line break.
    auth: String,
}

const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"bench","version":"1"}}}"#;
const NO_CAPABILITIES: &str = r#""capabilities":{}"#;
const INITIALIZED: &str = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
/// Part of the result of a failed tool call.
pub const TOOL_ERROR: &str = r#""isError":true"#;

/// Returns the number of the next call of this run.
pub fn next() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Returns the arguments of message `n`, each with its own idempotency key. No recipient is a number of an agent, which would get the
/// message without a carrier.
pub fn sms(n: u64) -> String {
    format!(
        r#"{{"to":"+1415556{:04}","channel":"sms","body":"Your order {n} has shipped and arrives on Tuesday.","idempotencyKey":"bench-{}-{n}"}}"#,
        n % 10_000,
        std::process::id()
    )
}

impl Endpoint {
    pub fn without_auth(address: SocketAddr) -> Self {
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

    /// The agent with this token, at a replica.
    pub fn with_token(address: SocketAddr, token: &str) -> Self {
        Self {
            address,
            auth: format!("Authorization: Bearer {token}\r\n"),
        }
    }

    /// The agent of a server, at another replica.
    pub fn replica(address: SocketAddr, server: &Server) -> Self {
        Self {
            address,
            ..Self::agent(server)
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
        let response = connection.exchange(&self.post("/mcp", "", INITIALIZE)).await?;
        ensure!(
            response.status == 200,
            "initialize: {} {}",
            response.status,
            response.body
        );
        let id = response.header("mcp-session-id").context("no session id")?;
        let session = format!("Mcp-Session-Id: {id}\r\nMcp-Protocol-Version: 2025-11-25\r\n");
        let accepted = connection.exchange(&self.post("/mcp", &session, INITIALIZED)).await?;
        ensure!(accepted.status == 202, "initialized: {}", accepted.status);
        Ok(session)
    }

    /// Measures the calls per second over sessions that stay open.
    pub async fn rate(
        &self,
        load: Load,
        tool: &'static str,
        args: &(impl Fn(u64) -> String + Sync),
    ) -> anyhow::Result<f64> {
        Ok(self.count(load, tool, args).await?.1)
    }

    /// Calls over sessions that stay open. Returns the number of calls and the calls per second.
    pub async fn count(
        &self,
        load: Load,
        tool: &'static str,
        args: &(impl Fn(u64) -> String + Sync),
    ) -> anyhow::Result<(u64, f64)> {
        let end = Instant::now() + load.duration;
        let callers = (0..load.connections).map(|_| async {
            let mut connection = Connection::open(self.address).await?;
            let session = self.initialize(&mut connection).await?;
            let mut calls = 0u64;
            while Instant::now() < end {
                let args = args(next());
                let body = call(tool, &args);
                let response = connection.exchange(&self.post("/mcp", &session, &body)).await?;
                let succeeded = response.status == 200
                    && response.body.contains("\"result\"")
                    && !response.body.contains(TOOL_ERROR);
                ensure!(succeeded, "{tool}: {} {}", response.status, response.body);
                calls += 1;
            }
            Ok::<u64, anyhow::Error>(calls)
        });
        let started = Instant::now();
        let counts = futures::future::try_join_all(callers).await?;
        let total: u64 = counts.iter().sum();
        Ok((total, total as f64 / started.elapsed().as_secs_f64()))
    }

    /// Measures the calls per second with a new connection and session for every call.
    pub async fn connect_rate(&self, load: Load, tool: &'static str, args: &'static str) -> anyhow::Result<f64> {
        self.repeat(
            load,
            move |endpoint| async move { endpoint.call_once(tool, args).await },
        )
        .await
    }

    /// Measures the calls per second of the Python client's sequence: stream, handshake, call, disconnect.
    pub async fn sse_connect_rate(&self, load: Load, tool: &'static str) -> anyhow::Result<f64> {
        self.repeat(load, move |endpoint| async move {
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

    async fn repeat<F>(&self, load: Load, call: impl Fn(Endpoint) -> F) -> anyhow::Result<f64>
    where
        F: Future<Output = anyhow::Result<()>>,
    {
        let end = Instant::now() + load.duration;
        let started = Instant::now();
        let call = &call;
        let callers = (0..load.connections).map(|_| async move {
            let mut calls = 0u64;
            while Instant::now() < end {
                call(self.clone()).await?;
                calls += 1;
            }
            Ok::<u64, anyhow::Error>(calls)
        });
        let counts = futures::future::try_join_all(callers).await?;
        Ok(counts.iter().sum::<u64>() as f64 / started.elapsed().as_secs_f64())
    }

    async fn open_sse(&self) -> anyhow::Result<(Connection, String)> {
        let mut stream = Connection::open(self.address).await?;
        let request = format!(
            "GET /sse HTTP/1.1\r\nHost: {}\r\n{}Accept: text/event-stream\r\n\r\n",
            self.address, self.auth
        );
        let status = stream.open_stream(request.as_bytes()).await?;
        ensure!(status == 200, "GET /sse: {status}");
        let event = stream.read_until("data: ").await?;
        let path = event
            .lines()
            .find_map(|line| line.strip_prefix("data: "))
            .context("no endpoint")?
            .to_owned();
        Ok((stream, path))
    }

    /// Opens an SSE session with these capabilities, as JSON. Returns its stream, a connection to post, and the path.
    pub async fn open_listener(&self, capabilities: &str) -> anyhow::Result<(Connection, Connection, String)> {
        let (mut stream, path) = self.open_sse().await?;
        let mut posting = Connection::open(self.address).await?;
        let initialize = INITIALIZE.replace(NO_CAPABILITIES, &format!("\"capabilities\":{capabilities}"));
        posting.exchange(&self.post(&path, "", &initialize)).await?;
        stream.read_until("\"id\":0").await?;
        posting.exchange(&self.post(&path, "", INITIALIZED)).await?;
        Ok((stream, posting, path))
    }

    /// Makes one call over its own connection and session.
    pub async fn call_once(&self, tool: &str, args: &str) -> anyhow::Result<()> {
        let mut connection = Connection::open(self.address).await?;
        let session = self.initialize(&mut connection).await?;
        let response = connection
            .exchange(&self.post("/mcp", &session, &call(tool, args)))
            .await?;
        ensure!(response.body.contains("\"result\""), "{}", response.body);
        let close = format!(
            "DELETE /mcp HTTP/1.1\r\nHost: {}\r\n{}{session}\r\n",
            self.address, self.auth
        );
        connection.exchange(close.as_bytes()).await?;
        Ok(())
    }

    /// Opens SSE sessions that are initialized and then idle.
    pub async fn open_sse_sessions(&self, count: usize) -> anyhow::Result<Vec<Connection>> {
        let mut opening = JoinSet::new();
        let permits = Arc::new(tokio::sync::Semaphore::new(64));
        for _ in 0..count {
            let (endpoint, permits) = (self.clone(), permits.clone());
            opening.spawn(async move {
                let _permit = permits.acquire_owned().await?;
                Ok::<_, anyhow::Error>(endpoint.open_listener("{}").await?.0)
            });
        }
        opening.join_all().await.into_iter().collect()
    }
}

/// Returns the JSON-RPC request of a tool call.
pub fn call(tool: &str, args: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"{tool}","arguments":{args}}}}}"#)
}
