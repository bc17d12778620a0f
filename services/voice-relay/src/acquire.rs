//! Acquires a call for this relay when its socket opens: the lease, the subscriptions, and the state.

use std::sync::Arc;

use butt_dial_calls::{
    Calls, answered,
    commands::{self, CommandStream},
    conversation::Conversation,
    notifications,
    ownership::{self, CallLease},
    state::CallState,
};
use butt_dial_domain::ports::{bus::BusError, kv::KvError, voice::Voice};
use futures::stream::BoxStream;

use crate::{carrier_socket::OpenedSession, credit_timer};

/// A socket of a verified carrier, and the call that it is for.
pub struct VerifiedSocket {
    pub state: CallState,
    pub voice: Arc<dyn Voice>,
}

/// A call that this relay owns.
pub(crate) struct OwnedCall {
    pub conversation: Conversation,
    pub lease: CallLease,
    pub commands: CommandStream,
    /// The agent connects, or waits for its calls.
    pub presence: BoxStream<'static, ()>,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum AcquireError {
    #[error(transparent)]
    Kv(#[from] KvError),
    #[error(transparent)]
    Bus(#[from] BusError),
}

/// Makes this relay the only owner of the call. From here on, the previous owner can no longer write. `None`: the call is
/// over, or the socket is for a different call.
pub(crate) async fn acquire(
    calls: &Arc<Calls>,
    state: CallState,
    opened: &OpenedSession,
) -> Result<Option<OwnedCall>, AcquireError> {
    // Before the lease is taken: a socket for a different call must not end the session of this one.
    if !is_same_call(state.info.carrier_id.as_deref(), opened) {
        return Ok(None);
    }
    let (call, agent) = (state.info.call, state.info.agent);
    let lease = ownership::acquire(calls, &call, &opened.session).await?;
    // Read again: the previous owner could write until this relay had the lease.
    let (found, commands, presence) = tokio::join!(
        calls.find_state(&call),
        commands::subscribe(calls, &call),
        notifications::subscribe_presence(calls, &agent),
    );
    let Some(mut state) = found? else {
        return Ok(None);
    };
    if !is_same_call(state.info.carrier_id.as_deref(), opened) || !state.is_live() {
        return Ok(None);
    }
    if state.info.carrier_id.is_none() {
        state.info.carrier_id.clone_from(&opened.carrier_id);
    }
    let now = calls.clock().now();
    state.owner = Some(calls.replica().clone());
    state.is_session_closed_by_us = false;
    state.start_at(now);
    let answered_at = *state.answered_at.get_or_insert(now);
    let (reporting, info) = (calls.clone(), state.info.clone());
    calls
        .tasks()
        .spawn(async move { answered::report_answered(&reporting, &info, answered_at).await });
    state.paid_until = credit_timer::initially_paid_until(&state, now);
    ownership::notify_previous_owner(calls, &agent, &call, &lease).await;
    let has_model = calls.model_of(&state.info.org).await.is_some();
    Ok(Some(OwnedCall {
        conversation: Conversation::new(state, calls.settings(), has_model),
        lease,
        commands: commands?,
        presence: presence?,
    }))
}

/// Returns whether the socket is for the call. The ticket in its URL has identified the call; the ids can only disagree.
fn is_same_call(carrier_id: Option<&str>, opened: &OpenedSession) -> bool {
    let ids = carrier_id.zip(opened.carrier_id.as_deref());
    ids.is_none_or(|(known, opened)| known == opened)
}
