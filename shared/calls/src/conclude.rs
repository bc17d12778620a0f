//! The end of a call: publishes its conclusion, and the caller's message to the agent. Any replica may conclude a call, and
//! several may do so: the ids of what they publish derive from the call's id, so repetitions are dropped.

use std::time::Duration;

use butt_dial_domain::{
    Address, Channel,
    call::{CallReport, CallStatus, Direction, HandledBy, Purpose},
    inbound::{Attachment, CallRecording, InboundMessage},
    keys,
    ports::bus::Headers,
};
use butt_dial_messaging::inbound::{
    WebhookRefusal,
    envelope::{Conclusion, Envelope},
};
use serde_json::{Value, json};

use super::{
    handle::Calls,
    notifications::{self, CallNotification, NotificationKind},
    state::{AfterSession, CallState, Responder, Speaker, TranscriptEntry, shortened},
    transcript,
};

/// Retention of the state of a finished call. Its last callbacks arrive within seconds.
const FINISHED_TTL: Duration = Duration::from_secs(900);

/// Summarizes the caller's waiting times for replies, in milliseconds.
fn latency(state: &CallState) -> Value {
    let mut sorted = state.latencies.clone();
    sorted.sort_unstable();
    let percentile = |share: f64| {
        let index = ((sorted.len() as f64 - 1.0) * share).round().max(0.0);
        sorted.get(index as usize).copied()
    };
    json!({
        "turns": sorted.len(), "p50Ms": percentile(0.5), "p95Ms": percentile(0.95), "maxMs": sorted.last(),
        "turnsMs": state.latencies,
    })
}

fn handled_by(state: &CallState, report: &CallReport) -> HandledBy {
    match state.responder {
        // A caller who hangs up before the beep, or says nothing after it, has left no message.
        _ if state.after_session == AfterSession::Record => match report.recording.is_some() || left_words(state) {
            true => HandledBy::Message,
            false => HandledBy::Voicemail,
        },
        _ if is_transferred(state) => HandledBy::Transfer,
        Responder::Agent => HandledBy::Agent,
        Responder::Voicemail if left_words(state) => HandledBy::Message,
        Responder::Voicemail => HandledBy::Voicemail,
    }
}

/// The last step of the call was a connection with another number.
fn is_transferred(state: &CallState) -> bool {
    matches!(state.after_session, AfterSession::Transfer { .. })
        || matches!(state.info.plan.purpose, Purpose::Connect { .. })
}

/// The caller has spoken to the voicemail service.
fn left_words(state: &CallState) -> bool {
    state.voicemail.since.is_some() && state.history.iter().any(|entry| entry.by == Speaker::Caller)
}

/// Applies a report to a call: a final status concludes it, and a completed recording is published as a message. Fails if
/// the durable stream is unavailable; it can be repeated.
pub(crate) async fn conclude(calls: &Calls, state: &CallState, report: &CallReport) -> Result<(), WebhookRefusal> {
    let is_over = report.status.is_some_and(CallStatus::is_over);
    if is_over && state.is_live() {
        publish_conclusion(calls, state, report).await?;
    }
    let recording = report.recording.as_ref().filter(|recording| recording.is_completed);
    if let Some(recording) = recording
        && let Some(url) = &recording.url
    {
        publish_message(calls, state, Some(audio(&recording.id, url.clone(), true))).await?;
    }
    Ok(())
}

/// Publishes the recording of the conversation as an event of the agent. It is fetched later.
pub(crate) async fn publish_recording(
    calls: &Calls,
    state: &CallState,
    report: &CallReport,
) -> Result<(), WebhookRefusal> {
    let info = &state.info;
    let recording = report.recording.as_ref();
    let Some((recording, url)) = recording.and_then(|recording| Some((recording, recording.url.clone()?))) else {
        return Ok(());
    };
    let message = InboundMessage {
        attachments: vec![audio(&recording.id, url, false)],
        call: Some(info.call.clone()),
        call_recording: Some(CallRecording {
            direction: info.direction,
            seconds: recording.duration_seconds,
        }),
        ..InboundMessage::between(recording.id.clone(), Channel::Voice, &info.remote, &info.local)
    };
    let envelope = Envelope::call_recording(&calls.vault, info, &message);
    calls.inbound.append(&info.carrier, &envelope, &Headers::new()).await?;
    Ok(())
}

/// Describes the sound of a recording. Only voice is transcribed.
fn audio(recording: &str, url: String, is_voice: bool) -> Attachment {
    Attachment {
        source: url,
        content_type: Some("audio/mpeg".into()),
        filename: Some(format!("{recording}.mp3")),
        size: None,
        is_voice,
    }
}

async fn publish_conclusion(calls: &Calls, state: &CallState, report: &CallReport) -> Result<(), WebhookRefusal> {
    let info = &state.info;
    let mut last = state.clone();
    // Only the played part of the reply in progress counts.
    if let Some(reply) = last.reply.take().filter(|reply| !reply.played_text().trim().is_empty()) {
        last.history.push(TranscriptEntry {
            by: reply.by,
            text: reply.played_text().trim().to_owned(),
            is_cut: !reply.is_played(),
            unheard: shortened(reply.unplayed()),
            at: calls.clock.now(),
        });
    }
    // The caller hung up in the middle of an utterance.
    let unfinished = std::mem::take(&mut last.partial);
    last.record(Speaker::Caller, &unfinished, true, calls.clock.now());
    let reason = report.status.map_or("completed", CallStatus::as_str);
    let conclusion = Conclusion {
        handled_by: handled_by(&last, report),
        end_reason: reason.to_owned(),
        turns: last.latencies.len() as i64,
        latency: latency(&last),
        transcript: Some(transcript::render(&last)).filter(|text| !text.is_empty()),
        revocation: last.revocation,
    };
    let envelope = Envelope::conclusion(&calls.vault, info, &with_duration(calls, state, report), conclusion);
    calls.inbound.append(&info.carrier, &envelope, &Headers::new()).await?;
    calls
        .metrics
        .record_conclusion(info.direction, report.status, handled_by(&last, report));
    // With a recording, the words before the beep follow in one message with it, once it can be fetched.
    if report.recording.is_none() {
        publish_words(calls, &last).await?;
    }
    last.ended = Some(reason.to_owned());
    store_finished(calls, &last).await;
    let mut notification = CallNotification::new(NotificationKind::Ended, &last);
    notification.reason = Some(reason.to_owned());
    notifications::broadcast(calls, &info.agent, &notification).await;
    Ok(())
}

/// Publishes the caller's words to the voicemail service as a message, if there are any.
pub(crate) async fn publish_words(calls: &Calls, state: &CallState) -> Result<(), WebhookRefusal> {
    match left_words(state) {
        true => publish_message(calls, state, None).await,
        false => Ok(()),
    }
}

/// Adds the duration of an inbound call to a report without one, such as the end of a socket.
fn with_duration(calls: &Calls, state: &CallState, report: &CallReport) -> CallReport {
    let info = &state.info;
    let elapsed = (calls.clock.now() - info.started_at).num_seconds();
    let measured = match info.direction {
        Direction::Inbound => u32::try_from(elapsed).ok(),
        Direction::Outbound => None,
    };
    CallReport {
        duration_seconds: report.duration_seconds.or(measured),
        ..report.clone()
    }
}

/// Publishes the caller's words, and a recording, as an inbound message to the agent.
async fn publish_message(
    calls: &Calls,
    state: &CallState,
    recording: Option<Attachment>,
) -> Result<(), WebhookRefusal> {
    let info = &state.info;
    let Ok(to) = Address::parse(Channel::Voice, &info.local) else {
        return Ok(());
    };
    let mut message = match Address::parse(Channel::Voice, &info.remote) {
        Ok(from) => InboundMessage::new(info.call.as_str(), Channel::Voice, &from, &to),
        Err(_) => {
            tracing::info!(call = %info.call, "message left by a caller without a number");
            let mut message = InboundMessage::new(info.call.as_str(), Channel::Voice, &to, &to);
            message.from = info.remote.clone();
            message
        }
    };
    message.sender_name = state.message.as_ref().and_then(|left| left.name.clone());
    message.body = Some(match (&recording, state.history.is_empty()) {
        (Some(_), true) => "The caller left a recorded message.".to_owned(),
        _ => transcript::summarize(state),
    });
    message.transcript = Some(transcript::render(state)).filter(|text| !text.is_empty());
    message.call = Some(info.call.clone());
    message.attachments.extend(recording);
    message.sent_at = Some(calls.clock.now());
    let envelope = Envelope::call_message(&calls.vault, info, &message);
    let appended = calls.inbound.append(&info.carrier, &envelope, &Headers::new()).await;
    appended.map(drop)
}

/// Persists the final state and takes the lease: the relay that still holds the call can no longer write.
async fn store_finished(calls: &Calls, last: &CallState) {
    let call = &last.info.call;
    let stored = async {
        let lease = calls
            .kv
            .steal_lease(&keys::call_owner(call), "concluded", FINISHED_TTL)
            .await?;
        let sealed = calls.states.seal(last);
        let key = keys::call_state(call);
        calls.kv.set_if_leased(&lease, &key, &sealed, FINISHED_TTL).await
    };
    if let Err(error) = stored.await {
        tracing::warn!(%error, %call, "state of a finished call not updated: it expires later");
    }
}

#[cfg(test)]
mod tests {
    use butt_dial_domain::{call::Recording, clock::Timestamp};

    use super::*;
    use crate::tests::{completed, inbound_state};

    #[test]
    fn silence_after_the_beep_is_no_message() {
        let mut state = inbound_state();
        state.after_session = AfterSession::Record;
        assert_eq!(handled_by(&state, &completed()), HandledBy::Voicemail);
        let recorded = CallReport {
            recording: Some(Recording {
                id: "RE1".into(),
                url: None,
                is_completed: false,
                duration_seconds: Some(4),
            }),
            ..completed()
        };
        assert_eq!(handled_by(&state, &recorded), HandledBy::Message);
        state.voicemail.since = Some(Timestamp::UNIX_EPOCH);
        state.history.push(TranscriptEntry {
            by: Speaker::Caller,
            text: "My name is Ann.".into(),
            is_cut: false,
            unheard: None,
            at: Timestamp::UNIX_EPOCH,
        });
        assert_eq!(handled_by(&state, &completed()), HandledBy::Message);
    }
}
