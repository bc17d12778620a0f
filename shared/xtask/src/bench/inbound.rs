//! What comes in: how fast it is made durable, written down and brought to an agent, each service a process of its own.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};

use super::{
    Bench,
    http::Connection,
    listener::Listener,
    mcp::{Endpoint, Job},
    process::{self, Process},
    servers::Servers,
    webhooks,
};

const CONNECTIONS: usize = 64;
/// Messages that wait for an agent.
const WAITING: u64 = 10_000;
/// Webhooks whose way to a listener is timed, one after the other.
const TIMED: usize = 500;
/// How often the memory is looked at while it soaks.
const LOOK: Duration = Duration::from_secs(15);

/// Webhooks into the durable stream, and from there into the log, each by itself.
pub async fn rates(bench: &mut Bench) -> anyhow::Result<()> {
    let job = Job {
        connections: CONNECTIONS,
        ..bench.job()
    };
    let bare = Process::bare_webhooks().await?;
    let yardstick = webhooks::load(bare.address, job).await?;
    drop(bare);
    bench
        .table
        .note("bare axum route that checks the signature", yardstick.rate, "/s");
    let servers = Servers::start(&bench.program).await?;
    // Makes the agent whose number is called.
    let gateway = process::gateway(&bench.program, &servers.backends).await?;
    let ingest = process::service(&bench.program, "webhook-ingest", &servers.backends).await?;
    let load = webhooks::load(ingest.address, job).await?;
    bench
        .table
        .ratio("signed SMS webhooks, JetStream on file", load.rate, yardstick.rate, 0.3);
    bench
        .table
        .at_most("their p50 at 64 connections", webhooks::millis(load.p50), "ms", 15.0);
    bench
        .table
        .at_most("their p99 at 64 connections", webhooks::millis(load.p99), "ms", 15.0);

    let begun = Instant::now();
    let dispatcher = process::service(&bench.program, "dispatcher", &servers.backends).await?;
    let started = begun.elapsed();
    until_written(dispatcher.address, load.count).await?;
    let rate = load.count as f64 / (begun.elapsed() - started).as_secs_f64();
    bench.table.at_least(
        "dispatcher, events written and offered to their agent",
        rate,
        "/s",
        2_000.0,
    );
    drop((gateway, dispatcher));
    Ok(())
}

/// From the carrier's call to an agent that listens on a gateway.
pub async fn delivery(bench: &mut Bench) -> anyhow::Result<()> {
    let servers = Servers::start(&bench.program).await?;
    let gateway = process::gateway(&bench.program, &servers.backends).await?;
    let ingest = process::service(&bench.program, "webhook-ingest", &servers.backends).await?;
    let dispatcher = process::service(&bench.program, "dispatcher", &servers.backends).await?;
    let agent = Endpoint::agent(&gateway);

    webhooks::send(ingest.address, CONNECTIONS, WAITING).await?;
    until_written(dispatcher.address, WAITING).await?;
    let begun = Instant::now();
    let mut listener = Listener::open(&agent).await?;
    let last = listener.take(WAITING).await?;
    let took = (last - begun).as_secs_f64();
    bench.table.at_most(
        "10,000 waiting messages to an agent that returns, in order",
        took,
        "s",
        10.0,
    );

    let mut calling = Connection::open(ingest.address).await?;
    let mut times = Vec::new();
    for _ in 0..TIMED {
        let begun = Instant::now();
        webhooks::one(&mut calling, ingest.address).await?;
        let (_, at) = tokio::time::timeout(Duration::from_secs(10), listener.next()).await??;
        times.push(at - begun);
    }
    times.sort_unstable();
    let (p50, p99) = (webhooks::percentile(&times, 50), webhooks::percentile(&times, 99));
    bench.table.at_most(
        "webhook to a live agent on another replica, p50",
        webhooks::millis(p50),
        "ms",
        5.0,
    );
    bench.table.at_most(
        "webhook to a live agent on another replica, p99",
        webhooks::millis(p99),
        "ms",
        25.0,
    );
    Ok(())
}

/// Everything in one process under a steady load with a listener: its memory must not grow.
pub async fn soak(bench: &mut Bench) -> anyhow::Result<()> {
    let server = process::embedded(&bench.program).await?;
    let agent = Endpoint::agent(&server);
    let (begun, time) = (Instant::now(), bench.options.soak);
    let address = server.process.address;
    let load = async {
        let mut connection = Connection::open(address).await?;
        while begun.elapsed() < time {
            webhooks::one(&mut connection, address).await?;
            agent.call_once("comms_ping", "{}").await?;
        }
        Ok::<_, anyhow::Error>(())
    };
    let listen = async {
        let mut listener = Listener::open(&agent).await?;
        while begun.elapsed() < time {
            if let Ok(event) = tokio::time::timeout(Duration::from_secs(1), listener.next()).await {
                event?;
            }
        }
        Ok::<_, anyhow::Error>(())
    };
    let look = async {
        let mut sizes = Vec::new();
        while begun.elapsed() < time {
            tokio::time::sleep(LOOK).await;
            sizes.push(server.process.memory()? as f64 / 1024.0 / 1024.0);
        }
        Ok::<_, anyhow::Error>(sizes)
    };
    let ((), (), sizes) = tokio::try_join!(load, listen, look)?;
    let third = sizes.len() / 3;
    let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len().max(1) as f64;
    let (early, late) = (mean(&sizes[third..2 * third]), mean(&sizes[2 * third..]));
    bench.table.note("memory in the second third of the soak", early, "MiB");
    bench
        .table
        .at_most("growth from the second to the last third", late - early, "MiB", 5.0);
    Ok(())
}

/// Waits until the dispatcher says that it has written so many notices down.
async fn until_written(dispatcher: SocketAddr, count: u64) -> anyhow::Result<()> {
    let request = format!("GET /metrics HTTP/1.1\r\nHost: {dispatcher}\r\n\r\n");
    let mut connection = Connection::open(dispatcher).await?;
    let begun = Instant::now();
    loop {
        let answer = connection.exchange(request.as_bytes()).await?;
        let line = answer
            .body
            .lines()
            .find_map(|line| line.strip_prefix("bd_inbound_notices_total "));
        let written: f64 = line.context("no such metric")?.trim().parse()?;
        if written >= count as f64 {
            return Ok(());
        }
        if begun.elapsed() > Duration::from_secs(120) {
            bail!("only {written} of {count} notices were written down");
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
