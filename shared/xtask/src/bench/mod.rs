//! `cargo xtask bench`: how fast the product is, as ratios to a bare rmcp server in the same run. It measures release builds
//! over real sockets; it judges nothing but prints the numbers beside those asked for.

mod bare;
mod calls;
mod clients;
mod http;
mod inbound;
mod listener;
mod mcp;
mod process;
mod servers;
mod table;
mod webhooks;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::{Context, bail};
use tokio::process::Command;

use mcp::{Endpoint, Job};
use process::{Process, Server};
use servers::Servers;
use table::Table;

#[derive(clap::Args)]
pub struct Options {
    /// Seconds that each rate is measured for.
    #[arg(long, default_value_t = 8)]
    seconds: u64,
    /// Connections that call at the same time.
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Idle SSE sessions to open.
    #[arg(long, default_value_t = 5_000)]
    sessions: usize,
    /// Sends that an agent has behind it when the cost of a call is measured again.
    #[arg(long, default_value_t = 200_000)]
    history: u64,
    /// Only these: ping, embedded, servers, sessions, connect, start, webhooks, delivery, calls, relays, soak. Without it all
    /// but relays and soak.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Seconds of the soak.
    #[arg(long, default_value = "600", value_parser = seconds)]
    soak: Duration,
}

fn seconds(text: &str) -> Result<Duration, std::num::ParseIntError> {
    text.parse().map(Duration::from_secs)
}

/// Builds both programs in release, and lets the release build of this one measure.
pub async fn main(options: Options) -> anyhow::Result<ExitCode> {
    if !cfg!(debug_assertions) {
        return measure(options).await.map(|()| ExitCode::SUCCESS);
    }
    let build = ["build", "--release", "--locked", "-p", "butt-dial", "-p", "xtask"];
    if !Command::new(env!("CARGO")).args(build).status().await?.success() {
        bail!("the release build failed");
    }
    let status = Command::new(process::release("xtask")?)
        .args(std::env::args_os().skip(1))
        .status()
        .await?;
    Ok(if status.success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

pub use bare::serve as bare_server;
pub use webhooks::bare as bare_webhooks;

/// What is measured with.
struct Bench {
    options: Options,
    program: PathBuf,
    table: Table,
}

impl Bench {
    fn wants(&self, part: &str) -> bool {
        self.options.only.is_empty() || self.wants_by_name(part)
    }

    /// What takes long is measured only when it is named.
    fn wants_by_name(&self, part: &str) -> bool {
        self.options.only.iter().any(|only| only == part)
    }

    fn job(&self) -> Job {
        Job {
            connections: self.options.connections,
            time: Duration::from_secs(self.options.seconds),
        }
    }
}

async fn measure(options: Options) -> anyhow::Result<()> {
    // Clients want one even where nothing is encrypted. Fails only when there is one already.
    drop(rustls::crypto::ring::default_provider().install_default());
    let program = process::release("butt-dial")?;
    let mut bench = Bench {
        options,
        program,
        table: Table::default(),
    };
    if ["ping", "embedded", "connect", "servers"]
        .iter()
        .any(|part| bench.wants(part))
    {
        outbound(&mut bench).await?;
    }
    if bench.wants("sessions") {
        sessions(&mut bench).await?;
    }
    if bench.wants("start") {
        cold_start(&mut bench).await?;
    }
    if bench.wants("webhooks") {
        inbound::rates(&mut bench).await?;
    }
    if bench.wants("delivery") {
        inbound::delivery(&mut bench).await?;
    }
    if bench.wants("calls") {
        calls::conversations(&mut bench).await?;
    }
    if bench.wants_by_name("relays") {
        calls::replacements(&mut bench).await?;
    }
    if bench.wants_by_name("soak") {
        inbound::soak(&mut bench).await?;
    }
    bench.table.print();
    Ok(())
}

async fn outbound(bench: &mut Bench) -> anyhow::Result<()> {
    let bare = bare_rates(bench).await?;
    if bench.wants("embedded") || bench.wants("ping") || bench.wants("connect") {
        embedded(bench, &bare).await?;
    }
    if bench.wants("servers") {
        servers(bench, &bare).await?;
    }
    Ok(())
}

/// What the bare server does a second.
struct Bare {
    calls: f64,
    /// Of rmcp's own client.
    client_calls: f64,
    connects: f64,
}

async fn bare_rates(bench: &mut Bench) -> anyhow::Result<Bare> {
    let process = Process::bare().await?;
    let endpoint = Endpoint::bare(process.address);
    let calls = endpoint.rate(bench.job(), "ping", &|_| "{}".into()).await?;
    let client_calls = clients::rate(process.address, None, bench.job(), "ping", |_| "{}".into()).await?;
    let connects = endpoint.connect_rate(bench.job(), "ping", "{}").await?;
    bench.table.note("bare rmcp, calls over a session", calls, "/s");
    bench
        .table
        .note("bare rmcp, calls of rmcp's own clients", client_calls, "/s");
    bench
        .table
        .note("bare rmcp, connect + initialize + call + close", connects, "/s");
    Ok(Bare {
        calls,
        client_calls,
        connects,
    })
}

async fn embedded(bench: &mut Bench, bare: &Bare) -> anyhow::Result<()> {
    let server = process::embedded(&bench.program).await?;
    let agent = Endpoint::agent(&server);
    if bench.wants("ping") {
        let rate = agent.rate(bench.job(), "comms_ping", &|_| "{}".into()).await?;
        bench.table.ratio("comms_ping over a session", rate, bare.calls, 0.6);
    }
    if bench.wants("embedded") {
        let rate = agent.rate(bench.job(), "comms_send_message", &mcp::sms).await?;
        bench.table.ratio("comms_send_message, embedded", rate, bare.calls, 0.3);
        let sends = sends_of_clients(bench, &server).await?;
        bench
            .table
            .ratio("the same of rmcp's own clients", sends, bare.client_calls, 0.3);
    }
    if bench.wants("connect") {
        let rate = agent.connect_rate(bench.job(), "comms_ping", "{}").await?;
        bench.table.ratio(
            "connect + initialize + call + close, Streamable HTTP",
            rate,
            bare.connects,
            0.3,
        );
        let rate = agent.sse_connect_rate(bench.job(), "comms_ping").await?;
        bench
            .table
            .ratio("connect + initialize + call + close, SSE", rate, bare.connects, 0.3);
    }
    Ok(())
}

async fn sends_of_clients(bench: &Bench, server: &Server) -> anyhow::Result<f64> {
    let (address, token) = (server.process.address, server.agent_token.as_str());
    clients::rate(address, Some(token), bench.job(), "comms_send_message", mcp::sms).await
}

/// Postgres with fsync, Redis, NATS and the carriers' simulator, each a process of its own.
async fn servers(bench: &mut Bench, bare: &Bare) -> anyhow::Result<()> {
    let servers = Servers::start(&bench.program).await?;
    let server = process::gateway(&bench.program, &servers.backends).await?;
    let agent = Endpoint::agent(&server);
    let before = server.process.cpu()?;
    let (calls, rate) = agent.count(bench.job(), "comms_send_message", &mcp::sms).await?;
    let cpu = (server.process.cpu()? - before).as_secs_f64() * 1e3 / calls as f64;
    bench.table.ratio(
        "comms_send_message, Postgres (fsync on), Redis, NATS",
        rate,
        bare.calls,
        0.15,
    );
    bench.table.at_most("gateway's CPU a call, no history", cpu, "ms", 0.15);
    let sends = sends_of_clients(bench, &server).await?;
    bench
        .table
        .ratio("the same of rmcp's own clients", sends, bare.client_calls, 0.15);
    let mut sent = calls;
    while sent < bench.options.history {
        let job = Job {
            connections: 64,
            time: Duration::from_secs(10),
        };
        sent += agent.count(job, "comms_send_message", &mcp::sms).await?.0;
    }
    let before = server.process.cpu()?;
    let (calls, rate) = agent.count(bench.job(), "comms_send_message", &mcp::sms).await?;
    let cpu = (server.process.cpu()? - before).as_secs_f64() * 1e3 / calls as f64;
    let history = bench.options.history;
    bench
        .table
        .ratio(&format!("the same after {history} sends"), rate, bare.calls, 0.15);
    bench
        .table
        .at_most(&format!("gateway's CPU a call after {history} sends"), cpu, "ms", 0.15);
    Ok(())
}

async fn sessions(bench: &mut Bench) -> anyhow::Result<()> {
    let server = process::embedded(&bench.program).await?;
    let agent = Endpoint::agent(&server);
    // The first sessions pay for what all of them share.
    let warm = agent.open_sse_sessions(50).await?;
    let before = server.process.memory()?;
    let open = agent.open_sse_sessions(bench.options.sessions).await?;
    let each = (server.process.memory()?.saturating_sub(before)) as f64 / bench.options.sessions as f64 / 1024.0;
    bench.table.at_most(
        &format!("memory of an idle SSE session, {} open", open.len()),
        each,
        "KiB",
        40.0,
    );
    drop((warm, open));
    Ok(())
}

async fn cold_start(bench: &mut Bench) -> anyhow::Result<()> {
    let mut times = Vec::new();
    for _ in 0..5 {
        times.push(
            process::cold_start(&bench.program)
                .await
                .context("cold start")?
                .as_secs_f64()
                * 1e3,
        );
    }
    times.sort_by(f64::total_cmp);
    bench.table.at_most(
        "cold start to the first 200 of /health, SQLite (median of 5)",
        times[2],
        "ms",
        100.0,
    );
    Ok(())
}
