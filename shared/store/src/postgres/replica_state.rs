//! The state of the replica for lists: whether it is used, and how old its data is.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

/// The state of the replica, for the metrics.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ReplicaStatus {
    /// Lists are read from it.
    pub is_used: bool,
    /// The age of its data in seconds. `None`: unknown, because one of the servers does not answer.
    pub lag: Option<f64>,
    /// Reads that failed on it and were repeated on the primary.
    pub fallbacks: u64,
}

#[derive(Debug)]
pub(crate) struct ReplicaState {
    max_lag: Duration,
    is_used: AtomicBool,
    fallbacks: AtomicU64,
    lag: Mutex<Option<Duration>>,
}

impl ReplicaState {
    pub fn new(max_lag: Duration) -> Self {
        Self {
            max_lag,
            is_used: AtomicBool::new(false),
            fallbacks: AtomicU64::new(0),
            lag: Mutex::new(None),
        }
    }

    pub fn is_used(&self) -> bool {
        self.is_used.load(Ordering::Relaxed)
    }

    /// Notes a failed read, which the primary answers.
    pub fn note_failure(&self, error: &dyn std::fmt::Display) {
        self.fallbacks.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(%error, "read from the replica failed");
    }

    pub fn status(&self) -> ReplicaStatus {
        let lag = *self.lag.lock().unwrap_or_else(PoisonError::into_inner);
        ReplicaStatus {
            is_used: self.is_used(),
            lag: lag.map(|lag| lag.as_secs_f64()),
            fallbacks: self.fallbacks.load(Ordering::Relaxed),
        }
    }

    /// Decides whether the replica is used. `None`: the age of its data is not known yet.
    pub fn update(&self, lag: Result<Option<Duration>, String>) {
        let (lag, reason) = match lag {
            Ok(Some(lag)) => (Some(lag), "it lags behind the primary".to_owned()),
            Ok(None) => (None, "it has not caught up yet".to_owned()),
            Err(reason) => (None, reason),
        };
        *self.lag.lock().unwrap_or_else(PoisonError::into_inner) = lag;
        let is_used = lag.is_some_and(|lag| lag <= self.max_lag);
        if self.is_used.swap(is_used, Ordering::Relaxed) == is_used {
            return;
        }
        let lag_seconds = lag.map(|lag| lag.as_secs_f64());
        match is_used {
            true => tracing::info!(lag_seconds, "lists are read from the replica"),
            false => tracing::warn!(lag_seconds, %reason, "lists are read from the primary"),
        }
    }
}
