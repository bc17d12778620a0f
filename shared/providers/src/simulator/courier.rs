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

use super::{message::SimulatedMessage, report::Report, world::World};

/// More than a second's traffic. Beyond it the oldest journeys are cut short: the message stays as it is.
const WAITING: usize = 20_000;
const REPORTERS: usize = 64;

/// One station of a message's way: its status, and the vendor's code for a failure.
pub struct Station {
    pub status: &'static str,
    pub error_code: Option<u32>,
}

pub type Reporter = Box<dyn Fn(&SimulatedMessage) -> Report + Send + Sync>;

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
    loop {
        let mut journey = world.courier().next().await;
        let Some(reporter) = journey.reporter.take() else {
            if let Some(last) = journey.stations.last() {
                world.set_status(journey.vendor, &journey.carrier_id, last.status, last.error_code);
            }
            continue;
        };
        let Ok(permit) = reporters.clone().acquire_owned().await else {
            return;
        };
        let traveller = world.clone();
        world.run(async move {
            let _permit = permit;
            tell(&traveller, &journey, &reporter).await;
        });
    }
}

/// Moves one message on and reports each station, in the manner of its vendor.
async fn tell(world: &World, journey: &Journey, reporter: &Reporter) {
    let manner = world.manner(journey.vendor);
    let mut reports = Vec::with_capacity(journey.stations.len());
    for station in journey.stations {
        let changed = world.set_status(journey.vendor, &journey.carrier_id, station.status, station.error_code);
        let Some(report) = changed.map(|message| reporter(&message)) else {
            continue;
        };
        if manner.reversed {
            reports.push(report);
        } else {
            post(world, &report, manner.copies).await;
        }
    }
    for report in reports.iter().rev() {
        post(world, report, manner.copies).await;
    }
}

async fn post(world: &World, report: &Report, copies: u32) {
    for _ in 0..copies.max(1) {
        world.post(report).await;
    }
}
