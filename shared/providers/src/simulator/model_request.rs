//! The records of requests to simulated language models.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use butt_dial_domain::clock::Timestamp;
use serde::Serialize;
use tokio::sync::watch;

const MAX_REQUESTS: usize = 1_000;

/// One request to a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ModelRequest {
    pub vendor: &'static str,
    pub started_at: Timestamp,
    /// When the first text was sent.
    pub first_piece_at: Option<Timestamp>,
    /// `None` while the request runs.
    pub ended: Option<RequestEnd>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "how", content = "at", rename_all = "snake_case")]
pub enum RequestEnd {
    Finished(Timestamp),
    /// The client disconnected before the end.
    Cancelled(Timestamp),
}

/// The newest requests to all models.
#[derive(Default)]
pub struct ModelRequests {
    log: Mutex<RequestLog>,
    /// Notified of each change.
    changed: watch::Sender<()>,
}

#[derive(Default)]
struct RequestLog {
    requests: VecDeque<ModelRequest>,
    /// The number of the oldest kept request.
    oldest: u64,
}

impl ModelRequests {
    /// Returns the kept requests, oldest first.
    pub fn all(&self) -> Vec<ModelRequest> {
        self.log().requests.iter().cloned().collect()
    }

    /// Notifies of each change.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// Adds a request and returns its number.
    pub fn push(&self, request: ModelRequest) -> u64 {
        let number = {
            let mut log = self.log();
            if log.requests.len() == MAX_REQUESTS {
                log.requests.pop_front();
                log.oldest += 1;
            }
            log.requests.push_back(request);
            log.oldest + log.requests.len() as u64 - 1
        };
        self.changed.send_replace(());
        number
    }

    /// Changes the request with this number, if it is still kept.
    pub fn update(&self, number: u64, change: impl FnOnce(&mut ModelRequest)) {
        {
            let mut log = self.log();
            let place = number.checked_sub(log.oldest).and_then(|n| usize::try_from(n).ok());
            if let Some(request) = place.and_then(|place| log.requests.get_mut(place)) {
                change(request);
            }
        }
        self.changed.send_replace(());
    }

    fn log(&self) -> MutexGuard<'_, RequestLog> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
