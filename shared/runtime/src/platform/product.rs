//! Assembles the product: the handles of its crates, from the bottom up.

use std::{collections::BTreeMap, sync::Arc};

use butt_dial_accounts::{
    Accounts, Agents, Bootstrap, Challenges, Console, OwnVendor, People, ProviderAccounts, Registrations, Senders,
    Subjects, TeamTokens, Trust,
};
use butt_dial_alerts::Alerts;
use butt_dial_anomalies::Anomalies;
use butt_dial_audit::Audit;
use butt_dial_billing::Billing;
use butt_dial_calls::{CallRecords, Calls};
use butt_dial_compliance::{Choices, ConsentLedger, Consents, DoNotContact, RuleHistory};
use butt_dial_domain::{
    Clock, ReplicaId,
    ports::{model::LanguageModel, speech::SpeechSynthesis, transcription::Transcription},
};
use butt_dial_identity::{Guard, token};
use butt_dial_messaging::{
    Backlogs, CallHook, Carriers, Conversations, Delivery, Egress, Inbound, Inbox, Media, Outbound, PublicUrls,
    Retention, media::Blobs,
};
use prometheus::Registry;
use tokio_util::task::TaskTracker;

use super::{Backends, StartError, product_metrics::ProductMetrics};
use crate::{Config, ai_vendors::AiClients, config::CarrierSetup};

/// The handles of the product. Cheap to clone.
#[derive(Clone)]
pub struct Product {
    pub guard: Arc<Guard>,
    pub agents: Agents,
    pub team_tokens: TeamTokens,
    pub audit: Audit,
    pub alerts: Alerts,
    pub anomalies: Anomalies,
    pub provider_accounts: ProviderAccounts,
    pub senders: Senders,
    pub registrations: Registrations,
    pub challenges: Challenges,
    pub accounts: Arc<Accounts>,
    pub console: Console,
    pub trust: Trust,
    pub subjects: Subjects,
    pub conversations: Conversations,
    pub inbox: Inbox,
    pub people: People,
    pub consents: Consents,
    pub consent_ledger: ConsentLedger,
    pub rule_history: RuleHistory,
    pub do_not_contact: DoNotContact,
    pub compliance_choices: Choices,
    pub bootstrap: Bootstrap,
    pub billing: Billing,
    pub outbound: Arc<Outbound>,
    pub inbound: Arc<Inbound>,
    pub delivery: Arc<Delivery>,
    pub media: Arc<Media>,
    pub retention: Retention,
    pub backlogs: Backlogs,
    pub calls: Arc<Calls>,
    pub carriers: Carriers,
    pub public_urls: PublicUrls,
    /// The carriers are simulators.
    pub simulated_world: bool,
    /// `None`: attachments are not stored.
    pub blobs: Option<Blobs>,
    pub model: Option<Arc<dyn LanguageModel>>,
    pub speech: Option<Arc<dyn SpeechSynthesis>>,
    pub transcription: Option<Arc<dyn Transcription>>,
}

/// Everything that the product is assembled from.
pub(super) struct Parts<'a> {
    pub config: &'a Config,
    pub registry: &'a Registry,
    pub backends: &'a Backends,
    pub carriers: Carriers,
    pub own_vendors: BTreeMap<&'static str, OwnVendor>,
    pub carrier_http: reqwest::Client,
    pub public_urls: PublicUrls,
    pub ai: AiClients,
    pub clock: Clock,
    pub replica: ReplicaId,
    pub tasks: TaskTracker,
}

impl Parts<'_> {
    pub fn assemble(mut self) -> Result<Product, StartError> {
        let metrics = ProductMetrics::register(self.registry, self.config)
            .map_err(|error| StartError::Other(error.to_string()))?;
        let blobs = self.config.blobs.as_ref().map(Blobs::open).transpose();
        let blobs = blobs.map_err(StartError::Other)?;
        let provider_accounts = self.provider_accounts();
        self.carriers.set_accounts(Arc::new(provider_accounts.clone()));
        let billing = self.billing(metrics.billing.clone());
        let egress = Egress::new(self.config.allow_private_callbacks);
        let call_records = self.call_records(&billing);
        let outbound = self.outbound(&metrics, &billing, call_records.clone());
        let delivery = self.delivery(&metrics, &egress);
        let media = self.media(&billing, &egress, &blobs, &delivery);
        let inbound = self.inbound(&metrics, &billing, &outbound, &delivery, &media, call_records);
        let calls = self.calls(&metrics, &billing, &outbound, &inbound, &delivery);
        let challenges = self.challenges(&outbound);
        let senders = Senders::new(
            self.backends.store.clone(),
            provider_accounts.clone(),
            billing.clone(),
            self.backends.bus.clone(),
            self.clock.clone(),
            self.public_urls.clone(),
            self.config.senders.clone(),
        );
        let registrations = Registrations::new(
            self.backends.store.clone(),
            self.backends.vault.clone(),
            self.clock.clone(),
            provider_accounts.clone(),
            senders.clone(),
        );
        let accounts = self.accounts(&egress, &blobs, &outbound, &challenges, &senders, &registrations);
        let (store, clock) = (&self.backends.store, &self.clock);
        let simulated_world = self.simulated_world();
        let alerts = self.alerts(&egress, &accounts);
        let agents = Agents::new(store.clone(), self.backends.bus.clone(), clock.clone());
        Ok(Product {
            guard: Arc::new(self.guard(metrics.identity)),
            people: People::new(store.clone(), agents.clone()),
            agents,
            trust: Trust::new(store.clone(), clock.clone()),
            subjects: Subjects::new(
                store.clone(),
                self.backends.vault.clone(),
                clock.clone(),
                self.carriers.clone(),
                blobs.clone(),
            ),
            inbox: Inbox::new(store.clone(), self.backends.vault.clone(), clock.clone()),
            conversations: Conversations::new(store.clone(), self.backends.vault.clone(), clock.clone()),
            consents: Consents::new(store.clone(), clock.clone()),
            consent_ledger: ConsentLedger::new(store.clone(), self.backends.vault.clone(), clock.clone()),
            do_not_contact: DoNotContact::new(store.clone(), clock.clone()),
            compliance_choices: Choices::new(store.clone(), clock.clone()),
            rule_history: RuleHistory::new(store.clone(), clock.clone(), self.config.rules.clone()),
            audit: self.audit(),
            anomalies: self.anomalies(&alerts, &accounts),
            alerts,
            team_tokens: TeamTokens::new(store.clone(), clock.clone()),
            challenges,
            accounts,
            console: Console::new(
                store.clone(),
                self.backends.kv.clone(),
                self.backends.vault.clone(),
                clock.clone(),
            ),
            bootstrap: Bootstrap::new(
                store.clone(),
                self.backends.vault.clone(),
                clock.clone(),
                simulated_world,
            ),
            registrations,
            senders,
            provider_accounts,
            backlogs: Backlogs::new(store.clone(), clock.clone(), metrics.messaging.clone()),
            retention: Retention::new(
                store.clone(),
                blobs.clone(),
                clock.clone(),
                self.config.event_retention,
                self.config.keep_times,
            ),
            billing,
            outbound,
            inbound,
            delivery,
            media,
            calls,
            carriers: self.carriers,
            public_urls: self.public_urls,
            simulated_world,
            blobs,
            model: self.ai.model,
            speech: self.ai.speech,
            transcription: self.ai.transcription,
        })
    }

    pub(super) fn simulated_world(&self) -> bool {
        matches!(self.config.carriers, CarrierSetup::Simulated)
    }

    fn guard(&self, metrics: butt_dial_identity::Metrics) -> Guard {
        let token = self.config.orchestrator_token.as_deref();
        let hash = token.map(|secret| hex::encode(token::hash(secret)));
        let backends = self.backends;
        Guard::new(
            backends.store.clone(),
            backends.kv.clone(),
            self.clock.clone(),
            backends.vault.clone(),
            hash,
            metrics,
        )
    }

    fn billing(&self, metrics: butt_dial_billing::Metrics) -> Billing {
        let backends = self.backends;
        Billing::new(
            backends.store.clone(),
            backends.kv.clone(),
            self.clock.clone(),
            self.config.default_limits,
            self.config.prices.clone(),
            metrics,
        )
    }

    fn call_records(&self, billing: &Billing) -> Arc<dyn CallHook> {
        let backends = self.backends;
        Arc::new(CallRecords::new(
            backends.store.clone(),
            backends.kv.clone(),
            backends.vault.clone(),
            billing.clone(),
            self.clock.clone(),
        ))
    }

    fn outbound(&self, metrics: &ProductMetrics, billing: &Billing, calls: Arc<dyn CallHook>) -> Arc<Outbound> {
        Outbound::builder()
            .store(self.backends.store.clone())
            .kv(self.backends.kv.clone())
            .bus(&self.backends.bus)
            .partitions(self.backends.partitions)
            .billing(billing.clone())
            .compliance(metrics.compliance.clone())
            .carriers(self.carriers.clone())
            .public_urls(self.public_urls.clone())
            .calls(calls)
            .vault(self.backends.vault.clone())
            .clock(self.clock.clone())
            .replica(self.replica.clone())
            .settings(self.config.outbound_settings(self.simulated_world()))
            .metrics(metrics.messaging.clone())
            .tasks(self.tasks.clone())
            .build()
    }

    fn accounts(
        &self,
        egress: &Egress,
        blobs: &Option<Blobs>,
        outbound: &Arc<Outbound>,
        challenges: &Challenges,
        senders: &Senders,
        registrations: &Registrations,
    ) -> Arc<Accounts> {
        Accounts::builder()
            .store(self.backends.store.clone())
            .kv(self.backends.kv.clone())
            .bus(self.backends.bus.clone())
            .vault(self.backends.vault.clone())
            .clock(self.clock.clone())
            .egress(egress.clone())
            .maybe_blobs(blobs.clone())
            .outbound(outbound.clone())
            .challenges(challenges.clone())
            .senders(senders.clone())
            .registrations(registrations.clone())
            .public_urls(&self.public_urls)
            .settings(self.config.accounts.clone())
            .tasks(self.tasks.clone())
            .build()
    }

    fn delivery(&self, metrics: &ProductMetrics, egress: &Egress) -> Arc<Delivery> {
        Delivery::builder()
            .store(self.backends.store.clone())
            .kv(self.backends.kv.clone())
            .bus(self.backends.bus.clone())
            .vault(self.backends.vault.clone())
            .egress(egress.clone())
            .clock(self.clock.clone())
            .replica(self.replica.clone())
            .callback_retry_after(self.config.callback_retry_after.clone())
            .metrics(metrics.messaging.clone())
            .tasks(self.tasks.clone())
            .build()
    }

    fn media(&self, billing: &Billing, egress: &Egress, blobs: &Option<Blobs>, delivery: &Arc<Delivery>) -> Arc<Media> {
        Media::builder()
            .store(self.backends.store.clone())
            .billing(billing.clone())
            .carriers(self.carriers.clone())
            .carrier_http(self.carrier_http.clone())
            .egress(egress.clone())
            .maybe_blobs(blobs.clone())
            .maybe_speech(self.ai.speech.clone())
            .maybe_transcriber(self.ai.transcription.clone())
            .vault(self.backends.vault.clone())
            .clock(self.clock.clone())
            .public_urls(self.public_urls.clone())
            .event_retention(self.config.event_retention)
            .delivery(delivery.clone())
            .tasks(self.tasks.clone())
            .build()
    }

    fn inbound(
        &self,
        metrics: &ProductMetrics,
        billing: &Billing,
        outbound: &Arc<Outbound>,
        delivery: &Arc<Delivery>,
        media: &Arc<Media>,
        calls: Arc<dyn CallHook>,
    ) -> Arc<Inbound> {
        Inbound::builder()
            .store(self.backends.store.clone())
            .kv(self.backends.kv.clone())
            .bus(self.backends.bus.clone())
            .partitions(self.backends.partitions)
            .maybe_keep_read(self.config.keep_read_entries)
            .billing(billing.clone())
            .carriers(self.carriers.clone())
            .vault(self.backends.vault.clone())
            .clock(self.clock.clone())
            .replica(self.replica.clone())
            .outbound(outbound.clone())
            .delivery(delivery.clone())
            .media(media.clone())
            .calls(calls)
            .metrics(metrics.messaging.clone())
            .tasks(self.tasks.clone())
            .build()
    }

    fn calls(
        &self,
        metrics: &ProductMetrics,
        billing: &Billing,
        outbound: &Arc<Outbound>,
        inbound: &Arc<Inbound>,
        delivery: &Arc<Delivery>,
    ) -> Arc<Calls> {
        Calls::builder()
            .store(self.backends.store.clone())
            .kv(self.backends.kv.clone())
            .bus(self.backends.bus.clone())
            .billing(billing.clone())
            .compliance(metrics.compliance.clone())
            .carriers(self.carriers.clone())
            .maybe_model(self.ai.model.clone())
            .public_urls(self.public_urls.clone())
            .outbound(outbound.clone())
            .inbound(inbound.clone())
            .delivery(delivery.clone())
            .vault(self.backends.vault.clone())
            .clock(self.clock.clone())
            .replica(self.replica.clone())
            .settings(self.config.calls.clone())
            .metrics(metrics.calls.clone())
            .webhook_metrics(metrics.messaging.clone())
            .tasks(self.tasks.clone())
            .build()
    }
}
