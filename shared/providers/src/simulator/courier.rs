//! What happens to messages after the vendor's answer: they are sent, delivered or lost, and whoever asked is told.
//! Never before the answer has left, and one message's reports in order.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Notify, Semaphore},
    time::Instant,
};

use super::{message::SimulatedMessage, world::World};

/// More than a second's traffic. Beyond it the oldest journeys are cut short: the message stays as it is.
const WAITING: usize = 20_000;
const REPORTERS: usize = 64;
const REPORT_DEADLINE: Duration = Duration::from_secs(5);

/// One station of a message's way: its status, and the vendor's code for a failure.
pub struct Station {
    pub status: &'static str,
    pub error_code: Option<u32>,
}

/// A report that is to be posted.
pub struct Report {
    pub url: String,
    pub headers: Vec<(&'static str, String)>,
    pub body: String,
}

type Reporter = Box<dyn Fn(&SimulatedMessage) -> Report + Send + Sync>;

pub struct Journey {
    pub vendor: &'static str,
    pub carrier_id: String,
    pub stations: &'static [Station],
    /// Asked at every station, where somebody wants to know.
    pub reporter: Option<Reporter>,
}

#[derive(Default)]
pub struct Courier {
    waiting: Mutex<VecDeque<(Instant, Journey)>>,
    wake: Notify,
}

impl Courier {
    pub fn dispatch(&self, journey: Journey, after: Duration) {
        let due = Instant::now() + after;
        {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            if waiting.len() == WAITING {
                waiting.pop_front();
            }
            waiting.push_back((due, journey));
        }
        self.wake.notify_one();
    }

    async fn next(&self) -> Journey {
        loop {
            let due = {
                let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
                match waiting.front().map(|(due, _)| *due) {
                    Some(due) if due <= Instant::now() => match waiting.pop_front() {
                        Some((_, journey)) => return journey,
                        None => None,
                    },
                    due => due,
                }
            };
            match due {
                Some(due) => tokio::time::sleep_until(due).await,
                None => self.wake.notified().await,
            }
        }
    }
}

/// Moves messages on, for as long as the world runs.
pub async fn work(world: World) {
    let reporters = Arc::new(Semaphore::new(REPORTERS));
    let mut http = None;
    loop {
        let journey = world.courier().next().await;
        let Some(reporter) = journey.reporter else {
            if let Some(last) = journey.stations.last() {
                world.set_status(journey.vendor, &journey.carrier_id, last.status, last.error_code);
            }
            continue;
        };
        let Some(client) = connect_once(&mut http) else {
            continue;
        };
        let Ok(permit) = reporters.clone().acquire_owned().await else {
            return;
        };
        let traveller = world.clone();
        world.run(async move {
            let _permit = permit;
            for station in journey.stations {
                let changed =
                    traveller.set_status(journey.vendor, &journey.carrier_id, station.status, station.error_code);
                if let Some(message) = changed {
                    post(&client, reporter(&message)).await;
                }
            }
        });
    }
}

fn connect_once(http: &mut Option<reqwest::Client>) -> Option<reqwest::Client> {
    if http.is_none() {
        match crate::http::client() {
            Ok(client) => *http = Some(client),
            Err(error) => tracing::warn!(%error, "the simulator can't report"),
        }
    }
    http.clone()
}

/// Vendors promise no more than one try, and neither does this.
async fn post(client: &reqwest::Client, report: Report) {
    let mut request = client
        .post(&report.url)
        .timeout(REPORT_DEADLINE)
        .header("content-type", "application/x-www-form-urlencoded; charset=utf-8")
        .body(report.body);
    for (name, value) in report.headers {
        request = request.header(name, value);
    }
    if let Err(error) = request.send().await {
        tracing::debug!(error = %error.without_url(), "nobody took the simulator's report");
    }
}
