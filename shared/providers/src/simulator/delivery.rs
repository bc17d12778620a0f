//! Deliveries after the vendor's response: status changes and status webhooks. They start after the response, and the
//! webhooks of one message keep their order.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::{
    delivery_queue::{DeliveryPlan, StatusWebhook},
    state::SimulatorState,
    webhook::OutgoingWebhook,
};

const MAX_CONCURRENT_WEBHOOKS: usize = 64;

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
