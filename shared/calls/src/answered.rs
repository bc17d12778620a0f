//! The beginning of a conversation, written down. Of a call to us a carrier tells that it rings, and then that it is over: that
//! it was answered between the two, only whoever talks with the caller knows.

use butt_dial_domain::{
    call::{CallReport, CallStatus, Direction},
    clock::Timestamp,
    ports::bus::Headers,
};

use super::state::CallInfo;
use crate::{
    Comms,
    inbound::{envelope::Envelope, publish},
};

/// `at` is when the first session began: told again with each one after it, it is the same report.
pub async fn report_answered(comms: &Comms, info: &CallInfo, at: Timestamp) {
    let Some(carrier_id) = info.carrier_id.clone().filter(|_| info.direction == Direction::Inbound) else {
        return;
    };
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
    if publish::append(comms, &info.carrier, &envelope, &Headers::new())
        .await
        .is_err()
    {
        tracing::info!(call = %info.call, "that a call was answered is told with its next session, or with its end");
    }
}
