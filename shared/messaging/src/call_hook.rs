//! The interface of calls for the pipelines. Calls are built on top of this crate.

use async_trait::async_trait;
use butt_dial_domain::{
    AgentId, MessageId, OrgId, ProviderAccountId,
    call::CallOptions,
    ports::{carrier::Dispatch, kv::KvError},
};
use butt_dial_store::Call;

use crate::SendReceipt;

/// An outbound call, before its request to the carrier.
pub struct PendingCall<'a> {
    pub agent: &'a AgentId,
    pub org: &'a OrgId,
    /// The carrier's id, such as `twilio`.
    pub carrier: &'static str,
    /// `None`: the installation's account.
    pub account: Option<&'a ProviderAccountId>,
    pub dispatch: &'a Dispatch,
    pub options: &'a CallOptions,
}

/// An outbound call that the carrier accepted.
pub struct AcceptedCall<'a> {
    pub agent: &'a AgentId,
    pub org: &'a OrgId,
    pub receipt: &'a SendReceipt,
}

/// Implemented by the crate of calls.
#[async_trait]
pub trait CallHook: Send + Sync {
    /// Persists the state of a call before the carrier learns of it: its first callback arrives as soon as the callee
    /// answers. Without a persisted state the call is not placed.
    async fn create_pending(&self, call: PendingCall<'_>) -> Result<(), KvError>;

    /// Removes the state of a call that the carrier refused.
    async fn discard_pending(&self, message: &MessageId);

    /// Writes an accepted call into the database. The call's callbacks do the same; the first one wins.
    async fn record_call(&self, call: AcceptedCall<'_>);

    /// Settles the cost of a call after a report of its length or price.
    async fn settle(&self, call: &Call);
}
