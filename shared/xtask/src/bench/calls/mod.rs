//! Calls: latency of a turn, latency of a cancelled request, memory of a call, and the effect of relay crashes and
//! replacements on callers. For latencies the bench acts as the carrier; for callers it uses the simulator of the
//! carriers, at the pace of real speech.

pub mod agent;
pub mod caller;
mod carrier;
mod interruptions;
pub mod load_balancer;
mod memory;
pub mod phone_simulator;
mod process_cluster;
mod relay_crash;
mod relay_replacement;
mod turns;

use super::Bench;

/// Measures conversations. Takes two minutes.
pub async fn conversations(bench: &mut Bench) -> anyhow::Result<()> {
    turns::distributed(bench).await?;
    turns::embedded(bench).await?;
    interruptions::measure(bench).await?;
    memory::measure(bench).await
}

/// Measures crashes and replacements of relays during calls. Takes four minutes.
pub async fn replacements(bench: &mut Bench) -> anyhow::Result<()> {
    relay_crash::measure(bench).await?;
    relay_replacement::measure(bench).await
}
