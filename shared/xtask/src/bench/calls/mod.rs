//! Telephone calls: how long a turn takes us, how fast a question is withdrawn, what a call weighs, and what callers notice
//! when relays die or are replaced. The carrier is played by the bench where time is measured in microseconds, and by the
//! carriers' simulator at the pace of real speech where callers are listened to.

mod agent;
mod carrier;
mod fleet;
mod front;
mod interruptions;
mod killed;
mod memory;
mod phones;
mod retired;
mod turns;

use super::Bench;

/// What a conversation takes: two minutes.
pub async fn conversations(bench: &mut Bench) -> anyhow::Result<()> {
    turns::distributed(bench).await?;
    turns::embedded(bench).await?;
    interruptions::measure(bench).await?;
    memory::measure(bench).await
}

/// Relays that die, and relays that are replaced, under people who talk as fast as people do: four minutes.
pub async fn replacements(bench: &mut Bench) -> anyhow::Result<()> {
    killed::measure(bench).await?;
    retired::measure(bench).await
}
