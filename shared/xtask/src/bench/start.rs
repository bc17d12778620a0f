//! The time from the start of the program to its first answer.

use std::{
    net::SocketAddr,
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use tokio::process::Command;

use super::{Bench, http_client::Connection, process};

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
