//! The end of a call: what it was is written down, and what a caller left is brought to the agent. Any replica may do it,
//! and several may, one after the other: what is published has ids made of the call's own.

use butt_dial_domain::{
    Address, Channel,
    call::{CallReport, CallStatus, Direction, Purpose},
    inbound::{Attachment, InboundMessage},
    keys,
    ports::bus::Headers,
};
use serde_json::json;

use super::{
    notifications::{self, CallNotification, NotificationKind},
    state::{self, AfterSession, CallState, Responder, Speaker},
    voicemail,
};
use crate::{
    Comms,
    inbound::{
        WebhookRefusal,
        envelope::{Conclusion, Envelope},
        publish,
    },
};

/// What is still known of a call that is over: its last callbacks come within seconds.
const REMEMBERED: std::time::Duration = std::time::Duration::from_secs(900);

/// How long the caller waited for an answer, in milliseconds: at a glance, and turn by turn.
fn latency(state: &CallState) -> serde_json::Value {
    let mut sorted = state.latencies.clone();
    sorted.sort_unstable();
    let at = |share: f64| {
        let index = ((sorted.len() as f64 - 1.0) * share).round().max(0.0);
        sorted.get(index as usize).copied()
    };
    json!({
        "turns": sorted.len(), "p50Ms": at(0.5), "p95Ms": at(0.95), "maxMs": sorted.last(), "turnsMs": state.latencies,
    })
}

/// Nobody but the machine has talked with the caller, who has left no message.
pub const MACHINE: &str = "machine";

fn handled_by(state: &CallState, report: &CallReport) -> &'static str {
    match state.responder {
        // Who hangs up before the beep, or says nothing after it, has left none.
        _ if state.after_session == AfterSession::Record => match report.recording.is_some() || leaves_words(state) {
            true => "message",
            false => MACHINE,
        },
        _ if is_handed_over(state) => "transfer",
        Responder::Agent => "agent",
        Responder::Voicemail if leaves_words(state) => "message",
        Responder::Voicemail => MACHINE,
    }
}

/// The last thing that was done with the call was to connect it with somebody else.
fn is_handed_over(state: &CallState) -> bool {
    matches!(state.after_session, AfterSession::Transfer { .. })
        || matches!(state.info.plan.purpose, Purpose::Connect { .. })
}

/// The caller has said something to the machine.
fn leaves_words(state: &CallState) -> bool {
    state.voicemail.since.is_some() && state.history.iter().any(|line| line.by == Speaker::Caller)
}

pub async fn conclude(comms: &Comms, state: &CallState, report: &CallReport) -> Result<(), WebhookRefusal> {
    let info = &state.info;
    let recording = report.recording.as_ref().filter(|recording| recording.is_completed);
    let is_over = report.status.is_some_and(CallStatus::is_over);
    let trace = Headers::new();
    if is_over && state.ended.is_none() {
        let mut last = state.clone();
        // What was being said is what was heard of it.
        if let Some(reply) = last.reply.take().filter(|reply| !reply.played_text().trim().is_empty()) {
            last.history.push(state::TranscriptEntry {
                by: reply.by,
                text: reply.played_text().trim().to_owned(),
                is_cut: !reply.unplayed().trim().is_empty(),
                at: comms.clock.now(),
            });
        }
        let reason = report.status.map_or("completed", CallStatus::as_str);
        let conclusion = Conclusion {
            handled_by: handled_by(&last, report).to_owned(),
            end_reason: reason.to_owned(),
            turns: last.latencies.len() as i64,
            latency: latency(&last),
            transcript: Some(voicemail::transcript(&last)).filter(|text| !text.is_empty()),
        };
        let envelope = Envelope::conclusion(&comms.vault, info, &with_duration(comms, state, report), conclusion);
        publish::append(comms, &info.carrier, &envelope, &trace).await?;
        // What was recorded after the beep comes with the words that were said before it, as one message: once the recording
        // can be fetched.
        if report.recording.is_none() {
            leave_words(comms, &last).await?;
        }
        last.ended = Some(reason.to_owned());
        forget(comms, &last).await;
        let mut signal = CallNotification::new(NotificationKind::Ended, &last);
        signal.reason = Some(reason.to_owned());
        notifications::broadcast(comms, &info.agent, &signal).await;
    }
    if let Some(recording) = recording
        && let Some(url) = &recording.url
    {
        let attachment = Attachment {
            source: url.clone(),
            content_type: Some("audio/mpeg".into()),
            filename: Some(format!("{}.mp3", recording.id)),
            size: None,
            is_voice: true,
        };
        leave(comms, state, Some(attachment)).await?;
    }
    Ok(())
}

/// What the caller has said to the machine, where nothing was recorded beside it.
pub async fn leave_words(comms: &Comms, state: &CallState) -> Result<(), WebhookRefusal> {
    match leaves_words(state) {
        true => leave(comms, state, None).await,
        false => Ok(()),
    }
}

/// A socket's end does not tell how long the call was; of one that came in we know when it began.
fn with_duration(comms: &Comms, state: &CallState, report: &CallReport) -> CallReport {
    let info = &state.info;
    let elapsed = (comms.clock.now() - info.started_at).num_seconds();
    let known = match info.direction {
        Direction::Inbound => u32::try_from(elapsed).ok(),
        Direction::Outbound => None,
    };
    CallReport {
        duration_seconds: report.duration_seconds.or(known),
        ..report.clone()
    }
}

/// What the caller has left becomes a message to the agent, like any other.
async fn leave(comms: &Comms, state: &CallState, recording: Option<Attachment>) -> Result<(), WebhookRefusal> {
    let info = &state.info;
    let (Ok(from), Ok(to)) = (
        Address::parse(Channel::Voice, &info.remote),
        Address::parse(Channel::Voice, &info.local),
    ) else {
        // A caller without a number is a caller all the same.
        tracing::info!(call = %info.call, "a message was left by somebody without a number");
        return leave_anonymous(comms, state, recording).await;
    };
    let message = InboundMessage::new(info.call.as_str(), Channel::Voice, &from, &to);
    publish_message(comms, state, message, recording).await
}

async fn leave_anonymous(
    comms: &Comms,
    state: &CallState,
    recording: Option<Attachment>,
) -> Result<(), WebhookRefusal> {
    let info = &state.info;
    let Ok(to) = Address::parse(Channel::Voice, &info.local) else {
        return Ok(());
    };
    let mut message = InboundMessage::new(info.call.as_str(), Channel::Voice, &to, &to);
    message.from = info.remote.clone();
    publish_message(comms, state, message, recording).await
}

async fn publish_message(
    comms: &Comms,
    state: &CallState,
    mut message: InboundMessage,
    recording: Option<Attachment>,
) -> Result<(), WebhookRefusal> {
    let info = &state.info;
    message.sender_name = state.message.as_ref().and_then(|taken| taken.name.clone());
    message.body = Some(match (&recording, state.history.is_empty()) {
        (Some(_), true) => "The caller left a recorded message.".to_owned(),
        _ => voicemail::summary(state),
    });
    message.transcript = Some(voicemail::transcript(state)).filter(|text| !text.is_empty());
    message.call = Some(info.call.clone());
    message.attachments.extend(recording);
    message.sent_at = Some(comms.clock.now());
    let envelope = Envelope::call_message(&comms.vault, info, &message);
    publish::append(comms, &info.carrier, &envelope, &Headers::new())
        .await
        .map(drop)
}

/// Whoever still holds the call writes nothing any more.
async fn forget(comms: &Comms, last: &CallState) {
    let call = &last.info.call;
    let forgotten = async {
        let lease = comms
            .kv
            .steal_lease(&keys::call_owner(call), "concluded", REMEMBERED)
            .await?;
        comms
            .kv
            .set_if_leased(&lease, &keys::call_state(call), &last.seal(comms), REMEMBERED)
            .await
    };
    if let Err(error) = forgotten.await {
        tracing::warn!(%error, %call, "a call that is over is remembered for some hours");
    }
}

#[cfg(test)]
pub(in crate::calls) mod tests {
    use butt_dial_domain::{
        CallId,
        call::{Plan, Recording},
        clock::Timestamp,
    };

    use super::*;
    use crate::calls::state::{CallInfo, TranscriptEntry};

    pub(in crate::calls) fn inbound() -> CallState {
        let now = Timestamp::UNIX_EPOCH;
        CallState::new(CallInfo {
            call: CallId::generate(),
            org: "org_1".into(),
            agent: "agt_1".into(),
            carrier: "simulator".into(),
            carrier_id: Some("CA1".into()),
            direction: Direction::Inbound,
            local: "+14155550100".into(),
            remote: "+14155550123".into(),
            name: "Ada".into(),
            plan: Plan {
                purpose: Purpose::Converse,
                greeting: None,
                system_prompt: None,
                voice: None,
                language: None,
            },
            language: "en-US".into(),
            started_at: now,
            limit_at: now,
        })
    }

    pub(in crate::calls) fn completed() -> CallReport {
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

    #[test]
    fn a_beep_alone_is_no_message() {
        let mut state = inbound();
        state.after_session = AfterSession::Record;
        assert_eq!(handled_by(&state, &completed()), MACHINE);
        let recorded = CallReport {
            recording: Some(Recording {
                id: "RE1".into(),
                url: None,
                is_completed: false,
                duration_seconds: Some(4),
            }),
            ..completed()
        };
        assert_eq!(handled_by(&state, &recorded), "message");
        state.voicemail.since = Some(Timestamp::UNIX_EPOCH);
        state.history.push(TranscriptEntry {
            by: Speaker::Caller,
            text: "My name is Ann.".into(),
            is_cut: false,
            at: Timestamp::UNIX_EPOCH,
        });
        assert_eq!(handled_by(&state, &completed()), "message");
    }
}
