//! A caller who falls in while the client's own model thinks (MCP sampling): how fast the client is told that nobody wants the
//! answer any more.

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
    agent::SETTLED,
    carrier::Line,
    fleet::Fleet,
};

const CALLS: usize = 20;
/// Of each call.
const TIMES: usize = 25;
/// How long a model thinks before somebody falls in, at most.
const THINKING_MS: u64 = 400;
const PATIENCE: Duration = Duration::from_secs(5);

/// What the client is told of one call.
enum Told {
    Asked,
    Cancelled(Instant),
}

pub async fn measure(bench: &mut Bench) -> anyhow::Result<()> {
    let fleet = Fleet::start(bench.program.clone(), None).await?;
    let relays = [fleet.relay().await?, fleet.relay().await?];
    let carrier = fleet.carrier(&relays);
    let mut client = Listener::open_with_model(&fleet.agent()).await?;
    tokio::time::sleep(SETTLED).await;
    let lines = tokio::select! {
        lines = carrier.connect(CALLS) => lines?,
        gone = drain(&mut client) => return gone,
    };
    let (mut senders, mut calls) = (Vec::new(), Vec::new());
    for (call, line) in lines.into_iter().enumerate() {
        let (sender, told) = mpsc::unbounded_channel();
        senders.push(sender);
        calls.push(fall_in(line, call, told));
    }
    let mut times = tokio::select! {
        times = try_join_all(calls) => times?.concat(),
        gone = listen(client, &senders) => return gone,
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

/// What the client is told while the calls begin is of no interest, but it has to be read.
async fn drain(client: &mut Listener) -> anyhow::Result<()> {
    loop {
        client.message().await?;
    }
}

/// Brings to each call what concerns it: the call's number stands in what its caller said.
async fn listen(mut client: Listener, calls: &[mpsc::UnboundedSender<Told>]) -> anyhow::Result<()> {
    let mut asked = HashMap::new();
    loop {
        let (message, at) = client.message().await?;
        let (call, told) = match message["method"].as_str() {
            Some("sampling/createMessage") => {
                let call = call_of(&message["params"]).context("a question of no call")?;
                asked.insert(message["id"].to_string(), call);
                (call, Told::Asked)
            }
            Some("notifications/cancelled") => {
                let id = message["params"]["requestId"].to_string();
                let call = asked.remove(&id).context("what was never asked is cancelled")?;
                (call, Told::Cancelled(at))
            }
            _ => continue,
        };
        // A call that has its numbers listens no more.
        calls.get(call).context("a call that is none")?.send(told).ok();
    }
}

fn call_of(params: &Value) -> Option<usize> {
    let said = params["messages"].as_array()?.last()?["content"]["text"].as_str()?;
    said.rsplit(' ').next()?.parse().ok()
}

async fn fall_in(
    mut line: Line,
    call: usize,
    mut told: mpsc::UnboundedReceiver<Told>,
) -> anyhow::Result<Vec<Duration>> {
    let mut times = Vec::with_capacity(TIMES);
    for time in 0..TIMES as u64 {
        line.ask(&format!("This is caller {call}")).await?;
        let Told::Asked = next(&mut told).await? else {
            bail!("a question was cancelled before anybody fell in");
        };
        // Any moment is as likely as any other.
        let thinking = (time * 7_919 + call as u64 * 104_729) % THINKING_MS;
        tokio::time::sleep(Duration::from_millis(thinking)).await;
        let begun = line.interrupt().await?;
        let Told::Cancelled(at) = next(&mut told).await? else {
            bail!("a call's client was asked twice");
        };
        times.push(at - begun);
    }
    Ok(times)
}

async fn next(told: &mut mpsc::UnboundedReceiver<Told>) -> anyhow::Result<Told> {
    let told = timeout(PATIENCE, told.recv()).await;
    told.context("the client is told nothing")?
        .context("the client is gone")
}
