//! A relay that is killed in the middle of a sentence: how long the caller hears nothing, and whether they hear every word,
//! and none twice. At the pace of real speech, by what the carriers' simulator writes down.

use std::time::{Duration, Instant};

use anyhow::ensure;
use serde_json::json;

use super::{
    super::{Bench, process::Process},
    agent::Agent,
    fleet::Fleet,
    front::Front,
    phones::{Phone, Phones, Record},
};

const CALLS: usize = 100;
/// On a relay that is killed.
const AT_A_TIME: usize = 10;
/// What the agent says: no word comes twice, so that each is known again.
const PLAN: &str = "Anna brings fresh apples. Boris carries heavy boxes. Clara draws green dragons. David eats warm dumplings. \
    Elena finds golden feathers. Felix guards hidden harbours. Gina hears distant hymns. Hugo invites jolly jugglers.";
const WORDS_OF_A_SENTENCE: usize = 4;
/// From one call's beginning to the next: they are not all at the same word.
const APART: Duration = Duration::from_millis(137);
const LOOK: Duration = Duration::from_millis(100);
/// Whatever is waited for at a call: longer than all of it is spoken.
const PATIENCE: Duration = Duration::from_secs(30);
/// A word that ends within it after the kill was on its way to the caller already. One that ended within it before, nobody has
/// written down yet: the carrier tells of a sentence when it has been heard.
const UNDER_WAY_MS: u64 = 50;

/// What became of a call whose relay was killed. Words by their place in the plan.
struct Outcome {
    before: Vec<usize>,
    /// How many of these can have been known to us.
    known: usize,
    after: Vec<usize>,
    /// Milliseconds from the kill to the end of the first word after it.
    silence: Option<u64>,
    /// The same, to the first word that had not been heard before.
    until_new: Option<u64>,
}

pub async fn measure(bench: &mut Bench) -> anyhow::Result<()> {
    let front = Front::start().await?;
    let fleet = Fleet::start(bench.program.clone(), Some(&front.base_url)).await?;
    front.lead_to(fleet.ingest.address);
    let mut phones = Phones::open(fleet.servers.backends.simulator.address).await?;
    phones.call_back_to(&front.base_url).await?;
    let agent = Agent::open(&fleet.agent(), |_| PLAN.to_owned()).await?;
    let mut relay = fleet.relay().await?;
    let mut outcomes = Vec::new();
    for round in 0..CALLS / AT_A_TIME {
        let heir = fleet.relay().await?;
        front.lead_calls_to(vec![relay.address]);
        let calls = begin(&mut phones, round).await?;
        // Each time at another word.
        look_until(&mut phones, &calls, |record| words(record).len() > 1 + round % 8).await?;
        let killed_at = kill(relay, &front, &heir).await?;
        let last = PLAN.split_whitespace().count() - 1;
        // A call that does not go on is told as one.
        look_until(&mut phones, &calls, |record| {
            record.is_over || words(record).contains(&last)
        })
        .await
        .ok();
        for call in &calls {
            outcomes.push(Outcome::of(&phones.look(call).await?, call.clock(killed_at)));
            phones.act(call, &json!({ "do": "hang_up" })).await?;
        }
        relay = heir;
    }
    agent.finish()?;
    tell(bench, &outcomes);
    Ok(())
}

/// People call, and ask for the plan in the middle of the greeting.
async fn begin(phones: &mut Phones, round: usize) -> anyhow::Result<Vec<Phone>> {
    let mut calls = Vec::new();
    for call in 0..AT_A_TIME {
        let from = format!("+1415555{:04}", round * AT_A_TIME + call);
        let asks = json!([{ "do": "barge_in", "after_ms": 600, "text": "Read it to me." }]);
        calls.push(phones.dial(&from, &asks).await?);
        tokio::time::sleep(APART).await;
    }
    Ok(calls)
}

/// From now on calls go to the heir. Returns when it was killed.
async fn kill(relay: Process, front: &Front, heir: &Process) -> anyhow::Result<Instant> {
    let killed_at = Instant::now();
    relay.kill().await?;
    front.lead_calls_to(vec![heir.address]);
    Ok(killed_at)
}

async fn look_until(phones: &mut Phones, calls: &[Phone], is_so: impl Fn(&Record) -> bool) -> anyhow::Result<()> {
    let begun = Instant::now();
    loop {
        let mut is_all = true;
        for call in calls {
            is_all &= is_so(&phones.look(call).await?);
        }
        if is_all {
            return Ok(());
        }
        ensure!(begun.elapsed() < PATIENCE, "a caller does not hear what the agent says");
        tokio::time::sleep(LOOK).await;
    }
}

fn words(record: &Record) -> Vec<usize> {
    places(record).map(|(_, place)| place).collect()
}

/// What of the plan was heard: when, and its place.
fn places(record: &Record) -> impl Iterator<Item = (u64, usize)> {
    let place = |word: &str| PLAN.split_whitespace().position(|planned| planned == word);
    record
        .heard
        .iter()
        .filter_map(move |heard| Some((heard.at_ms, place(&heard.word)?)))
}

impl Outcome {
    fn of(record: &Record, killed_ms: u64) -> Self {
        let (before, after): (Vec<_>, Vec<_>) = places(record).partition(|(at, _)| *at <= killed_ms + UNDER_WAY_MS);
        let heard = before.len();
        let from_kill = |(at, _): &(u64, usize)| at - killed_ms;
        Self {
            silence: after.first().map(from_kill),
            until_new: after.iter().find(|(_, place)| *place >= heard).map(from_kill),
            known: before.iter().filter(|(at, _)| at + UNDER_WAY_MS <= killed_ms).count(),
            before: before.into_iter().map(|(_, place)| place).collect(),
            after: after.into_iter().map(|(_, place)| place).collect(),
        }
    }

    /// Every word was heard, in its order; none twice but those of the sentence that was cut.
    fn is_whole(&self) -> bool {
        let (heard, all) = (self.before.len(), PLAN.split_whitespace().count());
        let cut_from = self.known / WORDS_OF_A_SENTENCE * WORDS_OF_A_SENTENCE;
        let from = self.after.first().copied().unwrap_or(all);
        self.before.iter().copied().eq(0..heard)
            && self.after.iter().copied().eq(from..all)
            && (cut_from..=heard).contains(&from)
    }

    fn said_again(&self) -> usize {
        let from = self.after.first().copied().unwrap_or_default();
        self.before.len().saturating_sub(from)
    }
}

fn tell(bench: &mut Bench, outcomes: &[Outcome]) {
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
    let whole = outcomes.iter().filter(|outcome| outcome.is_whole()).count();
    let what = format!(
        "no word lost, none twice but of the sentence that was cut, of {}",
        outcomes.len()
    );
    table.at_least(&what, whole as f64, "calls", outcomes.len() as f64);
    let again: Vec<_> = outcomes.iter().map(Outcome::said_again).collect();
    let mean = again.iter().sum::<usize>() as f64 / again.len().max(1) as f64;
    table.note(
        "words of that sentence said again, worst",
        again.iter().copied().max().unwrap_or_default() as f64,
        "words",
    );
    table.note("words of that sentence said again, mean", mean, "words");
}
