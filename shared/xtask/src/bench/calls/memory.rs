//! Memory of a call in its relay: many calls after their greeting, with an agent that waits for each, and silence.

use super::{super::Bench, agent::Agent, process_cluster::ProcessCluster};

const CALLS: usize = 1_000;
/// The first calls allocate what all calls share.
const WARM: usize = 50;

pub async fn measure(bench: &mut Bench) -> anyhow::Result<()> {
    let cluster = ProcessCluster::start(bench.program.clone(), None).await?;
    let relay = cluster.start_relay().await?;
    let carrier = cluster.carrier(std::slice::from_ref(&relay));
    let agent = Agent::open(&cluster.agent(), |_| String::new()).await?;
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
