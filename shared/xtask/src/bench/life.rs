//! The whole life of a message: the send, the two receipts of the carrier, and the events to an agent that listens. Measures the CPU of
//! all our processes together.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{bail, ensure};

use super::{
    Bench,
    http_client::Connection,
    listener::Listener,
    load::Load,
    mcp_client::{self, Endpoint},
    process::{self, Process, Server},
    servers::Servers,
};

const CALLERS: usize = 64;
/// After the last send, for the receipts and events that are on their way.
const TIMEOUT: Duration = Duration::from_secs(60);

pub async fn run(bench: &mut Bench) -> anyhow::Result<()> {
    for (name, program) in bench.programs() {
        embedded(bench, name, &program).await?;
        servers(bench, name, &program).await?;
    }
    Ok(())
}

async fn embedded(bench: &mut Bench, name: &str, program: &Path) -> anyhow::Result<()> {
    let server = process::embedded_with_receipts(program).await?;
    let cpu = measure(bench, &server, &[&server.process]).await?;
    let name = format!("life of a message, embedded, callers: {CALLERS}{name}");
    bench.table.at_most(&name, cpu, "ms of CPU", 0.25);
    Ok(())
}

async fn servers(bench: &mut Bench, name: &str, program: &Path) -> anyhow::Result<()> {
    let mut servers = Servers::start(program).await?;
    let port = process::free_port()?;
    servers.backends.public_url = format!("http://127.0.0.1:{port}");
    let gateway = process::gateway(program, &servers.backends).await?;
    let ingest = process::service_on(program, "webhook-ingest", &servers.backends, port).await?;
    let dispatcher = process::service(program, "dispatcher", &servers.backends).await?;
    let cpu = measure(bench, &gateway, &[&gateway.process, &ingest, &dispatcher]).await?;
    let name = format!("life of a message, servers, callers: {CALLERS}{name}");
    bench.table.value(&name, cpu, "ms of CPU");
    Ok(())
}

/// Sends for the duration of the load, waits for the last event, and returns the CPU of the processes for one message, in milliseconds.
async fn measure(bench: &Bench, server: &Server, processes: &[&Process]) -> anyhow::Result<f64> {
    let agent = &Endpoint::agent(server);
    let mut listener = Listener::open(agent).await?;
    let cpu = || {
        processes
            .iter()
            .map(|process| process.cpu())
            .sum::<anyhow::Result<Duration>>()
    };
    let before = cpu()?;
    let load = Load {
        connections: CALLERS,
        ..bench.load()
    };
    let end = Instant::now() + load.duration;
    let callers = (0..load.connections).map(|_| async move {
        let mut connection = Connection::open(agent.address).await?;
        let mut sent = 0u64;
        while Instant::now() < end {
            let request = agent.post("/api/v1/send-message", "", &mcp_client::sms(mcp_client::next()));
            let response = connection.exchange(&request).await?;
            ensure!(response.status == 200, "send: {} {}", response.status, response.body);
            sent += 1;
        }
        anyhow::Ok(sent)
    });
    let (total, delivered) = (std::cell::Cell::new(None), std::cell::Cell::new(0u64));
    let send = async {
        let counts = futures::future::try_join_all(callers).await?;
        total.set(Some(counts.iter().sum::<u64>()));
        anyhow::Ok(())
    };
    let listen = async {
        while total.get().is_none_or(|total| delivered.get() < total) {
            if Instant::now() > end + TIMEOUT {
                bail!("only {} of {:?} deliveries were told", delivered.get(), total.get());
            }
            if let Ok(event) = tokio::time::timeout(Duration::from_secs(1), listener.next()).await
                && event?.0["status"] == "delivered"
            {
                delivered.set(delivered.get() + 1);
            }
        }
        anyhow::Ok(())
    };
    tokio::try_join!(send, listen)?;
    let spent = cpu()?.saturating_sub(before);
    Ok(spent.as_secs_f64() * 1e3 / delivered.get().max(1) as f64)
}
