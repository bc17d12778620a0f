//! The gauges of the governance: open anomalies, and how far the audit log is behind. Every dispatcher measures the installation.

use std::time::Duration;

use butt_dial_domain::Failure;
use butt_dial_runtime::Platform;

const INTERVAL: Duration = Duration::from_secs(15);

/// Starts the measurements on the lifecycle.
pub fn start(platform: &Platform) {
    let measured = platform.clone();
    platform.lifecycle.spawn_periodic(INTERVAL, move || {
        let platform = measured.clone();
        async move {
            if let Err(failure) = measure(&platform).await {
                tracing::warn!(%failure, sweep = "governance gauges", "sweep failed");
            }
        }
    });
}

async fn measure(platform: &Platform) -> Result<(), Failure> {
    let gauges = &platform.telemetry.governance;
    gauges.set_sealer_lag(platform.product.audit.lag().await?);
    gauges.set_open_anomalies(&platform.product.anomalies.count_open().await?);
    Ok(())
}
