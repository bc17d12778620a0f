//! `cargo xtask kills`: sends and webhooks at a steady rate on real Postgres, NATS and Redis, while a random replica is killed again and
//! again. Clients and carriers repeat what was not answered. At the end, the counts at the carrier and in the agent's log must equal
//! what was acknowledged.

use std::{
    net::SocketAddr,
    path::PathBuf,
    process::ExitCode,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, bail, ensure};
use serde_json::Value;
use sqlx::{Connection as _, PgConnection};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::{
    http_client::{Connection, Response},
    mcp_client::{self, Endpoint},
    process::{self, Process, Server},
    servers::Servers,
    webhooks,
};

const CONNECTIONS: usize = 32;
/// Two replicas of each: one serves while the other is away.
const ROLES: [&str; 6] = [
    "gateway",
    "gateway",
    "webhook-ingest",
    "webhook-ingest",
    "dispatcher",
    "dispatcher",
];
const GATEWAYS: std::ops::Range<usize> = 0..2;
const INGESTS: std::ops::Range<usize> = 2..4;
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);
const RETRY_INTERVAL: Duration = Duration::from_millis(50);
/// After the load: unknown sends are reconciled, and the rest of the log is applied.
const END_TIMEOUT: Duration = Duration::from_secs(300);
/// Delays of the reconciler, so that the end does not take minutes.
const RECONCILE_AFTER: &str = "1,5,30";

#[derive(clap::Args)]
pub struct Options {
    /// The program. Default: the debug build beside this one.
    #[arg(long)]
    program: Option<PathBuf>,
    /// Sends a second, and webhooks a second.
    #[arg(long, default_value_t = 2_000)]
    rate: u64,
    /// Duration of the load, in seconds.
    #[arg(long, default_value_t = 600)]
    seconds: u64,
    /// Seconds between two kills.
    #[arg(long, default_value_t = 5)]
    every: u64,
}

/// The replicas. An address changes with each restart.
struct Replicas {
    addresses: [Mutex<SocketAddr>; ROLES.len()],
}

impl Replicas {
    fn address(&self, index: usize) -> SocketAddr {
        *self.lock(index)
    }

    fn lock(&self, index: usize) -> std::sync::MutexGuard<'_, SocketAddr> {
        // All indexes are below the number of roles.
        self.addresses[index].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Work at a steady rate, numbered from 0.
struct Pace {
    start: Instant,
    rate: u64,
    count: u64,
    next: AtomicU64,
}

impl Pace {
    fn new(options: &Options) -> Self {
        Self {
            start: Instant::now(),
            rate: options.rate,
            count: options.rate * options.seconds,
            next: AtomicU64::new(0),
        }
    }

    /// Waits for the time of the next piece of work. `None`: there is no more.
    async fn next(&self) -> Option<u64> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        if number >= self.count {
            return None;
        }
        sleep_until(self.start + Duration::from_micros(number * 1_000_000 / self.rate)).await;
        Some(number)
    }
}

/// The answers that the clients got to their sends.
#[derive(Default)]
struct Answers {
    accepted: AtomicU64,
    pending: AtomicU64,
    repeats: AtomicU64,
}

pub async fn run(options: Options) -> anyhow::Result<ExitCode> {
    ensure!(
        options.rate > 0 && options.every > 0,
        "--rate and --every must be at least 1"
    );
    let program = match &options.program {
        Some(program) => program.clone(),
        None => std::env::current_exe()?.with_file_name("butt-dial"),
    };
    let mut servers = Servers::start(&program).await?;
    servers.backends.settings = vec![("RECONCILE_AFTER_SECONDS".into(), RECONCILE_AFTER.into())];
    let (first, mut processes) = start(&program, &servers).await?;
    let addresses: Vec<Mutex<SocketAddr>> = processes.iter().map(|process| Mutex::new(process.address)).collect();
    let replicas = Replicas {
        addresses: addresses.try_into().ok().context("one address for each role")?,
    };
    let (sends, hooks, answers) = (Pace::new(&options), Pace::new(&options), Answers::default());
    let load = async {
        let senders = (0..CONNECTIONS).map(|_| send(&sends, &replicas, &first, &answers));
        let carriers = (0..CONNECTIONS).map(|_| report(&hooks, &replicas));
        tokio::try_join!(
            futures::future::try_join_all(senders),
            futures::future::try_join_all(carriers)
        )?;
        anyhow::Ok(())
    };
    let started = Instant::now();
    let kills = tokio::select! {
        loaded = load => { loaded?; None }
        killed = kill(&options, &program, &servers, &replicas, &mut processes) => Some(killed?),
    };
    ensure!(kills.is_none(), "the kills ended before the load");
    println!(
        "load of {} sends and webhooks each, in {:.0} s",
        sends.count,
        started.elapsed().as_secs_f64()
    );
    println!(
        "answers: {} accepted, {} pending, {} repeats",
        answers.accepted.load(Ordering::Relaxed),
        answers.pending.load(Ordering::Relaxed),
        answers.repeats.load(Ordering::Relaxed)
    );
    let counts = wait_for_end(&servers, sends.count).await?;
    println!("{counts:#?}");
    let is_good = counts.are_equal(sends.count);
    println!(
        "{}",
        if is_good {
            "all counts are equal"
        } else {
            "counts differ"
        }
    );
    Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn start(program: &std::path::Path, servers: &Servers) -> anyhow::Result<(String, Vec<Process>)> {
    let Server {
        process, agent_token, ..
    } = process::gateway(program, &servers.backends).await?;
    let mut processes = vec![process];
    for role in &ROLES[1..] {
        processes.push(process::service(program, role, &servers.backends).await?);
    }
    Ok((agent_token, processes))
}

/// Kills a random replica and starts another one in its place, until the load ends.
async fn kill(
    options: &Options,
    program: &std::path::Path,
    servers: &Servers,
    replicas: &Replicas,
    processes: &mut Vec<Process>,
) -> anyhow::Result<u64> {
    let mut random = u64::from(std::process::id());
    for number in 1.. {
        sleep(Duration::from_secs(options.every)).await;
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let index = usize::try_from(random >> 33)? % ROLES.len();
        processes.swap_remove(index).kill().await?;
        let process = process::service(program, ROLES[index], &servers.backends).await?;
        println!(
            "kill {number}: {} {index}, serving again after {:?}",
            ROLES[index], process.started_in
        );
        *replicas.lock(index) = process.address;
        processes.push(process);
        let last = processes.len() - 1;
        processes.swap(index, last);
    }
    bail!("unreachable")
}

/// Sends, each with its own key, until it is answered.
async fn send(pace: &Pace, replicas: &Replicas, token: &str, answers: &Answers) -> anyhow::Result<()> {
    let mut connection = None;
    while let Some(number) = pace.next().await {
        for attempt in 0.. {
            let replica = GATEWAYS.start + usize::try_from(number + attempt)? % GATEWAYS.len();
            let endpoint = Endpoint::with_token(replicas.address(replica), token);
            let request = endpoint.post("/api/v1/send-message", "", &mcp_client::sms(number));
            let response = exchange(&mut connection, endpoint.address, &request).await;
            if let Some(response) = response.filter(|response| response.status == 200) {
                let answer: Value = serde_json::from_str(&response.body)?;
                match answer["status"].as_str() {
                    Some("accepted") => answers.accepted.fetch_add(1, Ordering::Relaxed),
                    _ => answers.pending.fetch_add(1, Ordering::Relaxed),
                };
                break;
            }
            answers.repeats.fetch_add(1, Ordering::Relaxed);
            sleep(RETRY_INTERVAL).await;
        }
    }
    Ok(())
}

/// Reports messages of persons, each until it is acknowledged.
async fn report(pace: &Pace, replicas: &Replicas) -> anyhow::Result<()> {
    let mut connection = None;
    while let Some(number) = pace.next().await {
        for attempt in 0.. {
            let replica = INGESTS.start + usize::try_from(number + attempt)? % INGESTS.len();
            let address = replicas.address(replica);
            let response = exchange(&mut connection, address, &webhooks::request(address, number)).await;
            if response.is_some_and(|response| response.status == 200) {
                break;
            }
            sleep(RETRY_INTERVAL).await;
        }
    }
    Ok(())
}

/// Sends a request over the open connection, if it is to this address. `None`: there was no answer.
async fn exchange(
    open: &mut Option<(SocketAddr, Connection)>,
    address: SocketAddr,
    request: &[u8],
) -> Option<Response> {
    let work = async {
        let mut connection = match open.take() {
            Some((to, connection)) if to == address => connection,
            _ => Connection::open(address).await?,
        };
        let response = connection.exchange(request).await?;
        anyhow::Ok((connection, response))
    };
    // A connection that failed is not used again.
    let (connection, response) = timeout(ANSWER_TIMEOUT, work).await.ok()?.ok()?;
    *open = Some((address, connection));
    Some(response)
}

#[derive(Debug)]
struct Counts {
    /// Messages at the carrier.
    at_carrier: u64,
    accepted: i64,
    unconfirmed: i64,
    failed: i64,
    open: i64,
    /// Events of messages of persons, and their different ids at the carrier.
    events: i64,
    different_events: i64,
    dead_letters: i64,
}

impl Counts {
    fn are_equal(&self, count: u64) -> bool {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        // A send of a killed gateway that never reached the carrier is unconfirmed: the carrier does not have it.
        i64::try_from(self.at_carrier) == Ok(self.accepted)
            && self.accepted + self.unconfirmed == count
            && (self.failed, self.open, self.dead_letters) == (0, 0, 0)
            && (self.events, self.different_events) == (count, count)
    }
}

async fn wait_for_end(servers: &Servers, count: u64) -> anyhow::Result<Counts> {
    let started = Instant::now();
    loop {
        let counts = read_counts(servers).await?;
        let is_done = counts.open == 0 && counts.events >= i64::try_from(count)?;
        if is_done || started.elapsed() > END_TIMEOUT {
            return Ok(counts);
        }
        sleep(Duration::from_secs(1)).await;
    }
}

async fn read_counts(servers: &Servers) -> anyhow::Result<Counts> {
    const SENDS: &str = "SELECT COUNT(*) FILTER (WHERE status = 'accepted'), COUNT(*) FILTER (WHERE status = 'unconfirmed'),
        COUNT(*) FILTER (WHERE status = 'failed'), COUNT(*) FILTER (WHERE status IN ('sending', 'unknown')) FROM messages";
    const EVENTS: &str =
        "SELECT COUNT(*), COUNT(DISTINCT data ->> 'providerMessageId'), (SELECT COUNT(*) FROM dead_letters)
        FROM events WHERE type = 'message.received'";
    let mut database = PgConnection::connect(&servers.backends.database).await?;
    let (accepted, unconfirmed, failed, open) = sqlx::query_as(SENDS).fetch_one(&mut database).await?;
    let (events, different_events, dead_letters) = sqlx::query_as(EVENTS).fetch_one(&mut database).await?;
    database.close().await?;
    let simulator = servers.backends.simulator.address;
    let request = format!("GET /totals HTTP/1.1\r\nHost: {simulator}\r\n\r\n");
    let response = Connection::open(simulator).await?.exchange(request.as_bytes()).await?;
    let totals: Value = serde_json::from_str(&response.body).context("totals of the simulator")?;
    Ok(Counts {
        at_carrier: totals["twilio"]["accepted"]
            .as_u64()
            .context("messages at the carrier")?,
        accepted,
        unconfirmed,
        failed,
        open,
        events,
        different_events,
        dead_letters,
    })
}
