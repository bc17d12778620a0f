//! `cargo xtask disturb`: sends, webhooks and calls at a steady rate on real Postgres, NATS and Redis, while replicas are killed or
//! replaced, or servers stopped. Clients and carriers repeat what was not answered. At the end, the counts at the carrier and in
//! the agent's log must equal what was acknowledged.

mod calls;
mod counts;
mod disturbance;
mod load;
mod replicas;

use std::{path::PathBuf, process::ExitCode};

use anyhow::ensure;
use tempfile::NamedTempFile;

use super::servers::Servers;
use disturbance::Disturbance;
use load::Traffic;
use replicas::Replicas;

/// The detectors of the product. Here they only alert: all load comes from one agent, which they would slow.
const DETECTORS: &str = include_str!("../../../../../deploy/anomalies.toml");

#[derive(clap::Args)]
pub struct Options {
    /// The program. Default: the build beside this one.
    #[arg(long)]
    program: Option<PathBuf>,
    /// Sends a second, and webhooks a second.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..))]
    rate: u64,
    /// Number of calls that last as long as the load.
    #[arg(long, default_value_t = 20)]
    calls: usize,
    /// The events meanwhile.
    #[arg(long, value_enum, default_value_t = Disturbance::Kills)]
    by: Disturbance,
    /// Seconds between two kills, and before and after each replacement or outage.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    every: u64,
    /// Duration of the kills, in seconds. Replacements and outages end after the last one.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Duration of each outage, in seconds.
    #[arg(long, default_value_t = 30)]
    outage: u64,
}

pub async fn run(options: Options) -> anyhow::Result<ExitCode> {
    let program = match &options.program {
        Some(program) => program.clone(),
        None => std::env::current_exe()?.with_file_name("butt-dial"),
    };
    let detectors = NamedTempFile::new()?;
    std::fs::write(detectors.path(), DETECTORS.replace("\"throttle\"", "\"alert\""))?;
    let mut servers = Servers::start(&program).await?;
    servers.backends.settings = vec![
        // Delays of the reconciler, so that the end does not take minutes.
        ("RECONCILE_AFTER_SECONDS".into(), "1,5,30".into()),
        ("ANOMALIES_FILE".into(), detectors.path().display().to_string()),
    ];
    let mut replicas = Replicas::start(program, &mut servers.backends).await?;
    let traffic = Traffic::new(options.rate, replicas.addresses());
    let calls = calls::start(&replicas, &servers.backends, options.calls).await?;
    let disturb = async {
        let disturbed = disturbance::run(&options, &mut servers, &mut replicas, &traffic).await;
        traffic.stop();
        disturbed
    };
    // The program ends with the first error of either.
    tokio::try_join!(traffic.run(), disturb)?;
    let spoken = calls.finish().await?;
    println!("{traffic}");
    println!("{spoken}");
    ensure!(spoken.is_unbroken(), "a call was lost");
    let counts = counts::wait_for_end(&servers, &traffic).await?;
    println!("{counts:#?}");
    let is_good = counts.are_equal(&traffic);
    println!(
        "{}",
        if is_good {
            "all counts are equal"
        } else {
            "counts differ"
        }
    );
    ensure!(is_good, "something was lost or sent twice");
    Ok(ExitCode::SUCCESS)
}
