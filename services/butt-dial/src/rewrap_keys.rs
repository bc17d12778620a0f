//! `rewrap-keys`: encrypts stored contents with the newest key, so that former keys can be removed.

use std::time::{Duration, Instant};

use butt_dial_domain::Clock;
use butt_dial_messaging::{Rewrap, RewrapProgress};
use butt_dial_runtime::{Config, Lifecycle, Platform, platform::StartError};

/// Between two lines about the same kind of content.
const LINE_INTERVAL: Duration = Duration::from_secs(2);

pub async fn run(config: Config) -> Result<bool, StartError> {
    let platform = Platform::assemble(config, Lifecycle::new(), 0).await?;
    let backends = platform.backends();
    let rewrap = Rewrap {
        store: &backends.store,
        vault: &backends.vault,
        blobs: platform.product.blobs.as_ref(),
        clock: &Clock::System,
    };
    let mut printed_at = Instant::now();
    let total = rewrap.run(|progress| {
        if progress.is_finished || printed_at.elapsed() >= LINE_INTERVAL {
            printed_at = Instant::now();
            println!("{}", line(progress));
        }
    });
    let total = total.await?;
    backends.store.close().await;
    println!("{}", line(&total));
    println!(
        "The database belongs to the newest key now. Contents in the streams of the bus and in live calls still have former keys: \
         remove these from CREDENTIALS_ENCRYPTION_KEYS after a week, when another run has changed nothing"
    );
    Ok(total.unreadable == 0)
}

fn line(progress: &RewrapProgress) -> String {
    let RewrapProgress {
        kind,
        checked,
        changed,
        unreadable,
        is_finished,
    } = progress;
    let state = if *is_finished { "done" } else { "working" };
    format!("{kind:<16} {state:<8} {checked} checked, {changed} encrypted again, {unreadable} unreadable")
}
