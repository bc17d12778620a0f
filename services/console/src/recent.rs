//! Values of organizations that all open pages share for a moment, so that many of them cost as much as one.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use butt_dial_domain::OrgId;

/// How long open pages share a value.
const LIFETIME: Duration = Duration::from_millis(1_800);
/// Values of more organizations are not kept.
const MAX: usize = 1_000;

pub struct Recent<T>(Mutex<HashMap<OrgId, (Instant, T)>>);

impl<T> Default for Recent<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: Clone> Recent<T> {
    /// Returns the known value. `None`: the caller has to read a new one; others get the old one meanwhile.
    pub fn find(&self, org: &OrgId) -> Option<T> {
        let mut values = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, known) = values.get_mut(org)?;
        if at.elapsed() < LIFETIME {
            return Some(known.clone());
        }
        *at = Instant::now();
        None
    }

    pub fn keep(&self, org: &OrgId, value: T) {
        let mut values = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if values.len() >= MAX {
            values.clear();
        }
        values.insert(org.clone(), (Instant::now(), value));
    }
}
