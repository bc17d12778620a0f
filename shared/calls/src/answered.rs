//! Reports that an inbound call was answered. Carriers report that an inbound call rings and that it is over; only the relay
//! that talks with the caller knows when it was answered.

use butt_dial_domain::{
    call::{CallInfo, CallReport, CallStatus, Direction},
    clock::Timestamp,
    ports::bus::Headers,
};
use butt_dial_messaging::inbound::envelope::Envelope;

use crate::Calls;

/// Publishes the report durably. `at` is the start of the first session: later sessions repeat the same report, which is
/// deduplicated.
pub async fn report_answered(calls: &Calls, info: &CallInfo, at: Timestamp) {
    let Some(carrier_id) = info.carrier_id.clone() else {
        return;
    };
    if info.direction != Direction::Inbound {
        return;
    }
    let report = CallReport {
        carrier_id,
        direction: info.direction,
        from: info.remote.clone(),
        to: info.local.clone(),
        status: Some(CallStatus::InProgress),
        sequence: None,
        duration_seconds: None,
        at: Some(at),
        answered_by: None,
        price: None,
        session: None,
        recording: None,
        dialled: None,
        digits: None,
        error_code: None,
    };
    let envelope = Envelope::call(info, report);
    if calls
        .inbound
        .append(&info.carrier, &envelope, &Headers::new())
        .await
        .is_err()
    {
        tracing::info!(call = %info.call, "answer report not durable yet: the next session or the end of the call repeats it");
    }
}
