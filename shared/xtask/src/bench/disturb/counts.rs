//! The counts at the carrier and in the database, after the load.

use std::time::Duration;

use anyhow::Context;
use serde_json::Value;
use sqlx::{Connection as _, PgConnection};
use tokio::time::{Instant, sleep};

use super::{
    super::{http_client::Connection, servers::Servers},
    load::Traffic,
};

/// After the load: unknown sends are reconciled, and the rest of the log is applied.
const END_TIMEOUT: Duration = Duration::from_secs(300);
/// Longer than a dead replica's leases, after which another one would repeat its work.
const SETTLE_TIME: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub struct Counts {
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
    pub fn are_equal(&self, traffic: &Traffic) -> bool {
        let count = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        let (sends, webhooks) = (
            count(traffic.sends.acknowledged()),
            count(traffic.webhooks.acknowledged()),
        );
        // A send of a killed gateway that never reached the carrier is unconfirmed: the carrier does not have it, and its client was
        // not promised that it has.
        (sends, webhooks) > (0, 0)
            && count(self.at_carrier) == self.accepted
            && self.unconfirmed <= count(traffic.sends.pending())
            && self.accepted + self.unconfirmed == sends
            && (self.failed, self.open, self.dead_letters) == (0, 0, 0)
            && (self.events, self.different_events) == (webhooks, webhooks)
    }
}

pub async fn wait_for_end(servers: &Servers, traffic: &Traffic) -> anyhow::Result<Counts> {
    let started = Instant::now();
    loop {
        let counts = read(servers).await?;
        let is_done = counts.open == 0 && counts.events >= i64::try_from(traffic.webhooks.acknowledged())?;
        if is_done {
            println!(
                "all applied and reconciled {:.0} s after the load",
                started.elapsed().as_secs_f64()
            );
            // A second send or event of the same work comes later.
            sleep(SETTLE_TIME).await;
            return read(servers).await;
        }
        if started.elapsed() > END_TIMEOUT {
            return Ok(counts);
        }
        sleep(Duration::from_secs(1)).await;
    }
}

async fn read(servers: &Servers) -> anyhow::Result<Counts> {
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
