//! Our own share of a turn: from the caller's last word to the agent's program, and from its answer to the carrier. What the
//! agent thinks in between is not counted. The first turn of each call counts like any other.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use tokio::task::JoinSet;

use super::{
    super::{
        Bench,
        mcp::Endpoint,
        process,
        webhooks::{millis, percentile},
    },
    agent::{Agent, Taken, number},
    carrier::{Carrier, Line},
    fleet::Fleet,
};

const CALLS: usize = 100;
/// Of each call.
const TURNS: usize = 20;
/// From one turn of a call to the next; the calls' turns are spread evenly over it.
const EVERY: Duration = Duration::from_secs(2);
/// Between two pieces of what the caller says.
const WORD: Duration = Duration::from_millis(250);
/// How long an answer is spoken.
const SPEECH: Duration = Duration::from_millis(500);
/// Numbers of turns that one call has for itself.
const NUMBERS: usize = 1_000;

/// A turn as the carrier saw it.
struct Asked {
    number: usize,
    at: Instant,
    heard: Instant,
}

struct Shares {
    to_agent: Vec<Duration>,
    to_caller: Vec<Duration>,
    both: Vec<Duration>,
    /// Of the first turns.
    first: Vec<Duration>,
}

/// Each service a process of its own, and two relays.
pub async fn distributed(bench: &mut Bench) -> anyhow::Result<()> {
    let fleet = Fleet::start(bench.program.clone(), None).await?;
    let relays = [fleet.relay().await?, fleet.relay().await?];
    let shares = converse(&fleet.carrier(&relays), &fleet.agent()).await?;
    tell(bench, "distributed", &shares, (3.0, 20.0));
    Ok(())
}

/// Everything in one process, on SQLite.
pub async fn embedded(bench: &mut Bench) -> anyhow::Result<()> {
    let server = process::embedded(&bench.program).await?;
    let address = server.process.address;
    let shares = converse(&Carrier::new(address, vec![address]), &Endpoint::agent(&server)).await?;
    tell(bench, "embedded", &shares, (1.0, 20.0));
    Ok(())
}

fn tell(bench: &mut Bench, where_it_ran: &str, shares: &Shares, (p50, p99): (f64, f64)) {
    let table = &mut bench.table;
    let what = format!("our share of a turn, {CALLS} calls, {where_it_ran}");
    let at = |times: &[Duration], percent| millis(percentile(times, percent));
    table.at_most(&format!("{what}, p50"), at(&shares.both, 50), "ms", p50);
    table.at_most(&format!("{what}, p99"), at(&shares.both, 99), "ms", p99);
    table.at_most(
        &format!("{what}, the first turns' p99"),
        at(&shares.first, 99),
        "ms",
        p99,
    );
    let part = |name| format!("{where_it_ran}, {name}, p50");
    table.note(&part("prompt to agent"), at(&shares.to_agent, 50) * 1e3, "µs");
    table.note(&part("answer to caller"), at(&shares.to_caller, 50) * 1e3, "µs");
    let turns = format!("{where_it_ran}, turns that were answered, of {}", CALLS * TURNS);
    table.note(&turns, shares.both.len() as f64, "turns");
}

async fn converse(carrier: &Carrier, endpoint: &Endpoint) -> anyhow::Result<Shares> {
    let agent = Agent::open(endpoint, |asked| {
        format!("Order {} is on its way.", number(asked).unwrap_or_default())
    })
    .await?;
    let lines = carrier.connect(CALLS).await?;
    let begin = Instant::now() + EVERY;
    let mut talking = JoinSet::new();
    for (call, line) in lines.into_iter().enumerate() {
        let share = EVERY.mul_f64(call as f64 / CALLS as f64);
        talking.spawn(talk(line, call, begin + share));
    }
    let mut asked = Vec::new();
    while let Some(ended) = talking.join_next().await {
        asked.extend(ended??);
    }
    Ok(Shares::of(&asked, agent.finish()?))
}

async fn talk(mut line: Line, call: usize, begin: Instant) -> anyhow::Result<Vec<Asked>> {
    let mut turns = Vec::with_capacity(TURNS);
    for turn in 0..TURNS {
        let number = call * NUMBERS + turn;
        tokio::time::sleep_until((begin + EVERY * u32::try_from(turn)?).into()).await;
        let at = line.say(&format!("Where is order {number}, please?"), WORD).await?;
        let answer = format!("Order {number} is");
        let (text, heard) = loop {
            let (text, heard) = line.hear().await?;
            if text.starts_with(&answer) {
                break (text, heard);
            }
        };
        turns.push(Asked { number, at, heard });
        line.begin_to_speak().await?;
        tokio::time::sleep(SPEECH).await;
        line.has_spoken(&text).await?;
    }
    Ok(turns)
}

impl Shares {
    fn of(asked: &[Asked], taken: Vec<Taken>) -> Self {
        let taken: HashMap<usize, Taken> = taken
            .into_iter()
            .filter_map(|turn| Some((number(&turn.text)?, turn)))
            .collect();
        let turns = asked.iter().filter_map(|turn| Some((turn, taken.get(&turn.number)?)));
        let times: Vec<_> = turns
            .map(|(asked, taken)| (asked.number, taken.at - asked.at, asked.heard - taken.answered))
            .collect();
        let first = times.iter().filter(|(number, ..)| number % NUMBERS == 0);
        Self {
            to_agent: sorted(times.iter().map(|(_, to_agent, _)| *to_agent)),
            to_caller: sorted(times.iter().map(|(.., to_caller)| *to_caller)),
            both: sorted(times.iter().map(|(_, there, back)| *there + *back)),
            first: sorted(first.map(|(_, there, back)| *there + *back)),
        }
    }
}

fn sorted(times: impl Iterator<Item = Duration>) -> Vec<Duration> {
    let mut times: Vec<_> = times.collect();
    times.sort_unstable();
    times
}
