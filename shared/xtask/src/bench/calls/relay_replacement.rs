//! Relays that are replaced one after the other (SIGTERM and a new process) during calls: counts the dropped calls.

use std::time::{Duration, Instant};

use super::{
    super::Bench,
    agent::Agent,
    caller::{self, CallResult, Callers},
    load_balancer::LoadBalancer,
    phone_simulator::PhoneSimulator,
    process_cluster::ProcessCluster,
};

const CALLS: usize = 50;
const RELAYS: usize = 2;
/// A caller without a reply gives up after so many questions.
const MAX_ATTEMPTS: usize = 3;

pub async fn measure(bench: &mut Bench) -> anyhow::Result<()> {
    let balancer = LoadBalancer::start().await?;
    let cluster = ProcessCluster::start(bench.program.clone(), Some(&balancer.base_url)).await?;
    balancer.set_others(vec![cluster.ingest.address]);
    let address = cluster.servers.backends.simulator.address;
    PhoneSimulator::open(address)
        .await?
        .set_callback_url(&balancer.base_url)
        .await?;
    let agent = Agent::open(&cluster.agent(), caller::answer).await?;
    let mut relays = Vec::new();
    for _ in 0..RELAYS {
        relays.push(cluster.start_relay().await?);
    }
    balancer.set_relays(relays.iter().map(|relay| relay.address).collect());

    let callers = Callers::start(address, CALLS, MAX_ATTEMPTS).await?;
    let mut slowest = Duration::ZERO;
    for _ in 0..RELAYS {
        let retiring = relays.remove(0);
        balancer.set_relays(relays.iter().map(|relay| relay.address).collect());
        let terminated = Instant::now();
        retiring.terminate().await?;
        relays.push(cluster.start_relay().await?);
        balancer.set_relays(relays.iter().map(|relay| relay.address).collect());
        retiring.wait().await?;
        slowest = slowest.max(terminated.elapsed());
    }
    let calls = callers.finish().await?;
    agent.finish()?;
    add_rows(bench, &calls, slowest);
    Ok(())
}

fn add_rows(bench: &mut Bench, calls: &[CallResult], slowest: Duration) {
    let table = &mut bench.table;
    let sum = |of: fn(&CallResult) -> usize| calls.iter().map(of).sum::<usize>() as f64;
    let what = format!(
        "still in conversation after both relays were replaced, of {}",
        calls.len()
    );
    let connected = sum(|call| usize::from(call.is_connected));
    table.at_least(&what, connected, "calls", calls.len() as f64);
    table.note(
        "questions that they asked meanwhile",
        sum(|call| call.questions),
        "questions",
    );
    table.note("of these asked again", sum(|call| call.repeated_questions), "questions");
    table.note("sockets that they had", sum(|call| call.sessions), "sockets");
    table.note(
        "SIGTERM to the end of the relay, the slower",
        slowest.as_secs_f64() * 1e3,
        "ms",
    );
}
