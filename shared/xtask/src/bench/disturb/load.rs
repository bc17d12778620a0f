//! The load: sends and webhooks, each repeated until it is acknowledged.

use std::{
    collections::BTreeMap,
    fmt,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use serde_json::Value;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::{
    super::{
        http_client::{Connection, Response},
        mcp_client, webhooks,
    },
    replicas::Addresses,
};

const CONNECTIONS: usize = 64;
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);
const RETRY_INTERVAL: Duration = Duration::from_millis(50);
/// The status of a request without an answer.
const NO_ANSWER: u16 = 0;

/// Sends and webhooks at the same rate.
pub struct Traffic {
    addresses: Arc<Addresses>,
    pub sends: Kind,
    pub webhooks: Kind,
    is_stopped: AtomicBool,
    started: Instant,
    interval: Duration,
}

/// One of the two kinds of requests.
pub struct Kind {
    name: &'static str,
    next: AtomicU64,
    seen: Mutex<Seen>,
}

/// The answers of a kind.
#[derive(Default)]
struct Seen {
    acknowledged: u64,
    /// Sends with an unknown outcome at the time of the answer.
    pending: u64,
    /// Other answers, by their status.
    others: BTreeMap<u16, u64>,
    last_other: Option<Instant>,
    slowest: Duration,
}

impl Traffic {
    pub fn new(rate: u64, addresses: Arc<Addresses>) -> Self {
        let kind = |name| Kind {
            name,
            next: AtomicU64::new(0),
            seen: Mutex::default(),
        };
        Self {
            addresses,
            sends: kind("sends"),
            webhooks: kind("webhooks"),
            is_stopped: AtomicBool::new(false),
            started: Instant::now(),
            interval: Duration::from_secs(1) / u32::try_from(rate).unwrap_or(u32::MAX),
        }
    }

    /// Ends the load after the requests that have begun.
    pub fn stop(&self) {
        self.is_stopped.store(true, Ordering::Relaxed);
    }

    /// Runs until `stop`, and until all is acknowledged.
    pub async fn run(&self) -> anyhow::Result<()> {
        let senders = (0..CONNECTIONS).map(|_| self.send());
        let carriers = (0..CONNECTIONS).map(|_| self.report());
        tokio::try_join!(
            futures::future::try_join_all(senders),
            futures::future::try_join_all(carriers)
        )?;
        Ok(())
    }

    /// Waits for the time of the next request of a kind, and returns its number.
    async fn next(&self, kind: &Kind) -> Option<u64> {
        let number = kind.next.fetch_add(1, Ordering::Relaxed);
        sleep_until(self.started + self.interval * u32::try_from(number).unwrap_or(u32::MAX)).await;
        if !self.is_stopped.load(Ordering::Relaxed) {
            return Some(number);
        }
        // The numbers that are used have no gap, because all later ones wait longer.
        None
    }

    /// Sends, each with its own key.
    async fn send(&self) -> anyhow::Result<()> {
        let mut connection = None;
        while let Some(number) = self.next(&self.sends).await {
            let started = Instant::now();
            for attempt in 0.. {
                let Some(endpoint) = self.addresses.gateway(number + attempt) else {
                    sleep(RETRY_INTERVAL).await;
                    continue;
                };
                let request = endpoint.post("/api/v1/send-message", "", &mcp_client::sms(number));
                let response = exchange(&mut connection, endpoint.address, &request).await;
                let status = response.as_ref().map_or(NO_ANSWER, |response| response.status);
                let is_pending = match response.filter(|response| response.status == 200) {
                    Some(response) => serde_json::from_str::<Value>(&response.body)?["status"] != "accepted",
                    None => false,
                };
                self.sends.record(status, is_pending, started);
                if status == 200 {
                    break;
                }
                sleep(RETRY_INTERVAL).await;
            }
        }
        Ok(())
    }

    /// Reports messages of persons.
    async fn report(&self) -> anyhow::Result<()> {
        let mut connection = None;
        while let Some(number) = self.next(&self.webhooks).await {
            let started = Instant::now();
            for attempt in 0.. {
                let Some(address) = self.addresses.ingest(number + attempt) else {
                    sleep(RETRY_INTERVAL).await;
                    continue;
                };
                let request = webhooks::request_at(self.addresses.public_url(), address, number);
                let response = exchange(&mut connection, address, &request).await;
                let status = response.map_or(NO_ANSWER, |response| response.status);
                self.webhooks.record(status, false, started);
                if status == 200 {
                    break;
                }
                sleep(RETRY_INTERVAL).await;
            }
        }
        Ok(())
    }
}

impl Kind {
    /// The number of acknowledged requests.
    pub fn acknowledged(&self) -> u64 {
        self.seen().acknowledged
    }

    /// The number of acknowledged sends with an unknown outcome at the time of the answer.
    pub fn pending(&self) -> u64 {
        self.seen().pending
    }

    /// The number of answers that acknowledged nothing.
    pub fn others(&self) -> u64 {
        self.seen().others.values().sum()
    }

    /// The time from `since` to the last answer that acknowledged nothing.
    pub fn recovery(&self, since: Instant) -> Duration {
        let last = self.seen().last_other;
        last.map_or(Duration::ZERO, |last| last.saturating_duration_since(since))
    }

    fn record(&self, status: u16, is_pending: bool, started: Instant) {
        let now = Instant::now();
        let mut seen = self.seen();
        if status == 200 {
            seen.acknowledged += 1;
            seen.pending += u64::from(is_pending);
            seen.slowest = seen.slowest.max(now - started);
        } else {
            *seen.others.entry(status).or_default() += 1;
            seen.last_other = Some(now);
        }
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Display for Traffic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for kind in [&self.sends, &self.webhooks] {
            let seen = kind.seen();
            writeln!(
                f,
                "{} {} acknowledged ({} pending), the slowest after {:.0} ms",
                seen.acknowledged,
                kind.name,
                seen.pending,
                seen.slowest.as_secs_f64() * 1e3
            )?;
            for (status, count) in &seen.others {
                match *status {
                    NO_ANSWER => writeln!(f, "  {count} requests without an answer, repeated")?,
                    _ => writeln!(f, "  {count} answers {status}, repeated")?,
                }
            }
        }
        Ok(())
    }
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
