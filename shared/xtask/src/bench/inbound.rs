//! Inbound messages: the rates of persisting, recording and delivering them, with one process per service.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};

use super::{
    Bench,
    http_client::Connection,
    listener::Listener,
    load::Load,
    mcp_client::Endpoint,
    process::{self, Process},
    servers::Servers,
    webhooks,
};

const CONNECTIONS: usize = 64;
/// Messages that are queued for an absent agent.
const QUEUED: u64 = 10_000;
/// Webhooks that are timed until they reach a listener, one after the other.
const TIMED: usize = 500;
/// Between two samples of the memory during the soak.
const SAMPLE_INTERVAL: Duration = Duration::from_secs(15);

/// Measures webhooks into the durable stream, and then the stream into the log.
pub async fn rates(bench: &mut Bench) -> anyhow::Result<()> {
    let load = Load {
        connections: CONNECTIONS,
        ..bench.load()
    };
    let bare = Process::bare_webhooks().await?;
    let baseline = webhooks::send_for(bare.address, load).await?;
    drop(bare);
    bench
        .table
        .note("bare axum route that checks the signature", baseline.rate, "/s");
    let servers = Servers::start(&bench.program).await?;
    // Creates the agent that receives the messages.
    let gateway = process::gateway(&bench.program, &servers.backends).await?;
    let ingest = process::service(&bench.program, "webhook-ingest", &servers.backends).await?;
    let sent = webhooks::send_for(ingest.address, load).await?;
    bench
        .table
        .ratio("signed SMS webhooks, JetStream on file", sent.rate, baseline.rate, 0.3);
    bench
        .table
        .at_most("their p50 at 64 connections", webhooks::millis(sent.p50), "ms", 15.0);
    bench
        .table
        .at_most("their p99 at 64 connections", webhooks::millis(sent.p99), "ms", 15.0);

    let launched = Instant::now();
    let dispatcher = process::service(&bench.program, "dispatcher", &servers.backends).await?;
    let startup = launched.elapsed();
    wait_until_recorded(dispatcher.address, sent.count).await?;
    let rate = sent.count as f64 / (launched.elapsed() - startup).as_secs_f64();
    bench.table.at_least(
        "dispatcher, events written and offered to their agent",
        rate,
        "/s",
        2_000.0,
    );
    drop((gateway, dispatcher));
    Ok(())
}

/// Measures the delivery from the carrier's webhook to an agent that listens on a gateway.
pub async fn delivery(bench: &mut Bench) -> anyhow::Result<()> {
    let servers = Servers::start(&bench.program).await?;
    let gateway = process::gateway(&bench.program, &servers.backends).await?;
    let ingest = process::service(&bench.program, "webhook-ingest", &servers.backends).await?;
    let dispatcher = process::service(&bench.program, "dispatcher", &servers.backends).await?;
    let agent = Endpoint::agent(&gateway);

    webhooks::send_count(ingest.address, CONNECTIONS, QUEUED).await?;
    wait_until_recorded(dispatcher.address, QUEUED).await?;
    let opened = Instant::now();
    let mut listener = Listener::open(&agent).await?;
    let last = listener.read(QUEUED).await?;
    let duration = (last - opened).as_secs_f64();
    bench.table.at_most(
        "10,000 waiting messages to an agent that returns, in order",
        duration,
        "s",
        10.0,
    );

    let mut connection = Connection::open(ingest.address).await?;
    let mut times = Vec::new();
    for _ in 0..TIMED {
        let sent = Instant::now();
        webhooks::send_one(&mut connection, ingest.address).await?;
        let (_, at) = tokio::time::timeout(Duration::from_secs(10), listener.next()).await??;
        times.push(at - sent);
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

/// Runs all roles in one process under a steady load with a listener. Its memory must not grow.
pub async fn soak(bench: &mut Bench) -> anyhow::Result<()> {
    let server = process::embedded(&bench.program).await?;
    let agent = Endpoint::agent(&server);
    let (started, duration) = (Instant::now(), bench.options.soak);
    let address = server.process.address;
    let load = async {
        let mut connection = Connection::open(address).await?;
        while started.elapsed() < duration {
            webhooks::send_one(&mut connection, address).await?;
            agent.call_once("comms_ping", "{}").await?;
        }
        Ok::<_, anyhow::Error>(())
    };
    let listen = async {
        let mut listener = Listener::open(&agent).await?;
        while started.elapsed() < duration {
            if let Ok(event) = tokio::time::timeout(Duration::from_secs(1), listener.next()).await {
                event?;
            }
        }
        Ok::<_, anyhow::Error>(())
    };
    let sample = async {
        let mut sizes = Vec::new();
        while started.elapsed() < duration {
            tokio::time::sleep(SAMPLE_INTERVAL).await;
            sizes.push(server.process.memory()? as f64 / 1024.0 / 1024.0);
        }
        Ok::<_, anyhow::Error>(sizes)
    };
    let ((), (), sizes) = tokio::try_join!(load, listen, sample)?;
    let third = sizes.len() / 3;
    let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len().max(1) as f64;
    let (early, late) = (mean(&sizes[third..2 * third]), mean(&sizes[2 * third..]));
    bench.table.note("memory in the second third of the soak", early, "MiB");
    bench
        .table
        .at_most("growth from the second to the last third", late - early, "MiB", 5.0);
    Ok(())
}

/// Waits until the dispatcher has recorded `count` webhook events, by its metric.
async fn wait_until_recorded(dispatcher: SocketAddr, count: u64) -> anyhow::Result<()> {
    let mut connection = Connection::open(dispatcher).await?;
    let started = Instant::now();
    loop {
        let recorded = count_recorded(&mut connection, dispatcher).await?;
        if recorded >= count as f64 {
            return Ok(());
        }
        if started.elapsed() > Duration::from_secs(120) {
            bail!("only {recorded} of {count} webhook events were recorded");
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Returns how many webhook events a dispatcher has recorded, by its metric.
pub async fn count_recorded(connection: &mut Connection, dispatcher: SocketAddr) -> anyhow::Result<f64> {
    let request = format!("GET /metrics HTTP/1.1\r\nHost: {dispatcher}\r\n\r\n");
    let response = connection.exchange(request.as_bytes()).await?;
    let line = response
        .body
        .lines()
        .find_map(|line| line.strip_prefix("bd_inbound_notices_total "));
    Ok(line.context("no such metric")?.trim().parse()?)
}
