//! A call whose state is lost, or was never written: what is durable still is, and the caller is not left in silence.

use butt_dial_domain::{
    call::{CallStatus, Direction},
    ports::voice::Script,
};

use super::{
    super::{conclude::conclude, script},
    CallWebhook, CallbackKind, LANGUAGE, begin, durable_publish, find_route, inbound_call,
};
use crate::{
    Comms,
    inbound::{WebhookRefusal, routes::Routes},
};

pub(super) async fn respond(
    comms: &Comms,
    routes: &Routes,
    webhook: &CallWebhook,
    hook: CallbackKind,
) -> Result<Script, WebhookRefusal> {
    let report = &webhook.report;
    let known = comms.store.find_carrier_call(webhook.carrier, &report.carrier_id).await;
    let known = known.unwrap_or_else(|error| {
        tracing::warn!(%error, "a call can't be looked up");
        None
    });
    // Not every callback tells the numbers.
    let local = match (&known, report.direction) {
        (Some(known), _) => &known.local_number,
        (None, Direction::Inbound) => &report.to,
        (None, Direction::Outbound) => &report.from,
    };
    let Some(route) = find_route(routes, local).await? else {
        comms.metrics.webhook(webhook.carrier, "unknown_number");
        return Err(WebhookRefusal::Unknown);
    };
    let call = known.as_ref().map_or_else(
        || inbound_call(webhook.carrier, &report.carrier_id),
        |known| known.id.clone(),
    );
    let mut state = begin(comms, webhook, &route, &call);
    state.info.direction = known.as_ref().map_or(report.direction, |known| known.direction);
    state.info.remote = match (known, report.direction) {
        (Some(known), _) => known.remote_number,
        (None, Direction::Inbound) => report.from.clone(),
        (None, Direction::Outbound) => report.to.clone(),
    };
    durable_publish::publish_report(comms, webhook, hook, &state).await?;
    if report
        .recording
        .as_ref()
        .is_some_and(|recording| recording.is_completed)
    {
        conclude(comms, &state, report).await?;
    }
    Ok(match hook {
        CallbackKind::Action if !report.status.is_some_and(CallStatus::is_over) => script::unavailable(comms, LANGUAGE),
        CallbackKind::Answer => script::unavailable(comms, LANGUAGE),
        CallbackKind::Message => script::thank_caller(comms, LANGUAGE),
        _ => Script::default(),
    })
}
