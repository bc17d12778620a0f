//! The parts of the product that the gateway uses, in one place.

use std::sync::Arc;

use butt_dial_accounts::Agents;
use butt_dial_billing::Billing;
use butt_dial_calls::Calls;
use butt_dial_domain::Clock;
use butt_dial_messaging::{Delivery, Media, Outbound};
use butt_dial_runtime::Platform;
use tokio_util::task::TaskTracker;

pub struct Product {
    pub agents: Agents,
    pub billing: Billing,
    pub calls: Arc<Calls>,
    pub delivery: Arc<Delivery>,
    pub media: Arc<Media>,
    pub outbound: Arc<Outbound>,
    pub clock: Clock,
    /// Operations run here, so that the process awaits them when it stops.
    pub tasks: TaskTracker,
}

impl Product {
    pub fn new(platform: &Platform) -> Self {
        Self {
            agents: platform.product.agents.clone(),
            billing: platform.product.billing.clone(),
            calls: platform.product.calls.clone(),
            delivery: platform.product.delivery.clone(),
            media: platform.product.media.clone(),
            outbound: platform.product.outbound.clone(),
            clock: platform.clock.clone(),
            tasks: platform.lifecycle.in_flight().clone(),
        }
    }
}
