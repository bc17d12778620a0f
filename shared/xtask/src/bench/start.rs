//! The time from the start of the program to its first answer, and that of the first send of a replica.

use std::{
    net::SocketAddr,
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use tokio::process::Command;

use super::{
    Bench,
    http_client::Connection,
    mcp_client::{self, Endpoint},
    process,
    servers::Servers,
};

pub async fn cold(bench: &mut Bench) -> anyhow::Result<()> {
    let mut times = Vec::new();
    for _ in 0..5 {
        times.push(
            time_to_health(&bench.program)
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

/// Measures the first send of a gateway that has just become ready, on the servers that replicas share.
pub async fn first_send(bench: &mut Bench) -> anyhow::Result<()> {
    let servers = Servers::start(&bench.program).await?;
    let first = process::gateway_with(&bench.program, &servers.backends, async |_| Ok(())).await?;
    let (mut firsts, mut seconds) = (Vec::new(), Vec::new());
    for _ in 0..5 {
        let replica = process::service(&bench.program, "gateway", &servers.backends).await?;
        let agent = Endpoint::replica(replica.address, &first);
        wait_until_ready(replica.address).await?;
        for times in [&mut firsts, &mut seconds] {
            // A new connection each time, as of another client.
            let mut connection = Connection::open(replica.address).await?;
            let request = agent.post("/api/v1/send-message", "", &mcp_client::sms(mcp_client::next()));
            let started = Instant::now();
            let response = connection.exchange(&request).await?;
            times.push(started.elapsed().as_secs_f64() * 1e3);
            ensure!(response.status == 200, "{}", response.body);
        }
        replica.kill().await?;
    }
    for times in [&mut firsts, &mut seconds] {
        times.sort_by(f64::total_cmp);
    }
    let name = "first send of a replica that is ready, Postgres, Redis, NATS";
    bench
        .table
        .at_most(&format!("{name} (median of 5)"), firsts[2], "ms", 100.0);
    bench
        .table
        .at_most("the same, the slowest of 5", firsts[4], "ms", 100.0);
    bench.table.note("its second send (median of 5)", seconds[2], "ms");
    Ok(())
}

async fn wait_until_ready(address: SocketAddr) -> anyhow::Result<()> {
    let started = Instant::now();
    let request = format!("GET /health/ready HTTP/1.1\r\nHost: {address}\r\n\r\n");
    while started.elapsed() < Duration::from_secs(10) {
        let mut connection = Connection::open(address).await?;
        if connection.exchange(request.as_bytes()).await?.status == 200 {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    bail!("not ready within 10 s")
}

/// Measures the time from the start of the process, with a new database, to the first 200 of `/health`.
async fn time_to_health(program: &Path) -> anyhow::Result<Duration> {
    let directory = tempfile::tempdir()?;
    let port = process::free_port()?;
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let started = Instant::now();
    let _child = Command::new(program)
        .arg("serve")
        .env("DATA_DIR", directory.path())
        .env("PORT", port.to_string())
        .env("SIMULATOR_PORT", "0")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    let request = format!("GET /health HTTP/1.1\r\nHost: {address}\r\n\r\n");
    loop {
        if let Ok(mut connection) = Connection::open(address).await
            && connection
                .exchange(request.as_bytes())
                .await
                .is_ok_and(|response| response.status == 200)
        {
            return Ok(started.elapsed());
        }
        if started.elapsed() > Duration::from_secs(10) {
            bail!("no response within 10 s");
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
