//! The queue of planned deliveries: the status changes of each message, by due time.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

use super::{message::SimulatedMessage, webhook::OutgoingWebhook};

/// More than a second of traffic. Beyond it the oldest plans are dropped and the status of their messages stays.
const MAX_PENDING: usize = 20_000;

/// One status of a message, with the vendor's error code for a failure.
pub struct DeliveryStep {
    pub status: &'static str,
    pub error_code: Option<u32>,
}

pub type StatusWebhook = Box<dyn Fn(&SimulatedMessage) -> OutgoingWebhook + Send + Sync>;

pub struct DeliveryPlan {
    pub vendor: &'static str,
    pub carrier_id: String,
    pub steps: &'static [DeliveryStep],
    /// Builds the webhook for each step, if the vendor sends one.
    pub status_webhook: Option<StatusWebhook>,
}

#[derive(Default)]
pub struct DeliveryQueue {
    pending: Mutex<VecDeque<(Instant, DeliveryPlan)>>,
    wake: Notify,
}

impl DeliveryQueue {
    pub fn schedule(&self, plan: DeliveryPlan, after: Duration) {
        let due = Instant::now() + after;
        {
            let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
            if pending.len() == MAX_PENDING {
                pending.pop_front();
            }
            pending.push_back((due, plan));
        }
        self.wake.notify_one();
    }

    /// Waits for the next plan that is due.
    pub async fn next(&self) -> DeliveryPlan {
        loop {
            let due = {
                let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
                match pending.front().map(|(due, _)| *due) {
                    Some(due) if due <= Instant::now() => match pending.pop_front() {
                        Some((_, plan)) => return plan,
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
