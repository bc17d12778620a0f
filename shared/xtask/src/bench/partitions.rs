//! The partitions of the inbound stream: events of many agents a second, with one dispatcher and with four, and what Postgres waits
//! for meanwhile.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::bail;
use butt_dial_testkit::servers::{run_sql, wait_events};

use super::{
    Bench,
    http_client::Connection,
    inbound::count_recorded,
    process::{self, Process},
    servers::Servers,
    webhooks,
};

const CONNECTIONS: usize = 64;
const AGENTS: u64 = 512;
/// Events that wait for the dispatchers.
const QUEUED: u64 = 60_000;
const SAMPLE_INTERVAL: Duration = Duration::from_millis(100);
const TIMEOUT: Duration = Duration::from_secs(300);

/// The agents share the organization of the first one. Their numbers are those of `number_of_agent`.
const CREATE_AGENTS: [&str; 2] = [
    "INSERT INTO agents (id, org_id, display_name, status, created_at)
        SELECT 'bench-' || n, org_id, 'Agent', 'active', now() FROM (SELECT org_id FROM agents LIMIT 1) AS first,
        generate_series(0, 511) AS n",
    "INSERT INTO channels (id, org_id, agent_id, channel, address, status, created_at)
        SELECT 'channel-' || id, org_id, id, 'sms', '+1202555' || lpad(substr(id, 7), 4, '0'), 'active', now()
        FROM agents WHERE id LIKE 'bench-%'",
];

pub async fn rates(bench: &mut Bench) -> anyhow::Result<()> {
    let servers = Servers::start(&bench.program).await?;
    let database = &servers.backends.database;
    let gateway = process::gateway(&bench.program, &servers.backends).await?;
    for sql in CREATE_AGENTS {
        run_sql(database, sql).await;
    }
    let ingest = process::service(&bench.program, "webhook-ingest", &servers.backends).await?;
    let mut rates = Vec::new();
    for count in [1, 2, 4] {
        webhooks::send_to_agents(ingest.address, CONNECTIONS, QUEUED, AGENTS).await?;
        let launched = Instant::now();
        let starts = (0..count).map(|_| process::service(&bench.program, "dispatcher", &servers.backends));
        let dispatchers = futures::future::try_join_all(starts).await?;
        let waits = wait_until_recorded(&dispatchers, database).await?;
        let duration = launched.elapsed().as_secs_f64();
        let rate = QUEUED as f64 / duration;
        let name = format!("events of {AGENTS} agents, dispatchers: {count}");
        bench.table.note(&name, rate, "/s");
        let mut cpu = Duration::ZERO;
        for dispatcher in &dispatchers {
            cpu += dispatcher.cpu()?;
        }
        let share = cpu.as_secs_f64() / duration * 100.0;
        bench.table.note(&format!("{name}: CPU of the dispatchers"), share, "%");
        for (event, share) in waits {
            let name = format!("{name}: Postgres connections at {event}");
            bench.table.note(&name, share * 100.0, "% of one");
        }
        rates.push(rate);
        for dispatcher in dispatchers {
            dispatcher.terminate().await?;
            dispatcher.wait().await?;
        }
    }
    if let [one, _, four] = rates[..] {
        // Not where Postgres or the processors are the limit, which the lines above show.
        let percent = four / one * 100.0;
        bench
            .table
            .at_least("events with four dispatchers, compared with one", percent, "%", 250.0);
    }
    drop((gateway, ingest));
    Ok(())
}

/// Waits until the dispatchers have recorded all events. Returns the average number of connections at each wait event of Postgres.
async fn wait_until_recorded(dispatchers: &[Process], database: &str) -> anyhow::Result<Vec<(String, f64)>> {
    let started = Instant::now();
    let mut connections = Vec::new();
    for dispatcher in dispatchers {
        connections.push((Connection::open(dispatcher.address).await?, dispatcher.address));
    }
    let (mut waits, mut samples) = (BTreeMap::<String, i64>::new(), 0);
    loop {
        let mut recorded = 0.0;
        for (connection, address) in &mut connections {
            recorded += count_recorded(connection, *address).await?;
        }
        if recorded >= QUEUED as f64 {
            break;
        }
        if started.elapsed() > TIMEOUT {
            bail!("only {recorded} of {QUEUED} webhook events were recorded");
        }
        for (event, count) in wait_events(database).await {
            *waits.entry(event).or_default() += count;
        }
        samples += 1;
        tokio::time::sleep(SAMPLE_INTERVAL).await;
    }
    let samples = f64::from(samples.max(1));
    let mut waits: Vec<(String, f64)> = waits
        .into_iter()
        .map(|(event, count)| (event, count as f64 / samples))
        .collect();
    waits.sort_by(|one, other| other.1.total_cmp(&one.1));
    waits.truncate(4);
    Ok(waits)
}
