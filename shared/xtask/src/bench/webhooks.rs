//! Signed SMS webhooks in the format of Twilio, and their baseline: a route that only verifies the same signature.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use anyhow::ensure;
use axum::{
    Router,
    body::Bytes,
    http::{HeaderMap, StatusCode},
    routing::post,
    serve::ListenerExt,
};
use butt_dial_providers::{
    Secret,
    twilio::webhook::{self, HEADER, Payload},
};

use super::{http_client::Connection, load::Load};

/// The address that carriers call. Signatures cover it; requests go to the address of the process.
pub const PUBLIC_URL: &str = "https://bench.example";
const PATH: &str = "/webhooks/twilio/sms";
/// The receiver of the webhooks.
pub const NUMBER: &str = "+14155550100";

/// Returns a credential of the simulated vendors.
pub fn simulated(name: &str) -> &'static str {
    let vendors = butt_dial_providers::VENDORS.iter();
    let mut values = vendors.flat_map(|vendor| vendor.simulated_settings);
    values.find(|(env, _)| *env == name).map_or("", |(_, value)| value)
}

/// Returns the number of one of the agents that `--only partitions` creates.
pub fn number_of_agent(n: u64) -> String {
    format!("+1202555{n:04}")
}

/// Builds webhook number `n`, with a message id that is unique in this run.
pub fn request(address: SocketAddr, n: u64) -> Vec<u8> {
    request_to(PUBLIC_URL, address, n, NUMBER)
}

/// Builds webhook number `n` of an installation with this public address.
pub fn request_at(public_url: &str, address: SocketAddr, n: u64) -> Vec<u8> {
    request_to(public_url, address, n, NUMBER)
}

fn request_to(public_url: &str, address: SocketAddr, n: u64, to: &str) -> Vec<u8> {
    let sid = format!("SM{:08x}{n:024x}", std::process::id());
    let fields: Vec<(String, String)> = [
        ("MessageSid", sid.as_str()),
        ("SmsSid", &sid),
        ("SmsMessageSid", &sid),
        ("AccountSid", simulated("TWILIO_ACCOUNT_SID")),
        ("From", &format!("+1415555{:04}", n % 10_000)),
        ("To", to),
        (
            "Body",
            &format!("Is my order number {n} on its way? I have been waiting since Tuesday."),
        ),
        ("NumMedia", "0"),
        ("NumSegments", "1"),
        ("SmsStatus", "received"),
        ("ApiVersion", "2010-04-01"),
        ("FromCity", "SAN FRANCISCO"),
        ("FromState", "CA"),
        ("FromZip", "94105"),
        ("FromCountry", "US"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    signed_at(public_url, address, PATH, &fields)
}

/// Builds a signed request of the carrier to this path of the public address.
pub fn signed(address: SocketAddr, path: &str, fields: &[(String, String)]) -> Vec<u8> {
    signed_at(PUBLIC_URL, address, path, fields)
}

fn signed_at(public_url: &str, address: SocketAddr, path: &str, fields: &[(String, String)]) -> Vec<u8> {
    let signature = signature(&format!("{public_url}{path}"), fields);
    let body = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(fields)
        .finish();
    format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\n{HEADER}: {signature}\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// Signs a public URL and the fields of a request as the carrier does.
pub fn signature(url: &str, fields: &[(String, String)]) -> String {
    webhook::sign(&Secret::new(simulated("TWILIO_AUTH_TOKEN")), url, Payload::Form(fields))
}

/// The result of a load of webhooks.
pub struct LoadResult {
    pub count: u64,
    pub rate: f64,
    pub p50: Duration,
    pub p99: Duration,
}

static NEXT: AtomicU64 = AtomicU64::new(0);

/// Sends webhooks for the duration of the load.
pub async fn send_for(address: SocketAddr, load: Load) -> anyhow::Result<LoadResult> {
    let end = Instant::now() + load.duration;
    run(address, load.connections, || Instant::now() < end, request).await
}

/// Sends `count` webhooks as fast as possible.
pub async fn send_count(address: SocketAddr, connections: usize, count: u64) -> anyhow::Result<LoadResult> {
    let left = AtomicU64::new(count);
    let take = || {
        left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1))
            .is_ok()
    };
    run(address, connections, take, request).await
}

/// Sends `count` webhooks to this many agents in turn.
pub async fn send_to_agents(
    address: SocketAddr,
    connections: usize,
    count: u64,
    agents: u64,
) -> anyhow::Result<LoadResult> {
    let left = AtomicU64::new(count);
    let take = || {
        left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1))
            .is_ok()
    };
    let build = |address, n| request_to(PUBLIC_URL, address, n, &number_of_agent(n % agents));
    run(address, connections, take, build).await
}

async fn run(
    address: SocketAddr,
    connections: usize,
    has_next: impl Fn() -> bool,
    build: impl Fn(SocketAddr, u64) -> Vec<u8>,
) -> anyhow::Result<LoadResult> {
    let started = Instant::now();
    let (has_next, build) = (&has_next, &build);
    let callers = (0..connections).map(|_| async move {
        let mut connection = Connection::open(address).await?;
        let mut times = Vec::new();
        while has_next() {
            let request = build(address, NEXT.fetch_add(1, Ordering::Relaxed));
            let sent = Instant::now();
            let response = connection.exchange(&request).await?;
            times.push(sent.elapsed());
            ensure!(response.status == 200, "a webhook got status {}", response.status);
        }
        Ok::<_, anyhow::Error>(times)
    });
    let mut times = futures::future::try_join_all(callers).await?.concat();
    let duration = started.elapsed();
    times.sort_unstable();
    ensure!(!times.is_empty(), "no webhook was sent");
    Ok(LoadResult {
        count: times.len() as u64,
        rate: times.len() as f64 / duration.as_secs_f64(),
        p50: percentile(&times, 50),
        p99: percentile(&times, 99),
    })
}

/// Returns a percentile of sorted times.
pub fn percentile(times: &[Duration], percent: usize) -> Duration {
    let at = (times.len() * percent / 100).min(times.len().saturating_sub(1));
    times.get(at).copied().unwrap_or_default()
}

pub fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Sends one webhook and waits for its response.
pub async fn send_one(connection: &mut Connection, address: SocketAddr) -> anyhow::Result<u64> {
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    let response = connection.exchange(&request(address, n)).await?;
    ensure!(response.status == 200, "a webhook got status {}", response.status);
    Ok(n)
}

/// Serves the baseline: prints the address and runs until the process is killed.
pub async fn bare() -> anyhow::Result<()> {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
    println!("{}", listener.local_addr()?);
    let listener = listener.tap_io(|socket| drop(socket.set_nodelay(true)));
    axum::serve(listener, Router::new().route(PATH, post(verify))).await?;
    Ok(())
}

async fn verify(headers: HeaderMap, body: Bytes) -> StatusCode {
    let fields: Vec<(String, String)> = url::form_urlencoded::parse(&body).into_owned().collect();
    let tokens = [Secret::new(simulated("TWILIO_AUTH_TOKEN"))];
    let signature = headers
        .get(HEADER)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    if webhook::verify(
        &tokens,
        &format!("{PUBLIC_URL}{PATH}"),
        Payload::Form(&fields),
        signature,
    ) {
        StatusCode::OK
    } else {
        StatusCode::FORBIDDEN
    }
}
