//! What happens to messages after the vendor's answer: they are sent, delivered or lost, and whoever asked is told.
//! Never before the answer has left, and one message's webhooks in order.

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

/// More than a second's traffic. Beyond it the oldest journeys are cut short: the message stays as it is.
const MAX_PENDING: usize = 20_000;
const MAX_CONCURRENT_WEBHOOKS: usize = 64;

/// One step of a message's way: its status, and the vendor's code for a failure.
pub struct DeliveryStep {
    pub status: &'static str,
    pub error_code: Option<u32>,
}

pub type StatusWebhook = Box<dyn Fn(&SimulatedMessage) -> OutgoingWebhook + Send + Sync>;

pub struct DeliveryPlan {
    pub vendor: &'static str,
    pub carrier_id: String,
    pub steps: &'static [DeliveryStep],
    /// Asked at every step, where somebody wants to know.
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

/// Moves messages on, for as long as the simulator runs.
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

/// Moves one message on and webhooks each step, in the behavior of its vendor.
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
