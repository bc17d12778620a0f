//! A new inbound call.

use std::sync::Arc;

use butt_dial_domain::{
    CallId, Channel,
    call::{CallInfo, Direction, Plan, Purpose},
    ports::{
        kv::KvError,
        voice::{Script, Step},
    },
    text::clean_line,
};
use butt_dial_messaging::inbound::{Routes, WebhookRefusal};
use butt_dial_store::{InboundRoute, StoreError};
use chrono::TimeDelta;

use super::{
    super::{bridges, handle::Calls, phrases::DEFAULT_LANGUAGE, script, state::CallState},
    callback::{CallWebhook, CallbackKind},
    durable_publish::publish_report,
};

/// Characters of a caller's address.
const MAX_REMOTE: usize = 128;

/// Accepts the call for the agent that has the number.
pub(super) async fn accept(
    calls: &Arc<Calls>,
    routes: &Routes,
    webhook: &CallWebhook,
) -> Result<Script, WebhookRefusal> {
    let report = &webhook.report;
    let route = find_route(routes, &report.to, &report.from).await?;
    let Some(route) = route.filter(|route| {
        webhook
            .only
            .as_deref()
            .is_none_or(|agent| agent == route.agent.host_id())
    }) else {
        calls.record_webhook(webhook.carrier, "unknown_number");
        return Err(WebhookRefusal::Unknown);
    };
    if route.account != webhook.owner {
        return Err(webhook.refuse_account(calls));
    }
    if webhook.account.is_some() && is_own_number(calls, &route).await? {
        return Err(webhook.refuse_account(calls));
    }
    if route.blocked {
        calls.record_webhook(webhook.carrier, "blocked");
        return Ok(Script(vec![Step::Reject]));
    }
    let call = webhook.inbound_call_id();
    let mut state = new_state(calls, webhook, &route, &call);
    publish_report(calls, webhook, CallbackKind::Incoming, &state).await?;
    if route.has_bridges {
        match bridges::connect(calls, &mut state).await {
            Ok(true) => return Ok(connect_bridge(calls, &state).await),
            Ok(false) => {}
            Err(failure) => {
                tracing::warn!(%failure, %call, "bridge refused: the caller can leave a recording");
                return Ok(script::offer_recording(calls, &state));
            }
        }
    }
    Ok(connect(calls, &state).await.unwrap_or_else(|error| {
        tracing::warn!(%error, %call, "call not connected: the caller can leave a recording");
        script::offer_recording(calls, &state)
    }))
}

/// Returns whether the installation's own account at the carrier has used the number: then no other account speaks for it.
async fn is_own_number(calls: &Calls, route: &InboundRoute) -> Result<bool, WebhookRefusal> {
    let unavailable = |error: StoreError| {
        tracing::warn!(%error, "owner of a number not verified");
        WebhookRefusal::Unavailable
    };
    let Some(profile) = calls.store.find_profile(&route.agent).await.map_err(unavailable)? else {
        return Ok(false);
    };
    for owned in profile.channels.iter().filter(|owned| owned.address == route.address) {
        let is_own = calls.store.is_own_sender(&route.agent, owned.channel).await;
        if is_own.map_err(unavailable)? {
            return Ok(true);
        }
    }
    Ok(false)
}

pub(super) fn new_state(calls: &Calls, webhook: &CallWebhook, route: &InboundRoute, call: &CallId) -> CallState {
    let now = calls.clock.now();
    let max_duration = TimeDelta::from_std(calls.settings.max_duration).unwrap_or(TimeDelta::hours(1));
    let plan = Plan {
        purpose: Purpose::Converse,
        greeting: route.voice.greeting.clone(),
        ..Plan::default()
    }
    .with_defaults(&route.voice);
    CallState::new(CallInfo {
        call: call.clone(),
        org: route.org.clone(),
        agent: route.agent.clone(),
        carrier: webhook.carrier.to_owned(),
        account: webhook.owner.clone(),
        carrier_id: Some(webhook.report.carrier_id.clone()),
        direction: Direction::Inbound,
        local: route.address.clone(),
        // The address of a SIP caller is any text.
        remote: clean_line(&webhook.report.from, MAX_REMOTE),
        name: route.agent_name.clone(),
        language: plan.language.clone().unwrap_or_else(|| DEFAULT_LANGUAGE.to_owned()),
        plan,
        started_at: now,
        limit_at: now + max_duration,
    })
}

/// Connects the call with the other number. A repeated callback finds the state of the first one.
async fn connect_bridge(calls: &Calls, state: &CallState) -> Script {
    let connected = async {
        if calls.find_state(&state.info.call).await?.is_none() {
            calls.create_state(state).await?;
        }
        script::after_session(calls, state).await
    };
    let connected: Result<Script, KvError> = connected.await;
    connected.unwrap_or_else(|error| {
        tracing::warn!(%error, call = %state.info.call, "bridged call not connected: the caller can leave a recording");
        script::offer_recording(calls, state)
    })
}

/// Opens a socket. A repeated callback gets another socket to the same call.
async fn connect(calls: &Calls, state: &CallState) -> Result<Script, KvError> {
    match calls.find_state(&state.info.call).await? {
        Some(existing) if existing.sessions > 0 => script::connect_relay(calls, &existing).await,
        Some(existing) => script::begin_conversation(calls, &existing).await,
        None => {
            calls.create_state(state).await?;
            script::begin_conversation(calls, state).await
        }
    }
}

/// Finds the agent that has the number.
pub(super) async fn find_route(
    routes: &Routes,
    number: &str,
    remote: &str,
) -> Result<Option<Arc<InboundRoute>>, WebhookRefusal> {
    routes
        .resolve(Channel::Voice, number, remote)
        .await
        .map_err(|_| WebhookRefusal::Unavailable)
}
