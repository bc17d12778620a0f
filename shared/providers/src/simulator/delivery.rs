//! Deliveries after the vendor's response: status changes and status webhooks. They start after the response, and the
//! webhooks of one message keep their order.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Notify, Semaphore},
    time::Instant,
};

use super::{message::SimulatedMessage, state::SimulatorState, webhook_client::OutgoingWebhook};

/// More than a second of traffic. Beyond it the oldest plans are dropped and the status of their messages stays.
const MAX_PENDING: usize = 20_000;
const MAX_CONCURRENT_WEBHOOKS: usize = 64;

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

    async fn next(&self) -> DeliveryPlan {
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

/// Runs the due plans until the simulator stops.
pub async fn run(simulator: SimulatorState) {
    let permits = Arc::new(Semaphore::new(MAX_CONCURRENT_WEBHOOKS));
    loop {
        let mut plan = simulator.deliveries().next().await;
        let Some(status_webhook) = plan.status_webhook.take() else {
            if let Some(last) = plan.steps.last() {
                simulator.set_status(plan.vendor, &plan.carrier_id, last.status, last.error_code);
            }
            continue;
        };
        let Ok(permit) = permits.clone().acquire_owned().await else {
            return;
        };
        let owner = simulator.clone();
        simulator.spawn(async move {
            let _permit = permit;
            deliver(&owner, &plan, &status_webhook).await;
        });
    }
}

/// Applies the steps of one message and sends a webhook for each, with the vendor's webhook behavior.
async fn deliver(simulator: &SimulatorState, plan: &DeliveryPlan, status_webhook: &StatusWebhook) {
    let behavior = simulator.webhook_behavior(plan.vendor);
    let mut webhooks = Vec::with_capacity(plan.steps.len());
    for step in plan.steps {
        let changed = simulator.set_status(plan.vendor, &plan.carrier_id, step.status, step.error_code);
        let Some(webhook) = changed.map(|message| status_webhook(&message)) else {
            continue;
        };
        if behavior.reversed {
            webhooks.push(webhook);
        } else {
            post(simulator, &webhook, behavior.copies).await;
        }
    }
    for webhook in webhooks.iter().rev() {
        post(simulator, webhook, behavior.copies).await;
    }
}

async fn post(simulator: &SimulatorState, webhook: &OutgoingWebhook, copies: u32) {
    for _ in 0..copies.max(1) {
        simulator.post(webhook).await;
    }
}
