//! Fixtures for the tests of this crate.

use std::sync::Arc;

use butt_dial_domain::{
    CallId,
    call::{CallInfo, CallReport, CallStatus, Direction, Plan, Purpose},
    clock::Timestamp,
};
use butt_dial_messaging::{PublicUrls, testing::Bench as MessagingBench};
use butt_dial_store::Agent;
use prometheus::Registry;

use super::{handle::Calls, metrics::Metrics, settings::CallSettings, state::CallState};

/// Calls on the database and the scripted bus of the messaging tests.
pub struct Bench {
    pub messaging: MessagingBench,
    pub calls: Arc<Calls>,
    pub agent: Agent,
}

impl Bench {
    pub async fn new() -> Self {
        let messaging = MessagingBench::new().await;
        let calls = Calls::builder()
            .store(messaging.store.clone())
            .kv(messaging.kv.clone())
            .bus(messaging.bus.clone())
            .billing(messaging.billing.clone())
            .compliance(messaging.compliance.clone())
            .carriers(Default::default())
            .public_urls(PublicUrls::default())
            .outbound(messaging.outbound.clone())
            .inbound(messaging.inbound.clone())
            .delivery(messaging.delivery.clone())
            .vault(messaging.vault.clone())
            .clock(messaging.clock.clone())
            .replica(messaging.replica.clone())
            .settings(CallSettings::default())
            .metrics(Metrics::register(&Registry::new()).unwrap())
            .webhook_metrics(messaging.metrics.clone())
            .tasks(messaging.tasks.clone())
            .build();
        Self {
            calls,
            agent: messaging.agent.clone(),
            messaging,
        }
    }
}

/// A live inbound call.
pub fn inbound_state() -> CallState {
    let now = Timestamp::UNIX_EPOCH;
    CallState::new(CallInfo {
        call: CallId::generate(),
        org: "org_1".into(),
        agent: "agt_1".into(),
        carrier: "simulator".into(),
        account: None,
        carrier_id: Some("CA1".into()),
        direction: Direction::Inbound,
        local: "+14155550100".into(),
        remote: "+14155550123".into(),
        name: "Ada".into(),
        plan: Plan {
            purpose: Purpose::Converse,
            ..Plan::default()
        },
        language: "en-US".into(),
        started_at: now,
        limit_at: now,
    })
}

/// The report that this call is completed.
pub fn completed() -> CallReport {
    CallReport {
        carrier_id: "CA1".into(),
        direction: Direction::Inbound,
        from: "+14155550123".into(),
        to: "+14155550100".into(),
        status: Some(CallStatus::Completed),
        sequence: None,
        duration_seconds: None,
        at: None,
        answered_by: None,
        price: None,
        session: None,
        recording: None,
        dialled: None,
        digits: None,
        error_code: None,
    }
}
