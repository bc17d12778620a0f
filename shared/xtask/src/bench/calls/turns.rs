//! The latency that the server adds to a turn: from the caller's last word to the agent, and from the agent's reply to the
//! carrier. The time of the agent is not included; the first turn of each call is.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use tokio::task::JoinSet;

use super::{
    super::{
        Bench,
        mcp_client::Endpoint,
        process,
        webhooks::{millis, percentile},
    },
    agent::{Agent, AgentTurn, find_number},
    carrier::{Carrier, CarrierCall},
    process_cluster::ProcessCluster,
};

const CALLS: usize = 100;
/// Per call.
const TURNS: usize = 20;
/// Between two turns of a call. The turns of all calls are spread evenly over it.
const TURN_INTERVAL: Duration = Duration::from_secs(2);
/// Between two words of the caller.
const WORD_INTERVAL: Duration = Duration::from_millis(250);
/// The duration of the playback of a reply.
const PLAYBACK: Duration = Duration::from_millis(500);
/// The range of turn numbers per call.
const NUMBERS_PER_CALL: usize = 1_000;

/// A turn as the carrier saw it.
struct CarrierTurn {
    number: usize,
    prompted: Instant,
    replied: Instant,
}

/// The latencies of all turns, sorted.
struct Latencies {
    to_agent: Vec<Duration>,
    to_caller: Vec<Duration>,
    total: Vec<Duration>,
    /// The totals of the first turns of the calls.
    first: Vec<Duration>,
}

/// Runs one process per service, and two relays.
pub async fn distributed(bench: &mut Bench) -> anyhow::Result<()> {
    let cluster = ProcessCluster::start(bench.program.clone(), None).await?;
    let relays = [cluster.start_relay().await?, cluster.start_relay().await?];
    let latencies = converse(&cluster.carrier(&relays), &cluster.agent()).await?;
    add_rows(bench, "distributed", &latencies, (3.0, 20.0));
    Ok(())
}

/// Runs all roles in one process, on SQLite.
pub async fn embedded(bench: &mut Bench) -> anyhow::Result<()> {
    let server = process::embedded(&bench.program).await?;
    let address = server.process.address;
    let latencies = converse(&Carrier::new(address, vec![address]), &Endpoint::agent(&server)).await?;
    add_rows(bench, "embedded", &latencies, (1.0, 20.0));
    Ok(())
}

fn add_rows(bench: &mut Bench, deployment: &str, latencies: &Latencies, (p50, p99): (f64, f64)) {
    let table = &mut bench.table;
    let what = format!("our share of a turn, {CALLS} calls, {deployment}");
    let at = |times: &[Duration], percent| millis(percentile(times, percent));
    table.at_most(&format!("{what}, p50"), at(&latencies.total, 50), "ms", p50);
    table.at_most(&format!("{what}, p99"), at(&latencies.total, 99), "ms", p99);
    table.at_most(
        &format!("{what}, the first turns' p99"),
        at(&latencies.first, 99),
        "ms",
        p99,
    );
    let part = |name| format!("{deployment}, {name}, p50");
    table.note(&part("prompt to agent"), at(&latencies.to_agent, 50) * 1e3, "µs");
    table.note(&part("answer to caller"), at(&latencies.to_caller, 50) * 1e3, "µs");
    let turns = format!("{deployment}, turns that were answered, of {}", CALLS * TURNS);
    table.note(&turns, latencies.total.len() as f64, "turns");
}

async fn converse(carrier: &Carrier, endpoint: &Endpoint) -> anyhow::Result<Latencies> {
    let agent = Agent::open(endpoint, |prompt| {
        format!("Order {} is on its way.", find_number(prompt).unwrap_or_default())
    })
    .await?;
    let calls = carrier.connect(CALLS).await?;
    let start = Instant::now() + TURN_INTERVAL;
    let mut conversations = JoinSet::new();
    for (number, call) in calls.into_iter().enumerate() {
        let offset = TURN_INTERVAL.mul_f64(number as f64 / CALLS as f64);
        conversations.spawn(converse_on(call, number, start + offset));
    }
    let mut turns = Vec::new();
    while let Some(result) = conversations.join_next().await {
        turns.extend(result??);
    }
    Ok(Latencies::of(&turns, agent.finish()?))
}

/// Speaks `TURNS` turns on call number `call_number` and waits for each reply.
async fn converse_on(mut call: CarrierCall, call_number: usize, start: Instant) -> anyhow::Result<Vec<CarrierTurn>> {
    let mut turns = Vec::with_capacity(TURNS);
    for turn in 0..TURNS {
        let number = call_number * NUMBERS_PER_CALL + turn;
        tokio::time::sleep_until((start + TURN_INTERVAL * u32::try_from(turn)?).into()).await;
        let prompted = call
            .speak(&format!("Where is order {number}, please?"), WORD_INTERVAL)
            .await?;
        let expected = format!("Order {number} is");
        let (text, replied) = loop {
            let (text, received) = call.next_text().await?;
            if text.starts_with(&expected) {
                break (text, received);
            }
        };
        turns.push(CarrierTurn {
            number,
            prompted,
            replied,
        });
        call.playback_started().await?;
        tokio::time::sleep(PLAYBACK).await;
        call.playback_finished(&text).await?;
    }
    Ok(turns)
}

impl Latencies {
    fn of(carrier_turns: &[CarrierTurn], agent_turns: Vec<AgentTurn>) -> Self {
        let agent_turns: HashMap<usize, AgentTurn> = agent_turns
            .into_iter()
            .filter_map(|turn| Some((find_number(&turn.text)?, turn)))
            .collect();
        let turns = carrier_turns
            .iter()
            .filter_map(|turn| Some((turn, agent_turns.get(&turn.number)?)));
        let times: Vec<_> = turns
            .map(|(carrier, agent)| {
                let to_agent = agent.received - carrier.prompted;
                (carrier.number, to_agent, carrier.replied - agent.replied)
            })
            .collect();
        let first = times.iter().filter(|(number, ..)| number % NUMBERS_PER_CALL == 0);
        Self {
            to_agent: sorted(times.iter().map(|(_, to_agent, _)| *to_agent)),
            to_caller: sorted(times.iter().map(|(.., to_caller)| *to_caller)),
            total: sorted(times.iter().map(|(_, to_agent, to_caller)| *to_agent + *to_caller)),
            first: sorted(first.map(|(_, to_agent, to_caller)| *to_agent + *to_caller)),
        }
    }
}

fn sorted(times: impl Iterator<Item = Duration>) -> Vec<Duration> {
    let mut times: Vec<_> = times.collect();
    times.sort_unstable();
    times
}
