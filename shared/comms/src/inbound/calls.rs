//! What is told of calls, written down: the call's own record, and what its agent learns when it is over.

use base64::{Engine, engine::general_purpose::STANDARD};
use butt_dial_domain::{
    Channel,
    call::{CallStatus, Direction},
};
use butt_dial_store::{CallChange, CallEntry, Conclusion, InboundRow};
use chrono::SecondsFormat;
use serde_json::json;

use super::envelope::CallNotice;
use crate::{Comms, calls::conclude::MACHINE, delivery::view::CALL_ENDED};

pub fn change(comms: &Comms, carrier: &str, notice: &CallNotice) -> CallChange {
    let report = &notice.report;
    let concluded = notice.conclusion.as_ref();
    CallChange {
        id: Some(notice.call.clone()),
        carrier: carrier.to_owned(),
        carrier_id: Some(report.carrier_id.clone()),
        open: Some(CallEntry {
            id: notice.call.clone(),
            org: notice.org.clone(),
            agent: notice.agent.clone(),
            direction: report.direction,
            carrier: carrier.to_owned(),
            carrier_id: Some(report.carrier_id.clone()),
            local_number: notice.local.clone(),
            remote_number: notice.remote.clone(),
            at: notice.started_at,
        }),
        status: report.status,
        at: report.at.unwrap_or_else(|| comms.clock.now()),
        duration_seconds: report.duration_seconds,
        answered_by: report.answered_by,
        price: report.price,
        error_code: report.error_code.clone(),
        recording: report.recording.clone(),
        conclusion: concluded.map(|conclusion| Conclusion {
            handled_by: conclusion.handled_by.clone(),
            end_reason: conclusion.end_reason.clone(),
            turns: conclusion.turns,
            latency: conclusion.latency.clone(),
            content: conclusion
                .transcript
                .as_ref()
                .and_then(|sealed| STANDARD.decode(sealed).ok()),
        }),
    }
}

/// The agent learns once how a call of its own ended, and of a call that it has missed. It knows of a call that it has
/// talked on; and a message that was left speaks for itself.
pub fn event(comms: &Comms, notice: &CallNotice) -> Option<InboundRow> {
    let conclusion = notice.conclusion.as_ref()?;
    let report = &notice.report;
    let is_missed = conclusion.handled_by == MACHINE;
    if report.direction == Direction::Inbound && !is_missed {
        return None;
    }
    let status = report.status.unwrap_or(CallStatus::Completed);
    let (from, to) = report.direction.ends(&notice.local, &notice.remote);
    let now = comms.clock.now().to_rfc3339_opts(SecondsFormat::Millis, true);
    Some(InboundRow {
        id: format!("evt_{}_ended", notice.call),
        kind: CALL_ENDED,
        channel: Channel::Voice,
        contact: notice.remote.clone(),
        data: json!({
            "type": CALL_ENDED, "callId": notice.call, "callSid": report.carrier_id, "direction": report.direction,
            "from": from, "to": to, "callStatus": status, "durationSeconds": report.duration_seconds,
            "answeredBy": report.answered_by, "handledBy": conclusion.handled_by, "turns": conclusion.turns,
            "timestamp": now,
        }),
        content: None,
        is_incomplete: false,
        is_quiet: false,
        channel_id: None,
        consent: None,
        follow_up: None,
        agent: notice.agent.clone(),
        org: notice.org.clone(),
    })
}
