//! A relay that is killed in the middle of a sentence: the duration of the silence, lost words and repeated words. Runs at
//! the pace of real speech, on the records of the simulator of the carriers.

use std::time::{Duration, Instant};

use anyhow::ensure;
use serde_json::json;

use super::{
    super::{Bench, process::Process},
    agent::Agent,
    load_balancer::LoadBalancer,
    phone_simulator::{CallRecord, PhoneCall, PhoneSimulator},
    process_cluster::ProcessCluster,
};

const CALLS: usize = 100;
/// Calls per killed relay.
const CALLS_PER_RELAY: usize = 10;
/// The speech of the agent. Each word is unique, so that it can be recognized.
const SPEECH: &str = "Anna brings fresh apples. Boris carries heavy boxes. Clara draws green dragons. David eats warm dumplings. \
    Elena finds golden feathers. Felix guards hidden harbours. Gina hears distant hymns. Hugo invites jolly jugglers.";
const WORDS_PER_SENTENCE: usize = 4;
/// Between the starts of two calls, so that they are not at the same word.
const START_INTERVAL: Duration = Duration::from_millis(137);
/// Between two reads of the records.
const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// For a state of all calls: longer than the whole speech takes.
const STATE_TIMEOUT: Duration = Duration::from_secs(30);
/// A word that ends up to this time after the kill was sent before it. A word that ended up to this time before the kill may
/// not be recorded by the relay: the carrier reports a sentence after its playback.
const IN_FLIGHT_MS: u64 = 50;

/// The words that a caller heard before and after the kill, by their position in the speech.
struct Outcome {
    before: Vec<usize>,
    /// The number of words that the relay can have recorded as heard.
    recorded: usize,
    after: Vec<usize>,
    /// Milliseconds from the kill to the end of the first word after it.
    silence: Option<u64>,
    /// The same up to the first word that is new to the caller.
    until_new: Option<u64>,
}

pub async fn measure(bench: &mut Bench) -> anyhow::Result<()> {
    let balancer = LoadBalancer::start().await?;
    let cluster = ProcessCluster::start(bench.program.clone(), Some(&balancer.base_url)).await?;
    balancer.set_others(vec![cluster.ingest.address]);
    let mut phones = PhoneSimulator::open(cluster.servers.backends.simulator.address).await?;
    phones.set_callback_url(&balancer.base_url).await?;
    let agent = Agent::open(&cluster.agent(), |_| SPEECH.to_owned()).await?;
    let mut relay = cluster.start_relay().await?;
    let mut outcomes = Vec::new();
    for round in 0..CALLS / CALLS_PER_RELAY {
        let successor = cluster.start_relay().await?;
        balancer.set_relays(vec![relay.address]);
        let calls = start_calls(&mut phones, round).await?;
        // Kills at another word in each round.
        wait_until(&mut phones, &calls, |record| words(record).len() > 1 + round % 8).await?;
        let killed_at = kill(relay, &balancer, &successor).await?;
        let last = SPEECH.split_whitespace().count() - 1;
        // After a time-out the incomplete calls count as failed.
        wait_until(&mut phones, &calls, |record| {
            record.is_over || words(record).contains(&last)
        })
        .await
        .ok();
        for call in &calls {
            outcomes.push(Outcome::of(&phones.record(call).await?, call.clock_ms(killed_at)));
            phones.run_step(call, &json!({ "do": "hang_up" })).await?;
        }
        relay = successor;
    }
    agent.finish()?;
    add_rows(bench, &outcomes);
    Ok(())
}

/// Starts the calls. Each caller interrupts the greeting to request the speech.
async fn start_calls(phones: &mut PhoneSimulator, round: usize) -> anyhow::Result<Vec<PhoneCall>> {
    let mut calls = Vec::new();
    for call in 0..CALLS_PER_RELAY {
        let from = format!("+1415555{:04}", round * CALLS_PER_RELAY + call);
        let steps = json!([{ "do": "barge_in", "after_ms": 600, "text": "Read it to me." }]);
        calls.push(phones.dial(&from, &steps).await?);
        tokio::time::sleep(START_INTERVAL).await;
    }
    Ok(calls)
}

/// Kills a relay and sends new connections to its successor. Returns the time of the kill.
async fn kill(relay: Process, balancer: &LoadBalancer, successor: &Process) -> anyhow::Result<Instant> {
    let killed_at = Instant::now();
    relay.kill().await?;
    balancer.set_relays(vec![successor.address]);
    Ok(killed_at)
}

async fn wait_until(
    phones: &mut PhoneSimulator,
    calls: &[PhoneCall],
    condition: impl Fn(&CallRecord) -> bool,
) -> anyhow::Result<()> {
    let started = Instant::now();
    loop {
        let mut all = true;
        for call in calls {
            all &= condition(&phones.record(call).await?);
        }
        if all {
            return Ok(());
        }
        ensure!(
            started.elapsed() < STATE_TIMEOUT,
            "a caller does not hear the speech of the agent"
        );
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

fn words(record: &CallRecord) -> Vec<usize> {
    positions(record).map(|(_, position)| position).collect()
}

/// Returns the words of the speech that were heard: time and position.
fn positions(record: &CallRecord) -> impl Iterator<Item = (u64, usize)> {
    let position = |word: &str| SPEECH.split_whitespace().position(|spoken| spoken == word);
    record
        .heard
        .iter()
        .filter_map(move |heard| Some((heard.at_ms, position(&heard.word)?)))
}

impl Outcome {
    fn of(record: &CallRecord, killed_ms: u64) -> Self {
        let (before, after): (Vec<_>, Vec<_>) = positions(record).partition(|(at, _)| *at <= killed_ms + IN_FLIGHT_MS);
        let heard = before.len();
        let from_kill = |(at, _): &(u64, usize)| at - killed_ms;
        Self {
            silence: after.first().map(from_kill),
            until_new: after.iter().find(|(_, position)| *position >= heard).map(from_kill),
            recorded: before.iter().filter(|(at, _)| at + IN_FLIGHT_MS <= killed_ms).count(),
            before: before.into_iter().map(|(_, position)| position).collect(),
            after: after.into_iter().map(|(_, position)| position).collect(),
        }
    }

    /// Whether every word was heard in order, and only words of the interrupted sentence were repeated.
    fn is_complete(&self) -> bool {
        let (heard, all) = (self.before.len(), SPEECH.split_whitespace().count());
        let sentence_start = self.recorded / WORDS_PER_SENTENCE * WORDS_PER_SENTENCE;
        let from = self.after.first().copied().unwrap_or(all);
        self.before.iter().copied().eq(0..heard)
            && self.after.iter().copied().eq(from..all)
            && (sentence_start..=heard).contains(&from)
    }

    fn repeated_words(&self) -> usize {
        let from = self.after.first().copied().unwrap_or_default();
        self.before.len().saturating_sub(from)
    }
}

fn add_rows(bench: &mut Bench, outcomes: &[Outcome]) {
    let table = &mut bench.table;
    let sorted = |of: fn(&Outcome) -> Option<u64>| {
        let mut times: Vec<_> = outcomes.iter().filter_map(of).collect();
        times.sort_unstable();
        times
    };
    let (silence, until_new) = (sorted(|outcome| outcome.silence), sorted(|outcome| outcome.until_new));
    let p50 = |times: &[u64]| times.get(times.len() / 2).copied().unwrap_or_default() as f64;
    let worst = |times: &[u64]| times.last().copied().unwrap_or(u64::MAX) as f64;
    let what = "kill -9 of a relay to the next word of its sentence";
    table.at_most(
        &format!("{what}, worst of {}", silence.len()),
        worst(&silence),
        "ms",
        2_500.0,
    );
    table.note(&format!("{what}, p50"), p50(&silence), "ms");
    let what = "the same to a word that had not been heard";
    table.note(&format!("{what}, p50"), p50(&until_new), "ms");
    table.note(&format!("{what}, worst"), worst(&until_new), "ms");
    let complete = outcomes.iter().filter(|outcome| outcome.is_complete()).count();
    let what = format!(
        "no word lost, none twice but of the sentence that was cut, of {}",
        outcomes.len()
    );
    table.at_least(&what, complete as f64, "calls", outcomes.len() as f64);
    let repeated: Vec<_> = outcomes.iter().map(Outcome::repeated_words).collect();
    let mean = repeated.iter().sum::<usize>() as f64 / repeated.len().max(1) as f64;
    table.note(
        "words of that sentence said again, worst",
        repeated.iter().copied().max().unwrap_or_default() as f64,
        "words",
    );
    table.note("words of that sentence said again, mean", mean, "words");
}
