//! How a relay takes a call: the carrier's first frame, the lease, and what the call's state says.

use std::{sync::Arc, time::Duration};

use axum::extract::ws::WebSocket;
use butt_dial_comms::{
    Comms,
    calls::{
        beginning,
        commands::{CallCommand, CommandEnvelope},
        conversation::Conversation,
        state,
    },
};
use butt_dial_domain::{
    AgentId, CallId, keys,
    ports::{
        bus::{BusError, Headers, Message},
        kv::{KvError, Lease},
        voice::{IncomingFrame, Voice},
    },
    subjects,
};
use futures::stream::BoxStream;
use tokio::time::timeout;

use crate::{Relay, credit_timer};

/// The carrier's first frame comes with the socket.
const OPENED_WITHIN: Duration = Duration::from_secs(10);

/// The session's id and the carrier's id of the call.
pub(crate) async fn opened(socket: &mut WebSocket, voice: &dyn Voice) -> Option<(String, String)> {
    let first = timeout(OPENED_WITHIN, socket.recv()).await.ok()??.ok()?;
    match voice.parse_frame(first.to_text().ok()?) {
        Ok(IncomingFrame::Opened {
            session, carrier_id, ..
        }) => Some((session, carrier_id)),
        _ => None,
    }
}

/// The call that a socket is for.
pub struct VerifiedSocket {
    pub state: state::CallState,
    pub voice: Arc<dyn Voice>,
}

/// A call that is this relay's, and nobody else's.
pub(crate) struct OwnedCall {
    pub comms: Comms,
    pub voice: Arc<dyn Voice>,
    pub socket: WebSocket,
    pub conversation: Conversation,
    pub lease: Lease,
    /// What its agent wants of it.
    pub orders: BoxStream<'static, Message>,
    /// Its agent waits for its calls.
    pub presence: BoxStream<'static, Message>,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum Unavailable {
    #[error(transparent)]
    Kv(#[from] KvError),
    #[error(transparent)]
    Bus(#[from] BusError),
}

/// Makes this relay the call's one owner. Whoever held it before writes nothing from here on, and is told.
pub(crate) async fn acquire(
    relay: &Relay,
    socket: WebSocket,
    admitted: VerifiedSocket,
    (session, carrier_id): (String, String),
) -> Result<Option<OwnedCall>, Unavailable> {
    let comms = relay.comms.clone();
    let call = admitted.state.info.call.clone();
    let agent = admitted.state.info.agent.clone();
    let holder = format!("{}.{session}", comms.replica);
    let lease = comms
        .kv
        .steal_lease(&keys::call_owner(&call), &holder, state::TTL)
        .await?;
    let (orders, presence) = (subjects::call_commands(&call), subjects::call_presence(&agent));
    // Only now: until the lease was ours, somebody else could write.
    let (found, orders, presence) = tokio::join!(
        state::find(&comms, &call),
        comms.bus.subscribe(&orders),
        comms.bus.subscribe(&presence),
    );
    let Some(mut state) = found? else {
        return Ok(None);
    };
    let is_same = state.info.carrier_id.get_or_insert_with(|| carrier_id.clone()) == &carrier_id;
    if state.ended.is_some() || !is_same {
        return Ok(None);
    }
    state.owner = Some(comms.replica.clone());
    state.is_session_closed_by_us = false;
    let now = comms.clock.now();
    state.start_at(now);
    let answered_at = *state.answered_at.get_or_insert(now);
    let (telling, info) = (comms.clone(), state.info.clone());
    comms
        .tasks
        .spawn(async move { answered::report_answered(&telling, &info, answered_at).await });
    state.paid_until = credit_timer::paid_at_first(&state, now);
    notify_previous_owner(&comms, &agent, &call, lease.fence).await;
    let has_model = comms.model.is_some();
    Ok(Some(OwnedCall {
        voice: admitted.voice,
        socket,
        conversation: Conversation::new(state, &comms.settings.calls, has_model),
        lease,
        orders: orders?,
        presence: presence?,
        comms,
    }))
}

/// Whoever held the call before stops.
async fn notify_previous_owner(comms: &Comms, agent: &AgentId, call: &CallId, epoch: u64) {
    let moved = CommandEnvelope {
        agent: agent.clone(),
        command: CallCommand::OwnerChanged { epoch },
    };
    let Ok(payload) = serde_json::to_vec(&moved) else {
        return;
    };
    let told = comms
        .bus
        .publish(&subjects::call_commands(call), Headers::new(), payload.into())
        .await;
    told.inspect_err(|error| tracing::info!(%error, %call, "who held a call before finds out when it writes"))
        .ok();
}
