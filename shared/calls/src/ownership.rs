//! Ownership of a call: one relay at a time holds the lease that allows it to write the call's state. The new owner always
//! takes the lease from the previous one, which stops at the latest when its next write is refused.

use butt_dial_domain::{
    AgentId, CallId, keys,
    ports::kv::{KvError, Lease},
};
use futures::{FutureExt, future::BoxFuture};

use super::{
    commands::{self, CallCommand},
    handle::Calls,
    state::CallState,
    state_store,
};

/// The lease on a call.
#[derive(Clone)]
pub struct CallLease(Lease);

impl CallLease {
    /// Grows with each owner of the call.
    pub fn epoch(&self) -> u64 {
        self.0.fence
    }
}

/// Takes the lease from its holder. `session` distinguishes two sockets of one call on the same relay.
pub async fn acquire(calls: &Calls, call: &CallId, session: &str) -> Result<CallLease, KvError> {
    let holder = format!("{}.{session}", calls.replica);
    let key = keys::call_owner(call);
    let lease = calls.kv.steal_lease(&key, &holder, state_store::TTL).await?;
    Ok(CallLease(lease))
}

/// Notifies the previous owner, so that it stops at once.
pub async fn notify_previous_owner(calls: &Calls, agent: &AgentId, call: &CallId, lease: &CallLease) {
    let command = CallCommand::OwnerChanged { epoch: lease.epoch() };
    commands::publish(calls, agent, call, command).await;
}

/// Persists the state as it is now. The future returns false, and writes nothing, if another relay owns the call.
pub fn save(calls: &Calls, lease: &CallLease, state: &CallState) -> BoxFuture<'static, Result<bool, KvError>> {
    let sealed = calls.states.seal(state);
    let (states, lease, call) = (calls.states.clone(), lease.clone(), state.info.call.clone());
    async move { states.save(&lease.0, &call, &sealed).await }.boxed()
}

/// Persists a state that a callback has changed, while no relay owns the call. `holder` names the callback.
pub(crate) async fn overwrite(calls: &Calls, state: &CallState, holder: &str) -> Result<(), KvError> {
    let call = &state.info.call;
    let lease = calls
        .kv
        .steal_lease(&keys::call_owner(call), holder, state_store::TTL)
        .await?;
    calls
        .states
        .save(&lease, call, &calls.states.seal(state))
        .await
        .map(drop)
}
