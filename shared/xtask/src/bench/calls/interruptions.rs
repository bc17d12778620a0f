//! A barge-in during a sampling request (MCP) to the client's model: the latency until the client receives the
//! cancellation.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use futures::future::try_join_all;
use serde_json::Value;
use tokio::{sync::mpsc, time::timeout};

use super::{
    super::{
        Bench,
        listener::Listener,
        webhooks::{millis, percentile},
    },
    agent::CONNECT_GRACE,
    carrier::CarrierCall,
    process_cluster::ProcessCluster,
};

const CALLS: usize = 20;
/// Per call.
const BARGE_INS: usize = 25;
/// The longest delay from the sampling request to the barge-in.
const MAX_DELAY_MS: u64 = 400;
const EVENT_TIMEOUT: Duration = Duration::from_secs(5);

/// A message to the client about a sampling request of a call.
enum SamplingEvent {
    Requested,
    Cancelled(Instant),
}

pub async fn measure(bench: &mut Bench) -> anyhow::Result<()> {
    let cluster = ProcessCluster::start(bench.program.clone(), None).await?;
    let relays = [cluster.start_relay().await?, cluster.start_relay().await?];
    let carrier = cluster.carrier(&relays);
    let mut client = Listener::open_with_model(&cluster.agent()).await?;
    tokio::time::sleep(CONNECT_GRACE).await;
    let connected = tokio::select! {
        calls = carrier.connect(CALLS) => calls?,
        failed = drain(&mut client) => return failed,
    };
    let (mut senders, mut calls) = (Vec::new(), Vec::new());
    for (number, call) in connected.into_iter().enumerate() {
        let (sender, events) = mpsc::unbounded_channel();
        senders.push(sender);
        calls.push(barge_in_repeatedly(call, number, events));
    }
    let mut times = tokio::select! {
        times = try_join_all(calls) => times?.concat(),
        failed = route_events(client, &senders) => return failed,
    };
    times.sort_unstable();
    let table = &mut bench.table;
    let what = "interrupt to notifications/cancelled at the client";
    table.at_most(
        &format!("{what}, p99 of {}", times.len()),
        millis(percentile(&times, 99)),
        "ms",
        10.0,
    );
    table.note(&format!("{what}, p50"), millis(percentile(&times, 50)) * 1e3, "µs");
    Ok(())
}

/// Reads and drops the messages to the client while the calls start.
async fn drain(client: &mut Listener) -> anyhow::Result<()> {
    loop {
        client.message().await?;
    }
}

/// Forwards the sampling messages to their calls, by the call number in the caller's speech.
async fn route_events(mut client: Listener, calls: &[mpsc::UnboundedSender<SamplingEvent>]) -> anyhow::Result<()> {
    let mut pending = HashMap::new();
    loop {
        let (message, at) = client.message().await?;
        let (call, event) = match message["method"].as_str() {
            Some("sampling/createMessage") => {
                let call = call_number(&message["params"]).context("the sampling request names no call")?;
                pending.insert(message["id"].to_string(), call);
                (call, SamplingEvent::Requested)
            }
            Some("notifications/cancelled") => {
                let id = message["params"]["requestId"].to_string();
                let call = pending.remove(&id).context("the cancelled request is unknown")?;
                (call, SamplingEvent::Cancelled(at))
            }
            _ => continue,
        };
        // Fails for a call that has finished its measurements.
        calls.get(call).context("the call number is unknown")?.send(event).ok();
    }
}

fn call_number(params: &Value) -> Option<usize> {
    let prompt = params["messages"].as_array()?.last()?["content"]["text"].as_str()?;
    prompt.rsplit(' ').next()?.parse().ok()
}

async fn barge_in_repeatedly(
    mut call: CarrierCall,
    number: usize,
    mut events: mpsc::UnboundedReceiver<SamplingEvent>,
) -> anyhow::Result<Vec<Duration>> {
    let mut times = Vec::with_capacity(BARGE_INS);
    for round in 0..BARGE_INS as u64 {
        call.send_final_prompt(&format!("This is caller {number}")).await?;
        let SamplingEvent::Requested = next(&mut events).await? else {
            bail!("a sampling request was cancelled before the barge-in");
        };
        // Spreads the delays evenly.
        let delay = (round * 7_919 + number as u64 * 104_729) % MAX_DELAY_MS;
        tokio::time::sleep(Duration::from_millis(delay)).await;
        let interrupted = call.interrupt().await?;
        let SamplingEvent::Cancelled(at) = next(&mut events).await? else {
            bail!("the client received a second sampling request");
        };
        times.push(at - interrupted);
    }
    Ok(times)
}

async fn next(events: &mut mpsc::UnboundedReceiver<SamplingEvent>) -> anyhow::Result<SamplingEvent> {
    let event = timeout(EVENT_TIMEOUT, events.recv()).await;
    event
        .context("the client received no sampling message in time")?
        .context("the client is disconnected")
}
