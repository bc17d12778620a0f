//! Idempotency keys of a vendor. Resend and LINE remember them for 24 hours.

use std::collections::{HashMap, VecDeque};

use butt_dial_domain::clock::Timestamp;

const MAX_KEYS: usize = 20_000;

/// The first request under a key.
pub struct PriorRequest {
    pub request: [u8; 32],
    pub id: String,
    pub at: Timestamp,
}

/// The newest keys, each remembered for 24 hours.
#[derive(Default)]
pub struct IdempotencyKeys {
    first: HashMap<String, PriorRequest>,
    order: VecDeque<String>,
}

impl IdempotencyKeys {
    pub fn find(&self, key: &str, now: Timestamp) -> Option<&PriorRequest> {
        self.first
            .get(key)
            .filter(|first| now - first.at < chrono::Duration::hours(24))
    }

    pub fn insert(&mut self, key: &str, first: PriorRequest) {
        if self.first.insert(key.to_owned(), first).is_some() {
            // The key existed but was expired.
            self.order.retain(|known| known != key);
        }
        self.order.push_back(key.to_owned());
        if self.order.len() > MAX_KEYS
            && let Some(oldest) = self.order.pop_front()
        {
            self.first.remove(&oldest);
        }
    }
}
