//! A database with many tenants beside one with few: the same agents check their tokens and send, on the same program.

use std::time::{Duration, Instant};

use anyhow::ensure;
use sha2::{Digest, Sha256};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, SqliteConnection};

use super::{Bench, http_client::Connection, load::Load, process, process::Server, servers::Servers};

const AGENTS_PER_ORGANIZATION: usize = 10;
/// Agents that take part in the measurement.
const CALLERS: usize = 100;
/// Rows of one statement.
const ROWS: usize = 1_000;
const SAMPLES: usize = 2_000;

/// The figures of one database.
struct Figures {
    /// Milliseconds, median.
    check: f64,
    send: f64,
    /// Sends per second over the connections of the load.
    rate: f64,
    /// MiB.
    memory: f64,
    /// Milliseconds.
    start: f64,
}

pub async fn compare(bench: &mut Bench) -> anyhow::Result<()> {
    let program = bench.program.clone();
    for engine in ["SQLite", "Postgres"] {
        let mut figures = Vec::new();
        for organizations in [10, 10_000] {
            let fill = async |database: &str| fill(database, organizations).await;
            let started = Instant::now();
            let measured = match engine {
                "SQLite" => {
                    let server = process::embedded_with(&program, fill).await?;
                    measure(bench.load(), &server).await?
                }
                _ => {
                    let servers = Servers::start(&program).await?;
                    let server = process::gateway_with(&program, &servers.backends, fill).await?;
                    measure(bench.load(), &server).await?
                }
            };
            eprintln!("{engine}, {organizations} organizations: {:.0?}", started.elapsed());
            figures.push(measured);
        }
        report(bench, engine, &figures[0], &figures[1]);
    }
    Ok(())
}

fn report(bench: &mut Bench, engine: &str, few: &Figures, many: &Figures) {
    let table = &mut bench.table;
    let name = |figure: &str, tenants: &str| format!("{engine}, {tenants}: {figure}");
    for (figure, few, many, unit) in [
        ("token check, median", few.check, many.check, "ms"),
        ("send, one caller, median", few.send, many.send, "ms"),
    ] {
        table.at_most(&name(figure, "10 organizations"), few, unit, few);
        table.at_most(&name(figure, "10,000 organizations"), many, unit, few * 1.1);
    }
    table.note(&name("sends", "10 organizations"), few.rate, "/s");
    table.at_least(&name("sends", "10,000 organizations"), many.rate, "/s", few.rate * 0.9);
    table.at_most(&name("memory", "10 organizations"), few.memory, "MiB", 150.0);
    table.at_most(&name("memory", "10,000 organizations"), many.memory, "MiB", 150.0);
    table.at_most(&name("start", "10 organizations"), few.start, "ms", 150.0);
    table.at_most(&name("start", "10,000 organizations"), many.start, "ms", 150.0);
}

async fn measure(load: Load, server: &Server) -> anyhow::Result<Figures> {
    let address = server.process.address;
    let get = |n: usize| request(address, n, "GET", "/api/v1/agents/me", "");
    let check = median(address, &get).await?;
    let send = median(address, &|n| post(address, "one", n)).await?;
    let end = Instant::now() + load.duration;
    let callers = (0..load.connections).map(|caller| async move {
        let mut connection = Connection::open(address).await?;
        let mut calls = 0usize;
        while Instant::now() < end {
            let response = connection
                .exchange(&post(
                    address,
                    &format!("many-{caller}"),
                    calls * load.connections + caller,
                ))
                .await?;
            ensure!(response.status == 200, "send: {} {}", response.status, response.body);
            calls += 1;
        }
        anyhow::Ok(calls)
    });
    let calls: Vec<usize> = futures::future::try_join_all(callers).await?;
    Ok(Figures {
        check,
        send,
        rate: calls.iter().sum::<usize>() as f64 / load.duration.as_secs_f64(),
        memory: server.process.memory()? as f64 / 1024.0 / 1024.0,
        start: server.process.started_in.as_secs_f64() * 1e3,
    })
}

/// Makes the requests one after the other, and returns the median of their times in milliseconds.
async fn median(address: std::net::SocketAddr, request: &impl Fn(usize) -> Vec<u8>) -> anyhow::Result<f64> {
    let mut connection = Connection::open(address).await?;
    let mut times = Vec::with_capacity(SAMPLES);
    for n in 0..SAMPLES {
        let (bytes, started) = (request(n), Instant::now());
        let response = connection.exchange(&bytes).await?;
        ensure!(response.status == 200, "{} {}", response.status, response.body);
        times.push(started.elapsed());
    }
    times.sort();
    Ok(times.get(SAMPLES / 2).copied().unwrap_or(Duration::ZERO).as_secs_f64() * 1e3)
}

fn post(address: std::net::SocketAddr, run: &str, n: usize) -> Vec<u8> {
    let body = format!(
        r#"{{"to":"+1415555{:04}","channel":"sms","body":"Your order {n} has shipped.","idempotencyKey":"{run}-{n}"}}"#,
        n % 10_000
    );
    request(address, n, "POST", "/api/v1/send-message", &body)
}

/// Builds the request of the n-th call: the callers take turns.
fn request(address: std::net::SocketAddr, n: usize, method: &str, path: &str, body: &str) -> Vec<u8> {
    let token = token(n % CALLERS);
    format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

fn token(caller: usize) -> String {
    format!("bench-caller-{caller}")
}

/// Adds organizations with ten agents each: an agent has a token and a number. The callers are spread over all organizations.
async fn fill(database: &str, organizations: usize) -> anyhow::Result<()> {
    let mut database = Database::connect(database).await?;
    let agents = organizations * AGENTS_PER_ORGANIZATION;
    let step = agents / CALLERS;
    let hash = |agent: usize| match agent % step {
        0 => hex::encode(Sha256::digest(token(agent / step))),
        _ => format!("{agent:064}"),
    };
    let at = "'2026-01-01T00:00:00+00:00'";
    let org = |agent: usize| agent / AGENTS_PER_ORGANIZATION;
    insert(
        &mut database,
        organizations,
        "organizations (id, name, slug, created_at)",
        |n| format!("('org_bench{n}', 'Organization {n}', 'bench-{n}', {at})"),
    )
    .await?;
    insert(
        &mut database,
        agents,
        "agents (id, org_id, display_name, status, created_at)",
        |n| format!("('agt_bench{n}', 'org_bench{}', 'Agent {n}', 'active', {at})", org(n)),
    )
    .await?;
    insert(
        &mut database,
        agents,
        "tokens (id, hash, last_four, scope, org_id, agent_id, created_at)",
        |n| {
            let (hash, org) = (hash(n), org(n));
            format!("('tok_bench{n}', '{hash}', '0000', 'agent', 'org_bench{org}', 'agt_bench{n}', {at})")
        },
    )
    .await?;
    insert(
        &mut database,
        agents,
        "channels (id, org_id, agent_id, channel, address, status, created_at)",
        |n| {
            let org = org(n);
            format!("('chn_bench{n}', 'org_bench{org}', 'agt_bench{n}', 'sms', '+1650{n:07}', 'active', {at})")
        },
    )
    .await
}

enum Database {
    Postgres(PgConnection),
    Sqlite(SqliteConnection),
}

impl Database {
    async fn connect(url: &str) -> anyhow::Result<Self> {
        Ok(match url.starts_with("postgres") {
            true => Self::Postgres(PgConnection::connect(url).await?),
            false => Self::Sqlite(SqliteConnection::connect(url).await?),
        })
    }

    async fn execute(&mut self, sql: String) -> anyhow::Result<()> {
        match self {
            Self::Postgres(connection) => connection.execute(AssertSqlSafe(sql)).await?.rows_affected(),
            Self::Sqlite(connection) => connection.execute(AssertSqlSafe(sql)).await?.rows_affected(),
        };
        Ok(())
    }
}

async fn insert(
    database: &mut Database,
    count: usize,
    table: &str,
    row: impl Fn(usize) -> String,
) -> anyhow::Result<()> {
    for first in (0..count).step_by(ROWS) {
        let rows: Vec<String> = (first..count.min(first + ROWS)).map(&row).collect();
        let sql = format!("INSERT INTO {table} VALUES {}", rows.join(", "));
        database.execute(sql).await?;
    }
    Ok(())
}
