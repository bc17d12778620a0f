//! Handlers of the callbacks for existing calls: each applies a report and returns the script that follows.

use std::{sync::Arc, time::Duration};

use butt_dial_domain::{
    call::{AnsweredBy, CallReport, CallStatus, Direction, Purpose, SessionEnd, SessionOutcome},
    keys,
    ports::{
        kv::KvError,
        voice::{Script, Step},
    },
};
use butt_dial_messaging::inbound::{Routes, WebhookRefusal};

use super::{
    super::{
        conclude::{conclude, publish_words},
        handle::Calls,
        legs, ownership, script,
        state::{AfterSession, CallState},
    },
    callback::{CallWebhook, CallbackKind},
    durable_publish::{conclude_call, publish_report},
    missing_state, recorded,
};

/// Number of failed sockets within `FAILURES_WINDOW` after which the caller is asked for a recording.
const MAX_SOCKET_FAILURES: u64 = 3;
const FAILURES_WINDOW: Duration = Duration::from_secs(30);
/// The turn that reports a failed transfer to the agent, in the form of pressed keys.
const TRANSFER_FAILED: &str = "[the callee could not be reached]";

/// Handles every callback except for a new inbound call.
pub(super) async fn handle(
    calls: &Arc<Calls>,
    routes: &Routes,
    webhook: &CallWebhook,
    kind: CallbackKind,
) -> Result<Script, WebhookRefusal> {
    let report = &webhook.report;
    if kind == CallbackKind::Recorded {
        recorded::handle(calls, webhook).await?;
        return Ok(Script::default());
    }
    let Some(state) = &webhook.state else {
        return missing_state::respond(calls, routes, webhook, kind).await;
    };
    publish_report(calls, webhook, kind, state).await?;
    if report.status.is_some_and(CallStatus::is_over) {
        conclude_call(calls, kind, state, report.clone()).await?;
        // The line is closed, so the response does not matter. A recording can still follow.
        if kind != CallbackKind::Recording {
            return Ok(Script::default());
        }
    }
    if kind == CallbackKind::Dialled {
        legs::close(calls, &state.info.call).await;
    }
    let hangs_up = match kind {
        CallbackKind::Action => {
            state.after_session == AfterSession::HangUp && report.session.as_ref().is_some_and(is_ended)
        }
        CallbackKind::Message => true,
        CallbackKind::Dialled => is_transferred(report),
        _ => false,
    };
    if hangs_up {
        conclude_hang_up(calls, kind, state, report).await?;
    }
    let script = match kind {
        CallbackKind::Incoming | CallbackKind::Status | CallbackKind::Recorded => Ok(Script::default()),
        CallbackKind::Answer => script::on_answer(calls, state, report.answered_by).await,
        CallbackKind::Action => after_session(calls, webhook, state).await,
        CallbackKind::Machine => {
            if report.answered_by == Some(AnsweredBy::MachineEnd) {
                leave_voicemail(calls, webhook, state).await;
            }
            Ok(Script::default())
        }
        CallbackKind::Message if report.recording.is_some() => Ok(script::thank_caller(calls, &state.info.language)),
        CallbackKind::Message => Ok(script::say_goodbye(calls, &state.info.language)),
        CallbackKind::Recording => {
            match report.recording.as_ref().map(|recording| recording.is_completed) {
                Some(true) => conclude(calls, state, report).await?,
                // The carrier has no recording to fetch.
                Some(false) if state.after_session == AfterSession::Record => publish_words(calls, state).await?,
                _ => {}
            }
            Ok(Script::default())
        }
        CallbackKind::Whisper => Ok(script::whisper(state)),
        CallbackKind::Dialled => after_transfer(calls, webhook, state).await,
    };
    Ok(script.unwrap_or_else(|error| {
        tracing::warn!(%error, call = %state.info.call, "call not continued: the caller can leave a recording");
        script::apologize_and_record(calls, state)
    }))
}

/// The callee has talked with the caller.
fn is_transferred(report: &CallReport) -> bool {
    matches!(report.dialled, Some(CallStatus::Completed | CallStatus::InProgress))
}

fn is_ended(session: &SessionEnd) -> bool {
    session.outcome == SessionOutcome::Ended
}

async fn after_session(calls: &Calls, webhook: &CallWebhook, state: &CallState) -> Result<Script, KvError> {
    let call = &state.info.call;
    let outcome = webhook.report.session.as_ref().map(|session| session.outcome);
    if outcome != Some(SessionOutcome::Failed) {
        if matches!(state.after_session, AfterSession::Transfer { .. }) {
            recorded::end_before_transfer(calls, webhook, state).await?;
        }
        return script::after_session(calls, state).await;
    }
    let key = format!("{}:failures", keys::call_state(call));
    let (failures, _) = calls.kv.increment(&key, FAILURES_WINDOW).await?;
    tracing::info!(%call, failures, "call socket lost");
    match failures > MAX_SOCKET_FAILURES {
        true => Ok(script::apologize_and_record(calls, state)),
        false => script::connect_relay(calls, state).await,
    }
}

/// Concludes an inbound call that this side hangs up: not every number has a status callback.
async fn conclude_hang_up(
    calls: &Arc<Calls>,
    kind: CallbackKind,
    state: &CallState,
    report: &CallReport,
) -> Result<(), WebhookRefusal> {
    if state.info.direction == Direction::Outbound {
        return Ok(());
    }
    let ended = CallReport {
        status: Some(CallStatus::Completed),
        ..report.clone()
    };
    conclude_call(calls, kind, state, ended).await
}

/// Leaves a message, because an outbound conversation has reached an answering machine.
async fn leave_voicemail(calls: &Calls, webhook: &CallWebhook, state: &CallState) {
    let info = &state.info;
    if info.plan.purpose != Purpose::Converse {
        return;
    }
    let script = script::leave_voicemail(calls, state);
    let redirected = webhook.voice.redirect(&webhook.report.carrier_id, &script).await;
    redirected
        .inspect_err(|error| tracing::warn!(%error, call = %info.call, "voicemail not left"))
        .ok();
}

/// Ends the call after a transfer. A failed transfer returns the call to the conversation.
async fn after_transfer(calls: &Calls, webhook: &CallWebhook, state: &CallState) -> Result<Script, KvError> {
    let info = &state.info;
    if is_transferred(&webhook.report) || matches!(info.plan.purpose, Purpose::Connect { .. }) {
        return Ok(Script(vec![Step::Hangup]));
    }
    let mut state = state.clone();
    state.after_session = AfterSession::Resume;
    let words = calls.settings.phrases.get(&info.language).not_reached.clone();
    let at = calls.clock.now();
    // A separate turn: the agent is asked for a reply, and the caller need not speak first.
    let speaker = state.responder.speaker();
    state.record(speaker, &words, false, at);
    state.clear_unanswered();
    state.hear(TRANSFER_FAILED, at);
    state.reply = None;
    state.turn += 1;
    state.is_pending = true;
    ownership::overwrite(calls, &state, "dialled").await?;
    let mut script = script::connect_relay(calls, &state).await?;
    // Spoken before the socket opens, so that the request to the agent does not wait for its playback.
    script.0.insert(0, script::spoken(&state, &words));
    Ok(script)
}
