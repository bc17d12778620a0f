//! Signed SMS webhooks, as Twilio sends them, and the yardstick: a route that checks the same signature and does nothing else.

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

use super::{http::Connection, mcp::Job};

/// Where carriers are told to call. Signatures cover it; the requests themselves go to the address of the process.
pub const PUBLIC_URL: &str = "https://bench.example";
const PATH: &str = "/webhooks/twilio/sms";
/// The number that the webhooks are for.
pub const NUMBER: &str = "+14155550100";

/// What the simulators' adapters sign and check with.
pub fn simulated(name: &str) -> &'static str {
    let vendors = butt_dial_providers::VENDORS.iter();
    let mut values = vendors.flat_map(|vendor| vendor.simulated);
    values.find(|(env, _)| *env == name).map_or("", |(_, value)| value)
}

/// A webhook that nobody has sent before, and its signature.
pub fn request(address: SocketAddr, n: u64) -> Vec<u8> {
    let sid = format!("SM{:08x}{n:024x}", std::process::id());
    let fields: Vec<(String, String)> = [
        ("MessageSid", sid.as_str()),
        ("SmsSid", &sid),
        ("SmsMessageSid", &sid),
        ("AccountSid", simulated("TWILIO_ACCOUNT_SID")),
        ("From", &format!("+1415555{:04}", n % 10_000)),
        ("To", NUMBER),
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
    signed(address, PATH, &fields)
}

/// A request of the carrier's at this path of the public address.
pub fn signed(address: SocketAddr, path: &str, fields: &[(String, String)]) -> Vec<u8> {
    let signature = signature(&format!("{PUBLIC_URL}{path}"), fields);
    let body = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(fields)
        .finish();
    format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\n{HEADER}: {signature}\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// The carrier's, over a public URL and the fields that are sent there.
pub fn signature(url: &str, fields: &[(String, String)]) -> String {
    webhook::sign(&Secret::new(simulated("TWILIO_AUTH_TOKEN")), url, Payload::Form(fields))
}

/// What a load of webhooks came to.
pub struct Load {
    pub count: u64,
    pub rate: f64,
    pub p50: Duration,
    pub p99: Duration,
}

static NEXT: AtomicU64 = AtomicU64::new(0);

/// As many as go in the job's time.
pub async fn load(address: SocketAddr, job: Job) -> anyhow::Result<Load> {
    let end = Instant::now() + job.time;
    run(address, job.connections, || Instant::now() < end).await
}

/// So many, as fast as they go.
pub async fn send(address: SocketAddr, connections: usize, count: u64) -> anyhow::Result<Load> {
    let left = AtomicU64::new(count);
    let take = || {
        left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1))
            .is_ok()
    };
    run(address, connections, take).await
}

async fn run(address: SocketAddr, connections: usize, more: impl Fn() -> bool) -> anyhow::Result<Load> {
    let begun = Instant::now();
    let more = &more;
    let callers = (0..connections).map(|_| async move {
        let mut connection = Connection::open(address).await?;
        let mut times = Vec::new();
        while more() {
            let request = request(address, NEXT.fetch_add(1, Ordering::Relaxed));
            let begun = Instant::now();
            let answer = connection.exchange(&request).await?;
            times.push(begun.elapsed());
            ensure!(answer.status == 200, "a webhook was answered {}", answer.status);
        }
        Ok::<_, anyhow::Error>(times)
    });
    let mut times = futures::future::try_join_all(callers).await?.concat();
    let took = begun.elapsed();
    times.sort_unstable();
    ensure!(!times.is_empty(), "no webhook was sent");
    Ok(Load {
        count: times.len() as u64,
        rate: times.len() as f64 / took.as_secs_f64(),
        p50: percentile(&times, 50),
        p99: percentile(&times, 99),
    })
}

/// Of sorted times.
pub fn percentile(times: &[Duration], percent: usize) -> Duration {
    let at = (times.len() * percent / 100).min(times.len().saturating_sub(1));
    times.get(at).copied().unwrap_or_default()
}

pub fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// One webhook; returns when it is answered.
pub async fn one(connection: &mut Connection, address: SocketAddr) -> anyhow::Result<u64> {
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    let answer = connection.exchange(&request(address, n)).await?;
    ensure!(answer.status == 200, "a webhook was answered {}", answer.status);
    Ok(n)
}

/// The yardstick; prints its address first, and serves until it is killed.
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
