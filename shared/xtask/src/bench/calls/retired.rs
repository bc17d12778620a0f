//! Relays that are replaced one after the other (SIGTERM, and a new one) while people talk: whether anybody is dropped.

use std::time::{Duration, Instant};

use anyhow::ensure;
use serde_json::json;
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
};

use super::{
    super::Bench,
    agent::{Agent, number},
    fleet::Fleet,
    front::Front,
    phones::{Phone, Phones},
};

const CALLS: usize = 50;
const RELAYS: usize = 2;
/// From one call's beginning to the next.
const APART: Duration = Duration::from_millis(100);
/// From an answer to the next question.
const PAUSE: Duration = Duration::from_millis(1_500);
const LOOK: Duration = Duration::from_millis(400);
/// Who is not answered within it asks again, and hangs up after so many times.
const ANSWERED_WITHIN: Duration = Duration::from_secs(10);
const TIMES: usize = 3;
/// Numbers of questions that one call has for itself.
const NUMBERS: usize = 1_000;

/// What became of a call.
#[derive(Default)]
struct Talk {
    /// The question after everything was answered.
    is_in_conversation: bool,
    questions: usize,
    /// Those that had to be asked more than once.
    asked_again: usize,
    sessions: usize,
}

pub async fn measure(bench: &mut Bench) -> anyhow::Result<()> {
    let front = Front::start().await?;
    let fleet = Fleet::start(bench.program.clone(), Some(&front.base_url)).await?;
    front.lead_to(fleet.ingest.address);
    let address = fleet.servers.backends.simulator.address;
    Phones::open(address).await?.call_back_to(&front.base_url).await?;
    let agent = Agent::open(&fleet.agent(), |asked| match number(asked) {
        Some(number) => answer(number),
        None => "Pardon?".to_owned(),
    })
    .await?;
    let mut relays = Vec::new();
    for _ in 0..RELAYS {
        relays.push(fleet.relay().await?);
    }
    front.lead_calls_to(relays.iter().map(|relay| relay.address).collect());

    let (over, is_over) = watch::channel(false);
    let (begun, mut talking) = mpsc::channel(CALLS);
    let mut people = JoinSet::new();
    for call in 0..CALLS {
        people.spawn(talk(Phones::open(address).await?, call, begun.clone(), is_over.clone()));
        tokio::time::sleep(APART).await;
    }
    drop(begun);
    for _ in 0..CALLS {
        talking.recv().await;
    }
    let mut slowest = Duration::ZERO;
    for _ in 0..RELAYS {
        let retiring = relays.remove(0);
        front.lead_calls_to(relays.iter().map(|relay| relay.address).collect());
        let told = Instant::now();
        retiring.terminate().await?;
        relays.push(fleet.relay().await?);
        front.lead_calls_to(relays.iter().map(|relay| relay.address).collect());
        retiring.ended().await?;
        slowest = slowest.max(told.elapsed());
    }
    over.send_replace(true);
    let mut talks = Vec::new();
    while let Some(ended) = people.join_next().await {
        talks.push(ended??);
    }
    agent.finish()?;
    tell(bench, &talks, slowest);
    Ok(())
}

fn tell(bench: &mut Bench, talks: &[Talk], slowest: Duration) {
    let table = &mut bench.table;
    let sum = |of: fn(&Talk) -> usize| talks.iter().map(of).sum::<usize>() as f64;
    let what = format!(
        "still in conversation after both relays were replaced, of {}",
        talks.len()
    );
    let well = sum(|talk| usize::from(talk.is_in_conversation));
    table.at_least(&what, well, "calls", talks.len() as f64);
    table.note(
        "questions that they asked meanwhile",
        sum(|talk| talk.questions),
        "questions",
    );
    table.note("of these asked again", sum(|talk| talk.asked_again), "questions");
    table.note("sockets that they had", sum(|talk| talk.sessions), "sockets");
    table.note(
        "SIGTERM to the end of the relay, the slower",
        slowest.as_secs_f64() * 1e3,
        "ms",
    );
}

/// One person, who asks and asks; and once more when everything is over.
async fn talk(
    mut phones: Phones,
    call: usize,
    begun: mpsc::Sender<()>,
    is_over: watch::Receiver<bool>,
) -> anyhow::Result<Talk> {
    let phone = phones.dial(&format!("+1415555{call:04}"), &json!([])).await?;
    is_greeted(&mut phones, &phone).await?;
    let mut talk = Talk::default();
    loop {
        let is_last = *is_over.borrow();
        let number = call * NUMBERS + talk.questions;
        talk.questions += 1;
        let tries = ask(&mut phones, &phone, number).await?;
        talk.asked_again += usize::from(tries != Some(1));
        if talk.questions == 1 {
            begun.send(()).await?;
        }
        if is_last || tries.is_none() {
            talk.is_in_conversation = is_last && tries.is_some();
            talk.sessions = phones.look(&phone).await?.sessions;
            return Ok(talk);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Waits until somebody has begun to speak.
async fn is_greeted(phones: &mut Phones, phone: &Phone) -> anyhow::Result<()> {
    let begun = Instant::now();
    while phones.look(phone).await?.heard.is_empty() {
        ensure!(begun.elapsed() < ANSWERED_WITHIN, "a caller is not greeted");
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}

/// How often it had to be asked until it was answered; `None`: the call is over, or dead.
async fn ask(phones: &mut Phones, phone: &Phone, number: usize) -> anyhow::Result<Option<usize>> {
    let says = json!({ "do": "say", "text": format!("Where is order {number}, please?") });
    for tried in 1..=TIMES {
        phones.act(phone, &says).await?;
        let asked = Instant::now();
        while asked.elapsed() < ANSWERED_WITHIN {
            tokio::time::sleep(LOOK).await;
            let record = phones.look(phone).await?;
            if record.heard_text().contains(&answer(number)) {
                return Ok(Some(tried));
            }
            if record.is_over {
                return Ok(None);
            }
        }
    }
    Ok(None)
}

fn answer(number: usize) -> String {
    format!("Order {number} is on its way.")
}
