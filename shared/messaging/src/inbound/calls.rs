//! Turns webhook events about calls into database rows: the change to the call's row, and the `call_ended` event for its
//! agent.

use base64::{Engine, engine::general_purpose::STANDARD};
use butt_dial_domain::{
    Address, AgentId, Channel, OrgId,
    call::{CallStatus, Direction, HandledBy},
    clock::Timestamp,
    spoken_revocation::SpokenRevocation,
};
use butt_dial_store::{CallChange, CallEntry, Conclusion, ConsentEvidence, ConsentMethod, InboundRow};
use butt_dial_vault::Vault;
use chrono::SecondsFormat;
use serde_json::json;

use super::envelope::CallEvent;
use crate::{
    EventContent,
    delivery::{CALL_ENDED, CALL_RECORDED},
};

/// Builds the change that a report makes to the row of its call. `now` is used where the carrier reports no time.
pub fn change(carrier: &str, event: &CallEvent, now: Timestamp) -> CallChange {
    let report = &event.report;
    let concluded = event.conclusion.as_ref();
    CallChange {
        id: Some(event.call.clone()),
        carrier: carrier.to_owned(),
        carrier_id: Some(report.carrier_id.clone()),
        open: Some(CallEntry {
            id: event.call.clone(),
            org: event.org.clone(),
            agent: event.agent.clone(),
            direction: report.direction,
            carrier: carrier.to_owned(),
            carrier_id: Some(report.carrier_id.clone()),
            local_number: event.local.clone(),
            remote_number: event.remote.clone(),
            at: event.started_at,
        }),
        status: report.status,
        at: report.at.unwrap_or(now),
        duration_seconds: report.duration_seconds,
        answered_by: report.answered_by,
        price: report.price,
        error_code: report.error_code.clone(),
        recording: report.recording.clone(),
        conclusion: concluded.map(|conclusion| Conclusion {
            handled_by: conclusion.handled_by.as_str().to_owned(),
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

/// Builds the event about the recording of a conversation, which is still to be fetched.
pub fn recorded(
    vault: &Vault,
    (org, agent): (OrgId, AgentId),
    carrier: &str,
    id: String,
    content: &EventContent,
) -> Option<InboundRow> {
    let message = &content.message;
    let recording = message.call_recording?;
    Some(
        InboundRow::builder()
            .kind(CALL_RECORDED)
            .channel(Channel::Voice)
            .contact(message.from.clone())
            .data(json!({
                "type": CALL_RECORDED, "callId": message.call, "channel": Channel::Voice, "provider": carrier,
                "direction": recording.direction, "from": message.from, "to": message.to,
                "durationSeconds": recording.seconds,
            }))
            .content(content.seal(vault, &org, &id))
            .is_incomplete(true)
            .agent(agent)
            .org(org)
            .id(id)
            .build(),
    )
}

/// Builds the event that reports the end of an outbound call, of a missed inbound call or of one in which the caller has revoked consent.
/// Returns `None` for other inbound calls: the agent took part in them, or gets the caller's message as an event. The consent is
/// revoked in the transaction that stores the event; the ledger has the call, and no words.
pub fn event(event: &CallEvent, now: Timestamp) -> Option<InboundRow> {
    let conclusion = event.conclusion.as_ref()?;
    let report = &event.report;
    let is_missed = conclusion.handled_by == HandledBy::Voicemail;
    // A caller without a number can't be called, so that there is no consent to revoke.
    let is_known = Address::parse(Channel::Voice, &event.remote).is_ok();
    let revocation = conclusion.revocation.filter(|_| is_known);
    let revokes = revocation.is_some_and(SpokenRevocation::is_clear);
    if report.direction == Direction::Inbound && !is_missed && !revokes {
        return None;
    }
    let status = report.status.unwrap_or(CallStatus::Completed);
    let (from, to) = report.direction.caller_and_callee(&event.local, &event.remote);
    let timestamp = now.to_rfc3339_opts(SecondsFormat::Millis, true);
    let evidence = revokes.then(|| ConsentEvidence {
        method: ConsentMethod::Spoken,
        words: None,
        message: None,
        detail: Some(json!({ "callId": event.call, "sender": event.local })),
    });
    let mut data = json!({
        "type": CALL_ENDED, "callId": event.call, "callSid": report.carrier_id, "direction": report.direction,
        "from": from, "to": to, "callStatus": status, "durationSeconds": report.duration_seconds,
        "answeredBy": report.answered_by, "handledBy": conclusion.handled_by, "turns": conclusion.turns,
        "timestamp": timestamp,
    });
    if let Some(revocation) = revocation {
        data["revocation"] = json!(revocation);
    }
    Some(
        InboundRow::builder()
            .id(format!("evt_{}_ended", event.call))
            .kind(CALL_ENDED)
            .channel(Channel::Voice)
            .contact(event.remote.clone())
            .data(data)
            .maybe_consent(revokes.then_some(false))
            .maybe_evidence(evidence)
            .agent(event.agent.clone())
            .org(event.org.clone())
            .build(),
    )
}
