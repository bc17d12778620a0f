//! What a call weighs in its relay: many that have been greeted, with an agent that waits for each of them, and nobody
//! speaking.

use super::{super::Bench, agent::Agent, fleet::Fleet};

const CALLS: usize = 1_000;
/// The first calls pay for what all of them share.
const WARM: usize = 50;

pub async fn measure(bench: &mut Bench) -> anyhow::Result<()> {
    let fleet = Fleet::start(bench.program.clone(), None).await?;
    let relay = fleet.relay().await?;
    let carrier = fleet.carrier(std::slice::from_ref(&relay));
    let agent = Agent::open(&fleet.agent(), |_| String::new()).await?;
    let warm = carrier.connect(WARM).await?;
    let before = relay.memory()?;
    let open = carrier.connect(CALLS).await?;
    let after = relay.memory()?;
    agent.finish()?;
    let each = after.saturating_sub(before) as f64 / CALLS as f64 / 1024.0;
    let what = format!("memory of a call in its relay, {} open", warm.len() + open.len());
    bench.table.at_most(&what, each, "KiB", 100.0);
    bench
        .table
        .note("memory of that relay", after as f64 / 1024.0 / 1024.0, "MiB");
    Ok(())
}
