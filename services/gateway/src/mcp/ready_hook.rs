//! Resumes the delivery of waiting events when an agent has a listener again.

use std::sync::Arc;

use butt_dial_comms::Comms;
use butt_dial_sessions::ReadyHook;
use futures::FutureExt;

pub fn ready_hook(comms: Comms) -> ReadyHook {
    Arc::new(move |agent| {
        let comms = comms.clone();
        async move { Ok(comms.store.schedule_now(&agent, comms.clock.now()).await?) }.boxed()
    })
}
