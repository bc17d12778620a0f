//! Callbacks for calls without a state in the key-value store: the report still becomes durable, and the caller gets a
//! response.

use std::sync::Arc;

use butt_dial_domain::{
    call::{CallStatus, Direction},
    ports::voice::Script,
};
use butt_dial_messaging::inbound::{Routes, WebhookRefusal};

use super::{
    super::{conclude::conclude, handle::Calls, phrases::DEFAULT_LANGUAGE, script},
    callback::{CallWebhook, CallbackKind},
    durable_publish::publish_report,
    inbound_call::{find_route, new_state},
};

pub(super) async fn respond(
    calls: &Arc<Calls>,
    routes: &Routes,
    webhook: &CallWebhook,
    kind: CallbackKind,
) -> Result<Script, WebhookRefusal> {
    let report = &webhook.report;
    let row = calls.store.find_carrier_call(webhook.carrier, &report.carrier_id).await;
    let row = row.unwrap_or_else(|error| {
        tracing::warn!(%error, "call lookup failed");
        None
    });
    // The carrier's id alone must not lead another account to a call of this one.
    if webhook.account.is_some() && row.as_ref().is_some_and(|row| row.id != webhook.inbound_call_id()) {
        return Err(webhook.refuse_account(calls));
    }
    // Some callbacks contain no numbers.
    let local = match (&row, report.direction) {
        (Some(row), _) => &row.local_number,
        (None, Direction::Inbound) => &report.to,
        (None, Direction::Outbound) => &report.from,
    };
    let remote = match (&row, report.direction) {
        (Some(row), _) => &row.remote_number,
        (None, Direction::Inbound) => &report.from,
        (None, Direction::Outbound) => &report.to,
    };
    let Some(route) = find_route(routes, local, remote).await? else {
        calls.record_webhook(webhook.carrier, "unknown_number");
        return Err(WebhookRefusal::Unknown);
    };
    if route.account != webhook.owner {
        return Err(webhook.refuse_account(calls));
    }
    let call = row
        .as_ref()
        .map_or_else(|| webhook.inbound_call_id(), |row| row.id.clone());
    let mut state = new_state(calls, webhook, &route, &call);
    state.info.direction = row.as_ref().map_or(report.direction, |row| row.direction);
    state.info.remote = remote.clone();
    publish_report(calls, webhook, kind, &state).await?;
    if report
        .recording
        .as_ref()
        .is_some_and(|recording| recording.is_completed)
    {
        conclude(calls, &state, report).await?;
    }
    Ok(match kind {
        CallbackKind::Action if !report.status.is_some_and(CallStatus::is_over) => {
            script::unavailable(calls, DEFAULT_LANGUAGE)
        }
        CallbackKind::Answer => script::unavailable(calls, DEFAULT_LANGUAGE),
        CallbackKind::Message => script::thank_caller(calls, DEFAULT_LANGUAGE),
        _ => Script::default(),
    })
}
