//! `audit`: verifies the audit logs.

use std::time::{Duration, Instant};

use butt_dial_runtime::{Config, Lifecycle, Platform, platform::StartError};

/// Between two lines about the same log.
const LINE_INTERVAL: Duration = Duration::from_secs(2);

#[derive(clap::Subcommand)]
pub enum Command {
    /// Compute the audit logs again from their rows, and name the first row of each that is not what was sealed.
    Verify {
        /// Only the log of this organization, or `installation`.
        #[arg(long)]
        org: Option<String>,
    },
}

/// Returns false if a log is broken.
pub async fn run(config: Config, command: Command) -> Result<bool, StartError> {
    let Command::Verify { org } = command;
    let platform = Platform::assemble(config, Lifecycle::new(), 0).await?;
    let audit = &platform.product.audit;
    let logs = match org {
        Some(org) => vec![org],
        None => audit.logs().await?,
    };
    let mut is_whole = true;
    for log in &logs {
        let (started, mut printed_at) = (Instant::now(), Instant::now());
        let verified = audit.verify(log, |entries| {
            if printed_at.elapsed() >= LINE_INTERVAL {
                printed_at = Instant::now();
                println!("{log}  verifying: {entries} entries");
            }
        });
        let verified = verified.await?;
        let seconds = started.elapsed().as_secs_f64();
        println!(
            "{log}  {} of {} entries in {seconds:.1} s, {} expired, signed up to {}",
            verified.verified, verified.size, verified.expired, verified.signed_size
        );
        if let Some(broken) = verified.broken {
            is_whole = false;
            let id = broken.id.as_deref().unwrap_or("without id");
            println!("{log}  BROKEN at entry {} ({id}): {}", broken.seq, broken.reason);
        }
    }
    platform.backends().store.close().await;
    println!(
        "{} logs verified: {}",
        logs.len(),
        if is_whole { "all are whole" } else { "not all are whole" }
    );
    Ok(is_whole)
}
