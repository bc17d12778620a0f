//! Sends of few and of many callers: the rate, the latency and the CPU of one send, over REST and over MCP, on SQLite and on servers.
//! With `--against`, another build is measured in turns with this one, so that both see the same machine.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::ensure;

use super::{
    Bench,
    http_client::Connection,
    load::Load,
    mcp_client::{self, Endpoint},
    process::{self, Server},
    servers::Servers,
    table::Table,
    webhooks::percentile,
};

const CALLERS: [usize; 5] = [1, 4, 16, 64, 256];
const MCP_CALLERS: usize = 10;
/// Before the first measurement: connections are opened and caches are filled.
const WARM_UP: Duration = Duration::from_secs(1);

/// The limits of the figures of one number of callers.
#[derive(Clone, Copy, Default)]
struct Target {
    /// At least, per second.
    rate: Option<f64>,
    /// At most, milliseconds.
    p50: Option<f64>,
    p99: Option<f64>,
    cpu: Option<f64>,
}

/// The figures of one run.
struct Figures {
    /// Sends per second.
    rate: f64,
    /// Milliseconds.
    p50: f64,
    p99: f64,
    /// Milliseconds of the server's CPU for one send.
    cpu: f64,
}

pub async fn run(bench: &mut Bench) -> anyhow::Result<()> {
    let programs = bench.programs();
    embedded(bench, &programs).await?;
    servers(bench, &programs).await
}

async fn embedded(bench: &mut Bench, programs: &[(&'static str, PathBuf)]) -> anyhow::Result<()> {
    let mut servers = Vec::new();
    for (name, program) in programs {
        servers.push((*name, process::embedded(program).await?));
    }
    for callers in CALLERS {
        for (name, server) in &servers {
            let figures = rest(bench, server, callers).await?;
            add(
                &mut bench.table,
                name,
                &format!("embedded, REST, callers: {callers}"),
                &figures,
                embedded_target(callers),
            );
        }
    }
    for (name, server) in &servers {
        let figures = sse(bench, server).await?;
        let target = Target {
            rate: Some(6_000.0),
            cpu: Some(0.18),
            ..Target::default()
        };
        add(
            &mut bench.table,
            name,
            &format!("embedded, MCP over SSE, callers: {MCP_CALLERS}"),
            &figures,
            target,
        );
    }
    Ok(())
}

async fn servers(bench: &mut Bench, programs: &[(&'static str, PathBuf)]) -> anyhow::Result<()> {
    for (name, program) in programs {
        let backends = Servers::start(program).await?;
        let server = gateway(program, &backends).await?;
        for callers in CALLERS {
            let figures = rest(bench, &server, callers).await?;
            add(
                &mut bench.table,
                name,
                &format!("servers, REST, callers: {callers}"),
                &figures,
                servers_target(callers),
            );
        }
        let figures = sse(bench, &server).await?;
        add(
            &mut bench.table,
            name,
            &format!("servers, MCP over SSE, callers: {MCP_CALLERS}"),
            &figures,
            Target::default(),
        );
    }
    Ok(())
}

async fn gateway(program: &Path, servers: &Servers) -> anyhow::Result<Server> {
    process::gateway(program, &servers.backends).await
}

fn embedded_target(callers: usize) -> Target {
    match callers {
        1 => Target {
            p50: Some(0.40),
            p99: Some(3.0),
            cpu: Some(0.30),
            ..Target::default()
        },
        4 => Target {
            rate: Some(5_000.0),
            ..Target::default()
        },
        16 => Target {
            rate: Some(8_000.0),
            ..Target::default()
        },
        64 => Target {
            rate: Some(12_000.0),
            cpu: Some(0.10),
            ..Target::default()
        },
        _ => Target::default(),
    }
}

fn servers_target(callers: usize) -> Target {
    match callers {
        1 => Target {
            p50: Some(2.5),
            ..Target::default()
        },
        64 => Target {
            rate: Some(7_000.0),
            cpu: Some(0.10),
            ..Target::default()
        },
        _ => Target::default(),
    }
}

fn add(table: &mut Table, program: &str, name: &str, figures: &Figures, target: Target) {
    let Figures { rate, p50, p99, cpu } = figures;
    let value = format!("{rate:.0}/s, p50 {p50:.2} ms, p99 {p99:.1} ms, CPU {cpu:.3} ms");
    let mut verdicts = Vec::new();
    let mut check = |figure: &str, is_met: bool, bound: Option<f64>| {
        if let Some(bound) = bound {
            verdicts.push(format!("{figure} {bound}: {}", if is_met { "met" } else { "MISSED" }));
        }
    };
    check(
        "rate at least",
        target.rate.is_none_or(|least| *rate >= least),
        target.rate,
    );
    check("p50 at most", target.p50.is_none_or(|most| *p50 <= most), target.p50);
    check("p99 at most", target.p99.is_none_or(|most| *p99 <= most), target.p99);
    check("CPU at most", target.cpu.is_none_or(|most| *cpu <= most), target.cpu);
    table.figures(&format!("{name}{program}"), value, verdicts.join(", "));
}

/// Sends over REST, each to the next recipient.
async fn rest(bench: &Bench, server: &Server, callers: usize) -> anyhow::Result<Figures> {
    let agent = Endpoint::agent(server);
    let send = |load: Load| {
        let agent = &agent;
        async move {
            let end = Instant::now() + load.duration;
            let callers = (0..load.connections).map(|_| async move {
                let mut connection = Connection::open(agent.address).await?;
                let mut times = Vec::new();
                while Instant::now() < end {
                    let request = agent.post("/api/v1/send-message", "", &mcp_client::sms(mcp_client::next()));
                    let sent = Instant::now();
                    let response = connection.exchange(&request).await?;
                    times.push(sent.elapsed());
                    ensure!(response.status == 200, "send: {} {}", response.status, response.body);
                }
                anyhow::Ok(times)
            });
            futures::future::try_join_all(callers).await
        }
    };
    send(Load {
        connections: callers,
        duration: WARM_UP,
    })
    .await?;
    let load = Load {
        connections: callers,
        ..bench.load()
    };
    let before = server.process.cpu()?;
    let started = Instant::now();
    let times = send(load).await?.concat();
    figures(server, before, started, times)
}

/// Sends over the stream and the posts of the legacy transport.
async fn sse(bench: &Bench, server: &Server) -> anyhow::Result<Figures> {
    let agent = Endpoint::agent(server);
    let mut sessions = Vec::new();
    for _ in 0..MCP_CALLERS {
        sessions.push(agent.open_listener("{}").await?);
    }
    let before = server.process.cpu()?;
    let (started, end) = (Instant::now(), Instant::now() + bench.load().duration);
    let agent = &agent;
    let callers = sessions.into_iter().map(|(mut stream, mut posting, path)| async move {
        let mut times = Vec::new();
        while Instant::now() < end {
            let call = mcp_client::call("comms_send_message", &mcp_client::sms(mcp_client::next()));
            let request = agent.post(&path, "", &call);
            let sent = Instant::now();
            posting.exchange(&request).await?;
            let answer = stream.read_until("\"id\":1").await?;
            times.push(sent.elapsed());
            ensure!(
                answer.contains("\"result\"") && !answer.contains(mcp_client::TOOL_ERROR),
                "send: {answer}"
            );
        }
        anyhow::Ok(times)
    });
    let times = futures::future::try_join_all(callers).await?.concat();
    figures(server, before, started, times)
}

fn figures(server: &Server, before: Duration, started: Instant, mut times: Vec<Duration>) -> anyhow::Result<Figures> {
    let elapsed = started.elapsed().as_secs_f64();
    let cpu = server.process.cpu()?.saturating_sub(before);
    times.sort_unstable();
    let sends = times.len() as f64;
    Ok(Figures {
        rate: sends / elapsed,
        p50: percentile(&times, 50).as_secs_f64() * 1e3,
        p99: percentile(&times, 99).as_secs_f64() * 1e3,
        cpu: cpu.as_secs_f64() * 1e3 / sends.max(1.0),
    })
}
