//! Relays that are replaced one after the other (SIGTERM and a new process) during calls: counts the dropped calls.

use std::time::{Duration, Instant};

use anyhow::ensure;
use serde_json::json;
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
};

use super::{
    super::Bench,
    agent::{Agent, find_number},
    load_balancer::LoadBalancer,
    phone_simulator::{PhoneCall, PhoneSimulator},
    process_cluster::ProcessCluster,
};

const CALLS: usize = 50;
const RELAYS: usize = 2;
/// Between the starts of two calls.
const START_INTERVAL: Duration = Duration::from_millis(100);
/// Between a reply and the next question.
const PAUSE: Duration = Duration::from_millis(1_500);
/// Between two reads of a record.
const POLL_INTERVAL: Duration = Duration::from_millis(400);
/// Without a reply in this time the caller repeats the question.
const REPLY_TIMEOUT: Duration = Duration::from_secs(10);
/// A caller without a reply gives up after so many questions.
const MAX_ATTEMPTS: usize = 3;
/// The range of question numbers per call.
const NUMBERS_PER_CALL: usize = 1_000;

/// The result of a call.
#[derive(Default)]
struct CallResult {
    /// The question after the last replacement got a reply.
    is_connected: bool,
    questions: usize,
    /// The number of questions that were repeated.
    repeated_questions: usize,
    sessions: usize,
}

pub async fn measure(bench: &mut Bench) -> anyhow::Result<()> {
    let balancer = LoadBalancer::start().await?;
    let cluster = ProcessCluster::start(bench.program.clone(), Some(&balancer.base_url)).await?;
    balancer.set_ingest(cluster.ingest.address);
    let address = cluster.servers.backends.simulator.address;
    PhoneSimulator::open(address)
        .await?
        .set_callback_url(&balancer.base_url)
        .await?;
    let agent = Agent::open(&cluster.agent(), |prompt| match find_number(prompt) {
        Some(number) => reply(number),
        None => "Pardon?".to_owned(),
    })
    .await?;
    let mut relays = Vec::new();
    for _ in 0..RELAYS {
        relays.push(cluster.start_relay().await?);
    }
    balancer.set_relays(relays.iter().map(|relay| relay.address).collect());

    let (finish, is_finishing) = watch::channel(false);
    let (started, mut first_replies) = mpsc::channel(CALLS);
    let mut callers = JoinSet::new();
    for call in 0..CALLS {
        let simulator = PhoneSimulator::open(address).await?;
        callers.spawn(run_call(simulator, call, started.clone(), is_finishing.clone()));
        tokio::time::sleep(START_INTERVAL).await;
    }
    drop(started);
    for _ in 0..CALLS {
        first_replies.recv().await;
    }
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
    finish.send_replace(true);
    let mut calls = Vec::new();
    while let Some(result) = callers.join_next().await {
        calls.push(result??);
    }
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

/// Runs a caller who asks one question after the other, the last one after all replacements.
async fn run_call(
    mut phones: PhoneSimulator,
    call: usize,
    started: mpsc::Sender<()>,
    is_finishing: watch::Receiver<bool>,
) -> anyhow::Result<CallResult> {
    let phone = phones.dial(&format!("+1415555{call:04}"), &json!([])).await?;
    wait_for_greeting(&mut phones, &phone).await?;
    let mut result = CallResult::default();
    loop {
        let is_last = *is_finishing.borrow();
        let number = call * NUMBERS_PER_CALL + result.questions;
        result.questions += 1;
        let attempts = ask(&mut phones, &phone, number).await?;
        result.repeated_questions += usize::from(attempts != Some(1));
        if result.questions == 1 {
            started.send(()).await?;
        }
        if is_last || attempts.is_none() {
            result.is_connected = is_last && attempts.is_some();
            result.sessions = phones.record(&phone).await?.sessions;
            return Ok(result);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Waits until the caller hears the first word.
async fn wait_for_greeting(phones: &mut PhoneSimulator, phone: &PhoneCall) -> anyhow::Result<()> {
    let started = Instant::now();
    while phones.record(phone).await?.heard.is_empty() {
        ensure!(started.elapsed() < REPLY_TIMEOUT, "a caller hears no greeting");
        tokio::time::sleep(POLL_INTERVAL).await;
    }
    Ok(())
}

/// Asks a question until it gets a reply. Returns the number of attempts; `None` if the call ended or got no reply.
async fn ask(phones: &mut PhoneSimulator, phone: &PhoneCall, number: usize) -> anyhow::Result<Option<usize>> {
    let step = json!({ "do": "say", "text": format!("Where is order {number}, please?") });
    for attempt in 1..=MAX_ATTEMPTS {
        phones.run_step(phone, &step).await?;
        let asked_at = Instant::now();
        while asked_at.elapsed() < REPLY_TIMEOUT {
            tokio::time::sleep(POLL_INTERVAL).await;
            let record = phones.record(phone).await?;
            if record.heard_text().contains(&reply(number)) {
                return Ok(Some(attempt));
            }
            if record.is_over {
                return Ok(None);
            }
        }
    }
    Ok(None)
}

fn reply(number: usize) -> String {
    format!("Order {number} is on its way.")
}
