//! The handle of calls and the backends that it uses.

use std::sync::Arc;

use bon::bon;
use butt_dial_billing::Billing;
use butt_dial_compliance::Compliance;
use butt_dial_domain::{
    CallId, Channel, Clock, OrgId, ReplicaId,
    call::CallInfo,
    ports::{
        bus::Bus,
        kv::{Kv, KvError},
        model::LanguageModel,
        voice::Voice,
    },
};
use butt_dial_messaging::{Carriers, Delivery, Inbound, Metrics as MessagingMetrics, Outbound, PublicUrls};
use butt_dial_store::{Store, StoreError};
use butt_dial_vault::Vault;
use tokio_util::task::TaskTracker;

use super::{metrics::Metrics, settings::CallSettings, state::CallState, state_store::StateStore};

/// Places, holds and concludes calls. One per process, shared.
pub struct Calls {
    pub(crate) store: Store,
    pub(crate) states: StateStore,
    pub(crate) kv: Arc<dyn Kv>,
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) billing: Billing,
    pub(crate) compliance: Compliance,
    pub(crate) carriers: Carriers,
    /// The model of the voicemail service. `None`: callers leave recordings.
    pub(crate) model: Option<Arc<dyn LanguageModel>>,
    pub(crate) public_urls: PublicUrls,
    pub(crate) outbound: Arc<Outbound>,
    pub(crate) inbound: Arc<Inbound>,
    pub(crate) delivery: Arc<Delivery>,
    pub(crate) vault: Vault,
    pub(crate) clock: Clock,
    pub(crate) replica: ReplicaId,
    pub(crate) settings: CallSettings,
    pub(crate) metrics: Metrics,
    pub(crate) webhook_metrics: MessagingMetrics,
    /// Work that must finish even if its caller goes away; shutdown waits for it.
    pub(crate) tasks: TaskTracker,
}

#[bon]
impl Calls {
    #[builder]
    pub fn new(
        store: Store,
        kv: Arc<dyn Kv>,
        bus: Arc<dyn Bus>,
        billing: Billing,
        compliance: Compliance,
        carriers: Carriers,
        model: Option<Arc<dyn LanguageModel>>,
        public_urls: PublicUrls,
        outbound: Arc<Outbound>,
        inbound: Arc<Inbound>,
        delivery: Arc<Delivery>,
        vault: Vault,
        clock: Clock,
        replica: ReplicaId,
        settings: CallSettings,
        metrics: Metrics,
        webhook_metrics: MessagingMetrics,
        tasks: TaskTracker,
    ) -> Arc<Self> {
        Arc::new(Self {
            states: StateStore::new(kv.clone(), vault.clone()),
            store,
            kv,
            bus,
            billing,
            compliance,
            carriers,
            model,
            public_urls,
            outbound,
            inbound,
            delivery,
            vault,
            clock,
            replica,
            settings,
            metrics,
            webhook_metrics,
            tasks,
        })
    }

    /// Finds the state of a call. `None`: no such call, or it ended some time ago.
    pub async fn find_state(&self, call: &CallId) -> Result<Option<CallState>, KvError> {
        self.states.find(call).await
    }

    /// Persists the state of a new call, which no relay owns yet.
    pub async fn create_state(&self, state: &CallState) -> Result<(), KvError> {
        self.states.create(state).await
    }

    pub fn clock(&self) -> Clock {
        self.clock.clone()
    }

    pub fn replica(&self) -> &ReplicaId {
        &self.replica
    }

    /// Seals continuation tokens.
    pub fn vault(&self) -> &Vault {
        &self.vault
    }

    pub fn settings(&self) -> &CallSettings {
        &self.settings
    }

    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Work that must finish even if its caller goes away.
    pub fn tasks(&self) -> &TaskTracker {
        &self.tasks
    }

    /// Returns the language model of the organization, or the installation's.
    pub async fn model_of(&self, org: &OrgId) -> Option<Arc<dyn LanguageModel>> {
        let own = self.carriers.services_of(org).await.model;
        own.or_else(|| self.model.clone())
    }

    pub fn public_urls(&self) -> &PublicUrls {
        &self.public_urls
    }

    pub async fn find_voice(&self, info: &CallInfo) -> Result<Option<(&'static str, Arc<dyn Voice>)>, StoreError> {
        self.carriers.find_voice_in(&info.carrier, info.account.as_ref()).await
    }

    /// Finds the carrier of a call that has no state, by the agent's number.
    pub(crate) async fn find_voice_of_number(
        &self,
        carrier: &str,
        number: &str,
    ) -> Result<Option<(&'static str, Arc<dyn Voice>)>, StoreError> {
        let account = self.store.find_sender_account(Channel::Voice, number).await?;
        self.carriers.find_voice_in(carrier, account.as_ref()).await
    }

    /// Counts a webhook or socket of a carrier.
    pub fn record_webhook(&self, carrier: &str, result: &str) {
        self.webhook_metrics.record_webhook_event(carrier, result);
    }

    /// The URL of a call's callback, for the carrier.
    pub(crate) fn callback_url(&self, carrier: &str, kind: &str, call: &CallId) -> Option<String> {
        self.public_urls.call(carrier, kind, call.as_str())
    }
}
