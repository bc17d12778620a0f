//! Callers who ask numbered questions, one after the other, until the measurement finishes.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::ensure;
use serde_json::json;
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
};

use super::{
    agent::find_number,
    phone_simulator::{PhoneCall, PhoneSimulator},
};

/// Between the starts of two calls.
const START_INTERVAL: Duration = Duration::from_millis(100);
/// Between a reply and the next question.
const PAUSE: Duration = Duration::from_millis(1_500);
/// Between two reads of a record.
const POLL_INTERVAL: Duration = Duration::from_millis(400);
/// Without a reply in this time the caller repeats the question.
const REPLY_TIMEOUT: Duration = Duration::from_secs(10);
/// The range of question numbers per call.
const NUMBERS_PER_CALL: usize = 1_000;

/// The result of a call.
#[derive(Default)]
pub struct CallResult {
    /// The last question got a reply.
    pub is_connected: bool,
    pub questions: usize,
    /// The number of questions that were repeated.
    pub repeated_questions: usize,
    pub sessions: usize,
}

/// Calls in progress.
pub struct Callers {
    finish: watch::Sender<bool>,
    calls: JoinSet<anyhow::Result<CallResult>>,
}

impl Callers {
    /// Starts calls over the simulator at this address. A caller without a reply gives up after `max_attempts` questions. Returns when
    /// each caller has a reply to the first question.
    pub async fn start(simulator: SocketAddr, count: usize, max_attempts: usize) -> anyhow::Result<Self> {
        let (finish, is_finishing) = watch::channel(false);
        let (started, mut first_replies) = mpsc::channel(count.max(1));
        let mut calls = JoinSet::new();
        for call in 0..count {
            let simulator = PhoneSimulator::open(simulator).await?;
            calls.spawn(run(
                simulator,
                (call, max_attempts),
                started.clone(),
                is_finishing.clone(),
            ));
            tokio::time::sleep(START_INTERVAL).await;
        }
        drop(started);
        for _ in 0..count {
            first_replies.recv().await;
        }
        Ok(Self { finish, calls })
    }

    /// Makes each caller ask a last question.
    pub async fn finish(mut self) -> anyhow::Result<Vec<CallResult>> {
        self.finish.send_replace(true);
        let mut results = Vec::new();
        while let Some(result) = self.calls.join_next().await {
            results.push(result??);
        }
        Ok(results)
    }
}

/// The agent's answer to a question.
pub fn answer(prompt: &str) -> String {
    match find_number(prompt) {
        Some(number) => reply(number),
        None => "Pardon?".to_owned(),
    }
}

/// Runs a caller who asks one question after the other, the last one when the measurement finishes.
async fn run(
    mut phones: PhoneSimulator,
    (call, max_attempts): (usize, usize),
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
        let attempts = ask(&mut phones, &phone, number, max_attempts).await?;
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
async fn ask(
    phones: &mut PhoneSimulator,
    phone: &PhoneCall,
    number: usize,
    max_attempts: usize,
) -> anyhow::Result<Option<usize>> {
    let step = json!({ "do": "say", "text": format!("Where is order {number}, please?") });
    for attempt in 1..=max_attempts {
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
