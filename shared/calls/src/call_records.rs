//! The records of outbound calls that the send pipeline needs: the pending state before the request to the carrier, and the
//! database row after it. Below `Calls`, which itself uses the pipeline.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use butt_dial_billing::Billing;
use butt_dial_domain::{
    CallId, Clock, MessageId,
    call::{CallInfo, Direction, VoiceSettings},
    message::Status,
    ports::kv::{Kv, KvError},
};
use butt_dial_messaging::{AcceptedCall, CallHook, PendingCall};
use butt_dial_store::{Call, CallEntry, Store};
use butt_dial_vault::Vault;
use chrono::TimeDelta;

use super::{
    billing, originate::HANGUP_GRACE_SECONDS, phrases::DEFAULT_LANGUAGE, state::CallState, state_store::StateStore,
};

pub struct CallRecords {
    store: Store,
    states: StateStore,
    billing: Billing,
    clock: Clock,
}

impl CallRecords {
    pub fn new(store: Store, kv: Arc<dyn Kv>, vault: Vault, billing: Billing, clock: Clock) -> Self {
        Self {
            store,
            states: StateStore::new(kv, vault),
            billing,
            clock,
        }
    }
}

#[async_trait]
impl CallHook for CallRecords {
    async fn create_pending(&self, call: PendingCall<'_>) -> Result<(), KvError> {
        let now = self.clock.now();
        let limit = call.options.limit_seconds.saturating_sub(HANGUP_GRACE_SECONDS);
        let settings = self
            .store
            .find_voice_settings(call.agent)
            .await
            .unwrap_or_else(|error| {
                tracing::warn!(%error, "voice settings not read: the call uses its own only");
                VoiceSettings::default()
            });
        let (plan, dispatch) = (call.options.plan.clone().with_defaults(&settings), call.dispatch);
        let state = CallState::new(CallInfo {
            call: CallId::from(dispatch.message.as_str()),
            org: call.org.clone(),
            agent: call.agent.clone(),
            carrier: call.carrier.to_owned(),
            account: call.account.cloned(),
            carrier_id: None,
            direction: Direction::Outbound,
            local: dispatch.from.as_str().to_owned(),
            remote: dispatch.to.as_str().to_owned(),
            name: dispatch.sender_name.clone().unwrap_or_default(),
            language: plan.language.clone().unwrap_or_else(|| DEFAULT_LANGUAGE.to_owned()),
            plan,
            started_at: now,
            limit_at: now + TimeDelta::from_std(Duration::from_secs(limit.into())).unwrap_or_default(),
        });
        self.states.create(&state).await
    }

    async fn discard_pending(&self, message: &MessageId) {
        let call = CallId::from(message.as_str());
        if let Err(error) = self.states.delete(&call).await {
            tracing::info!(%error, %call, "pending call state not deleted: it expires");
        }
    }

    async fn record_call(&self, call: AcceptedCall<'_>) {
        let receipt = call.receipt;
        if receipt.status != Status::Accepted {
            return;
        }
        let entry = CallEntry {
            id: CallId::from(receipt.message.as_str()),
            org: call.org.clone(),
            agent: call.agent.clone(),
            direction: Direction::Outbound,
            carrier: receipt.carrier.clone().unwrap_or_default(),
            carrier_id: receipt.carrier_id.clone(),
            local_number: receipt.from.clone(),
            remote_number: receipt.to.clone(),
            at: self.clock.now(),
        };
        if let Err(error) = self.store.open_call(&entry).await {
            tracing::warn!(%error, call = %entry.id, "call row not written: a callback writes it");
        }
    }

    async fn settle(&self, call: &Call) {
        billing::settle(&self.store, &self.billing, call, self.clock.now()).await;
    }
}
