//! Resumes the delivery of waiting events when an agent has a listener again.

use std::sync::Arc;

use butt_dial_messaging::Delivery;
use butt_dial_sessions::ReadyHook;
use futures::FutureExt;

pub fn ready_hook(delivery: Arc<Delivery>) -> ReadyHook {
    Arc::new(move |agent| {
        let delivery = delivery.clone();
        async move { delivery.schedule_now(&agent).await }.boxed()
    })
}
