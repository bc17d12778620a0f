//! `cargo xtask bench`: measures release builds over real sockets, as ratios to a bare rmcp server in the same run. Prints
//! the values next to their targets; a missed target does not fail the run.

mod bare_mcp;
mod calls;
mod disturb;
mod http_client;
mod inbound;
mod life;
mod listener;
mod load;
mod mcp_client;
mod partitions;
mod process;
mod rmcp_client;
mod servers;
mod start;
mod sweep;
mod table;
mod tenants;
mod webhooks;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::bail;
use tokio::process::Command;

use load::Load;
use mcp_client::Endpoint;
use process::{Process, Server};
use servers::Servers;
use table::Table;

#[derive(clap::Args)]
pub struct Options {
    /// Duration of the measurement of each rate, in seconds.
    #[arg(long, default_value_t = 8)]
    seconds: u64,
    /// Number of concurrent connections.
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Number of idle SSE sessions.
    #[arg(long, default_value_t = 5_000)]
    sessions: usize,
    /// Number of earlier sends of the agent before the cost of a call is measured again.
    #[arg(long, default_value_t = 200_000)]
    history: u64,
    /// Run only these parts: ping, embedded, servers, sweep, life, sessions, connect, start, cold, tenants, webhooks, delivery, partitions,
    /// calls, relays, soak. Default: all except relays and soak.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Another build of the program, which the parts sweep and life measure in turns with this one.
    #[arg(long)]
    against: Option<PathBuf>,
    /// Duration of the soak, in seconds.
    #[arg(long, default_value = "600", value_parser = seconds)]
    soak: Duration,
}

fn seconds(text: &str) -> Result<Duration, std::num::ParseIntError> {
    text.parse().map(Duration::from_secs)
}

/// Builds both programs in release mode and runs the release build of this one.
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

pub use bare_mcp::serve as bare_server;
pub use disturb::{Options as DisturbOptions, run as disturb};
pub use webhooks::bare as bare_webhooks;

/// A run: its options, the program under measurement and the results.
struct Bench {
    options: Options,
    program: PathBuf,
    table: Table,
}

impl Bench {
    fn runs(&self, part: &str) -> bool {
        self.options.only.is_empty() || self.is_selected(part)
    }

    /// Whether the part is named in `--only`. Long measurements run only then.
    fn is_selected(&self, part: &str) -> bool {
        self.options.only.iter().any(|only| only == part)
    }

    /// Returns the programs to compare, each with the suffix of its results.
    fn programs(&self) -> Vec<(&'static str, PathBuf)> {
        let other = self.options.against.clone().map(|program| (" (--against)", program));
        other.into_iter().chain([("", self.program.clone())]).collect()
    }

    fn load(&self) -> Load {
        Load {
            connections: self.options.connections,
            duration: Duration::from_secs(self.options.seconds),
        }
    }
}

async fn measure(options: Options) -> anyhow::Result<()> {
    // HTTP clients need a TLS provider even without TLS. Fails only if one is installed already.
    drop(rustls::crypto::ring::default_provider().install_default());
    let program = process::release("butt-dial")?;
    let mut bench = Bench {
        options,
        program,
        table: Table::default(),
    };
    if ["ping", "embedded", "connect", "servers"]
        .iter()
        .any(|part| bench.runs(part))
    {
        outbound(&mut bench).await?;
    }
    if bench.runs("sweep") {
        sweep::run(&mut bench).await?;
    }
    if bench.runs("life") {
        life::run(&mut bench).await?;
    }
    if bench.runs("sessions") {
        sessions(&mut bench).await?;
    }
    if bench.runs("start") {
        start::cold(&mut bench).await?;
    }
    if bench.runs("start") || bench.runs("cold") {
        start::first_send(&mut bench).await?;
    }
    if bench.runs("tenants") {
        tenants::compare(&mut bench).await?;
    }
    if bench.runs("webhooks") {
        inbound::rates(&mut bench).await?;
    }
    if bench.runs("delivery") {
        inbound::delivery(&mut bench).await?;
    }
    if bench.runs("partitions") {
        partitions::rates(&mut bench).await?;
    }
    if bench.runs("calls") {
        calls::conversations(&mut bench).await?;
    }
    if bench.is_selected("relays") {
        calls::replacements(&mut bench).await?;
    }
    if bench.is_selected("soak") {
        inbound::soak(&mut bench).await?;
    }
    bench.table.print();
    Ok(())
}

async fn outbound(bench: &mut Bench) -> anyhow::Result<()> {
    let bare = bare_rates(bench).await?;
    if bench.runs("embedded") || bench.runs("ping") || bench.runs("connect") {
        embedded(bench, &bare).await?;
    }
    if bench.runs("servers") {
        servers(bench, &bare).await?;
    }
    Ok(())
}

/// The rates of the bare server, per second.
struct Bare {
    calls: f64,
    /// Calls by the client of rmcp.
    client_calls: f64,
    connects: f64,
}

async fn bare_rates(bench: &mut Bench) -> anyhow::Result<Bare> {
    let process = Process::bare_mcp().await?;
    let endpoint = Endpoint::without_auth(process.address);
    let calls = endpoint.rate(bench.load(), "ping", &|_| "{}".into()).await?;
    let client_calls = rmcp_client::rate(process.address, None, bench.load(), "ping", |_| "{}".into()).await?;
    let connects = endpoint.connect_rate(bench.load(), "ping", "{}").await?;
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
    if bench.runs("ping") {
        let rate = agent.rate(bench.load(), "comms_ping", &|_| "{}".into()).await?;
        bench.table.ratio("comms_ping over a session", rate, bare.calls, 0.6);
    }
    if bench.runs("embedded") {
        let rate = agent.rate(bench.load(), "comms_send_message", &mcp_client::sms).await?;
        bench.table.ratio("comms_send_message, embedded", rate, bare.calls, 0.3);
        let sends = rmcp_client_sends(bench, &server).await?;
        bench
            .table
            .ratio("the same of rmcp's own clients", sends, bare.client_calls, 0.3);
    }
    if bench.runs("connect") {
        let rate = agent.connect_rate(bench.load(), "comms_ping", "{}").await?;
        bench.table.ratio(
            "connect + initialize + call + close, Streamable HTTP",
            rate,
            bare.connects,
            0.3,
        );
        let rate = agent.sse_connect_rate(bench.load(), "comms_ping").await?;
        bench
            .table
            .ratio("connect + initialize + call + close, SSE", rate, bare.connects, 0.3);
    }
    Ok(())
}

async fn rmcp_client_sends(bench: &Bench, server: &Server) -> anyhow::Result<f64> {
    let (address, token) = (server.process.address, server.agent_token.as_str());
    rmcp_client::rate(
        address,
        Some(token),
        bench.load(),
        "comms_send_message",
        mcp_client::sms,
    )
    .await
}

/// Measures a gateway with Postgres (fsync on), Redis, NATS and the simulator of the carriers, one process each.
async fn servers(bench: &mut Bench, bare: &Bare) -> anyhow::Result<()> {
    let servers = Servers::start(&bench.program).await?;
    let server = process::gateway(&bench.program, &servers.backends).await?;
    let agent = Endpoint::agent(&server);
    let before = server.process.cpu()?;
    let (calls, rate) = agent
        .count(bench.load(), "comms_send_message", &mcp_client::sms)
        .await?;
    let cpu = (server.process.cpu()? - before).as_secs_f64() * 1e3 / calls as f64;
    bench.table.ratio(
        "comms_send_message, Postgres (fsync on), Redis, NATS",
        rate,
        bare.calls,
        0.15,
    );
    bench.table.at_most("gateway's CPU a call, no history", cpu, "ms", 0.15);
    let sends = rmcp_client_sends(bench, &server).await?;
    bench
        .table
        .ratio("the same of rmcp's own clients", sends, bare.client_calls, 0.15);
    let mut sent = calls;
    while sent < bench.options.history {
        let load = Load {
            connections: 64,
            duration: Duration::from_secs(10),
        };
        sent += agent.count(load, "comms_send_message", &mcp_client::sms).await?.0;
    }
    let before = server.process.cpu()?;
    let (calls, rate) = agent
        .count(bench.load(), "comms_send_message", &mcp_client::sms)
        .await?;
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
    // The first sessions allocate what all sessions share.
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
