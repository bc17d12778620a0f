//! A call that is known: what the carrier does with it next.

use std::time::Duration;

use butt_dial_domain::{
    call::{AnsweredBy, CallReport, CallStatus, Direction, Purpose, SessionEnd, SessionOutcome},
    keys,
    ports::{
        kv::KvError,
        voice::{Script, Step},
    },
};

use super::{
    super::{
        conclude::{conclude, leave_words},
        script,
        state::{self, AfterSession, CallState, Responder, Speaker, TranscriptEntry},
    },
    CallWebhook, CallbackKind, durable_publish, lost,
};
use crate::{
    Comms,
    inbound::{WebhookRefusal, routes::Routes},
};

/// Sockets that could not be opened, or broke at once, before the caller is asked for a message instead.
const MOST_FAILURES: u64 = 3;
const FAILURES_WITHIN: Duration = Duration::from_secs(30);
/// What an agent reads where a transfer has failed, as it reads of keys.
const NOT_REACHED: &str = "[nobody could be reached]";

/// Everything but a new call.
pub(super) async fn handle(
    comms: &Comms,
    routes: &Routes,
    webhook: &CallWebhook,
    hook: CallbackKind,
) -> Result<Script, WebhookRefusal> {
    let report = &webhook.report;
    let Some(state) = &webhook.state else {
        return missing_state::respond(comms, routes, webhook, hook).await;
    };
    durable_publish::publish_report(comms, webhook, hook, state).await?;
    let is_over = report.status.is_some_and(CallStatus::is_over);
    if is_over {
        durable_publish::conclude_call(comms, hook, state, report.clone()).await?;
        // Whatever it is answered, nobody hears it; a recording may still be told of.
        if hook != CallbackKind::Recording {
            return Ok(Script::default());
        }
    }
    let hangs_up = match hook {
        CallbackKind::Action => {
            state.after_session == AfterSession::HangUp && report.session.as_ref().is_some_and(is_ended)
        }
        CallbackKind::Message => true,
        CallbackKind::Dialled => is_handed_over(report),
        _ => false,
    };
    if hangs_up {
        hang_up(comms, hook, state, report).await?;
    }
    let script = match hook {
        CallbackKind::Incoming | CallbackKind::Status => Ok(Script::default()),
        CallbackKind::Answer => script::on_answer(comms, state, report.answered_by).await,
        CallbackKind::Action => after_session(comms, webhook, state).await,
        CallbackKind::Machine => {
            if report.answered_by == Some(AnsweredBy::MachineEnd) {
                return voicemail(comms, webhook, state).await;
            }
            Ok(Script::default())
        }
        CallbackKind::Message if report.recording.is_some() => Ok(script::thank_caller(comms, &state.info.language)),
        CallbackKind::Message => Ok(script::say_goodbye(comms, &state.info.language)),
        CallbackKind::Recording => {
            match report.recording.as_ref().map(|recording| recording.is_completed) {
                Some(true) => conclude(comms, state, report).await?,
                // The carrier has nothing that could be fetched.
                Some(false) if state.after_session == AfterSession::Record => leave_words(comms, state).await?,
                _ => {}
            }
            Ok(Script::default())
        }
        CallbackKind::Whisper => Ok(script::whisper(state)),
        CallbackKind::Dialled => dialled(comms, webhook, state).await,
    };
    match script {
        Ok(script) => Ok(script),
        Err(error) => {
            let info = &state.info;
            tracing::warn!(%error, call = %info.call, "a call can't go on; the caller may leave a message");
            let words = comms.settings.calls.phrases.of(&info.language).record.clone();
            Ok(script::record_message(
                comms,
                &info.carrier,
                &info.call,
                &info.language,
                Some(words),
            ))
        }
    }
}

/// Whoever was dialled has talked with the caller.
fn is_handed_over(report: &CallReport) -> bool {
    matches!(report.dialled, Some(CallStatus::Completed | CallStatus::InProgress))
}

fn is_ended(session: &SessionEnd) -> bool {
    session.outcome == SessionOutcome::Ended
}

async fn after_session(comms: &Comms, webhook: &CallWebhook, state: &CallState) -> Result<Script, KvError> {
    let info = &state.info;
    let outcome = webhook.report.session.as_ref().map(|session| session.outcome);
    if outcome == Some(SessionOutcome::Failed) {
        let key = format!("{}:failures", keys::call_state(&info.call));
        let (failures, _) = comms.kv.increment(&key, FAILURES_WITHIN).await?;
        tracing::info!(call = %info.call, failures, "a call's socket is lost; the call goes on elsewhere");
        if failures > MOST_FAILURES {
            let words = comms.settings.calls.phrases.of(&info.language).record.clone();
            return Ok(script::record_message(
                comms,
                &info.carrier,
                &info.call,
                &info.language,
                Some(words),
            ));
        }
        return script::connect_relay(comms, state).await;
    }
    script::after_session(comms, state).await
}

/// We hang up on somebody who called us: not every number's owner has the carrier tell how calls end.
async fn hang_up(
    comms: &Comms,
    hook: CallbackKind,
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
    durable_publish::conclude_call(comms, hook, state, ended).await
}

/// The person who was to be talked with is a machine: it is left a message instead.
async fn voicemail(comms: &Comms, webhook: &CallWebhook, state: &CallState) -> Result<Script, WebhookRefusal> {
    let info = &state.info;
    if info.plan.purpose != Purpose::Converse {
        return Ok(Script::default());
    }
    let script = script::leave_voicemail(comms, state);
    let redirected = webhook.voice.redirect(&webhook.report.carrier_id, &script).await;
    redirected
        .inspect_err(|error| tracing::warn!(%error, call = %info.call, "a voicemail can't be left"))
        .ok();
    Ok(Script::default())
}

/// The call was handed to somebody: it is over with that, or goes on with us.
async fn dialled(comms: &Comms, webhook: &CallWebhook, state: &CallState) -> Result<Script, KvError> {
    let info = &state.info;
    if is_handed_over(&webhook.report) || matches!(info.plan.purpose, Purpose::Connect { .. }) {
        return Ok(Script(vec![Step::Hangup]));
    }
    let mut state = state.clone();
    state.after_session = AfterSession::Resume;
    let words = comms.settings.calls.phrases.of(&info.language).not_reached.clone();
    let by = match state.responder {
        Responder::Agent => Speaker::Agent,
        Responder::Voicemail => Speaker::Voicemail,
    };
    let at = comms.clock.now();
    // A turn of its own: the agent is asked what now, and the caller does not have to speak first.
    for (by, text) in [(by, words.clone()), (Speaker::Caller, NOT_REACHED.to_owned())] {
        state.history.push(TranscriptEntry {
            by,
            text,
            is_cut: false,
            at,
        });
    }
    state.reply = None;
    state.turn += 1;
    state.is_pending = true;
    let lease = comms
        .kv
        .steal_lease(&keys::call_owner(&info.call), "dialled", state::TTL)
        .await?;
    state::save(comms, &lease, &info.call, &state.seal(comms)).await?;
    let mut script = script::connect_relay(comms, &state).await?;
    // Said before the socket opens: the question to the agent waits for nothing that is still to be heard.
    script.0.insert(0, script::speech(&state, &words));
    Ok(script)
}
