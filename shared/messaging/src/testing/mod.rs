//! For tests: the product on a separate SQLite database, with one agent that has a number.
//!
//! The bus records what is appended, and fails when a test wants it to; a real one cannot be told to fail at one call.

mod absent_backends;
mod scripted_bus;

use std::{sync::Arc, time::Duration};

use butt_dial_billing::{Billing, Prices};
use butt_dial_compliance::{Compliance, ComplianceSettings, Disclosure, RuleSet};
use butt_dial_domain::{
    Address, AgentId, Channel, Clock, ReplicaId, SendPurpose,
    clock::Timestamp,
    inbound::InboundMessage,
    limits::Limits,
    ports::{bus::Bus, kv::Kv},
    senders::{BINDING, IdentityMode},
};
use butt_dial_store::{Agent, AgentStatus, AuditEntry, InboundBatch, InboundRow, Store};
use butt_dial_vault::Vault;
use chrono::TimeDelta;
use prometheus::Registry;
use serde_json::json;
use tokio_util::task::TaskTracker;

use crate::{
    CallHook, Carriers, Delivery, Egress, EventContent, Inbound, Media, Metrics, Outbound, PublicUrls, inbound::STREAM,
    outbound::OutboundSettings,
};

use absent_backends::{NoCalls, NoKv};
pub use scripted_bus::ScriptedBus;

/// The agent's number.
pub const PHONE: &str = "+14155550100";

pub struct Bench {
    pub store: Store,
    pub kv: Arc<dyn Kv>,
    pub bus: Arc<ScriptedBus>,
    pub vault: Vault,
    pub clock: Clock,
    pub replica: ReplicaId,
    pub tasks: TaskTracker,
    pub billing: Billing,
    pub compliance: Compliance,
    pub metrics: Metrics,
    pub outbound: Arc<Outbound>,
    pub delivery: Arc<Delivery>,
    pub media: Arc<Media>,
    pub inbound: Arc<Inbound>,
    pub agent: Agent,
    _directory: tempfile::TempDir,
}

impl Bench {
    pub async fn new() -> Self {
        Self::with(Carriers::default()).await
    }

    pub async fn with(carriers: Carriers) -> Self {
        Self::at(carriers, Clock::System).await
    }

    /// A bench with this clock.
    pub async fn at(carriers: Carriers, clock: Clock) -> Self {
        // An error means that another test of the process has installed it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let directory = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", directory.path().join("store.db").display());
        let tasks = TaskTracker::new();
        let store = Store::connect(&url, 4, &tasks).await.unwrap();
        store.migrate().await.unwrap();
        let agent = create_agent(&store, &clock).await;
        let scripted = Arc::new(ScriptedBus::default());
        let bus: Arc<dyn Bus> = scripted.clone();
        let kv: Arc<dyn Kv> = Arc::new(NoKv);
        let calls: Arc<dyn CallHook> = Arc::new(NoCalls);
        let vault = Vault::new(b"a master key");
        let hashing = vault.clone();
        store.hash_contacts_with(move |org, key| hashing.contact_digest(org, key));
        let replica = ReplicaId::generate();
        let registry = Registry::new();
        let metrics = Metrics::register(&registry).unwrap();
        let settings = ComplianceSettings {
            allowed_destinations: Vec::new(),
            undeclared_purpose: SendPurpose::Undeclared,
            disclosure: Disclosure::Default(false),
            simulated_world: false,
        };
        let compliance = Compliance::register(&registry, settings, RuleSet::built_in().unwrap().into()).unwrap();
        let billing_metrics = butt_dial_billing::Metrics::register(&registry).unwrap();
        let limits = Limits::default();
        let prices = Arc::new(Prices::read(None).unwrap());
        let billing = Billing::new(
            store.clone(),
            kv.clone(),
            clock.clone(),
            limits,
            prices,
            billing_metrics,
        );
        let public_urls = PublicUrls::default();
        let egress = Egress::new(false);
        let outbound = Outbound::builder()
            .store(store.clone())
            .kv(kv.clone())
            .bus(&bus)
            .billing(billing.clone())
            .compliance(compliance.clone())
            .carriers(carriers.clone())
            .public_urls(public_urls.clone())
            .calls(calls.clone())
            .vault(vault.clone())
            .clock(clock.clone())
            .replica(replica.clone())
            .settings(OutboundSettings {
                simulated_world: false,
                approval_time: TimeDelta::hours(24),
                disclosure: "Sent by an AI assistant.".into(),
                identity: IdentityMode::Dedicated,
                pool_binding: BINDING,
                reconcile_after: Vec::new(),
                scheduled_per_agent: 100,
                scheduled_per_organization: 1_000,
                scheduled_bytes_per_agent: 1_000_000,
                scheduled_bytes_per_organization: 10_000_000,
            })
            .metrics(metrics.clone())
            .tasks(tasks.clone())
            .build();
        let delivery = Delivery::builder()
            .store(store.clone())
            .kv(kv.clone())
            .bus(bus.clone())
            .vault(vault.clone())
            .egress(egress.clone())
            .clock(clock.clone())
            .replica(replica.clone())
            .callback_retry_after(Vec::new())
            .metrics(metrics.clone())
            .tasks(tasks.clone())
            .build();
        let media = Media::builder()
            .billing(billing.clone())
            .store(store.clone())
            .carriers(carriers.clone())
            .carrier_http(reqwest::Client::new())
            .egress(egress)
            .vault(vault.clone())
            .clock(clock.clone())
            .public_urls(public_urls)
            .event_retention(Duration::from_secs(60))
            .delivery(delivery.clone())
            .tasks(tasks.clone())
            .build();
        let inbound = Inbound::builder()
            .store(store.clone())
            .kv(kv.clone())
            .bus(bus)
            .billing(billing.clone())
            .carriers(carriers)
            .vault(vault.clone())
            .clock(clock.clone())
            .replica(replica.clone())
            .outbound(outbound.clone())
            .delivery(delivery.clone())
            .media(media.clone())
            .calls(calls)
            .metrics(metrics.clone())
            .tasks(tasks.clone())
            .build();
        Self {
            store,
            kv,
            bus: scripted,
            vault,
            clock,
            replica,
            tasks,
            billing,
            compliance,
            metrics,
            outbound,
            delivery,
            media,
            inbound,
            agent,
            _directory: directory,
        }
    }

    pub fn phone(&self) -> Address {
        Address::parse(Channel::Sms, PHONE).unwrap()
    }

    /// Appends `count` events of a kind to the agent's log, from different contacts, each with `bytes` of text.
    pub async fn log(&self, kind: &'static str, count: usize, bytes: usize) {
        let from = self.store.find_log_position(STREAM.name).await.unwrap();
        let event = |n: usize| {
            let id = format!("evt_{from}_{n}");
            let mut message = InboundMessage::new(&id, Channel::Sms, &self.phone(), &self.phone());
            message.body = Some("x".repeat(bytes));
            let content = EventContent {
                message,
                links: Vec::new(),
                session: None,
                taint: None,
            };
            InboundRow {
                agent: self.agent.id.clone(),
                org: self.agent.org_id.clone(),
                kind,
                channel: Channel::Sms,
                contact: format!("+1415555{n:04}"),
                data: json!({ "type": "message" }),
                content: Some(content.seal(&self.vault, &self.agent.org_id, &id)),
                is_incomplete: false,
                is_quiet: false,
                channel_id: None,
                consent: None,
                evidence: None,
                follow_up: None,
                effects: Default::default(),
                id,
            }
        };
        let now = self.clock.now();
        let batch = InboundBatch {
            stream: STREAM.name.into(),
            entry_id: String::new(),
            after: from,
            position: from + 1,
            events: (0..count).map(event).collect(),
            receipts: Vec::new(),
            calls: Vec::new(),
            dead_letters: Vec::new(),
            at: now,
            holder: "bench".into(),
            held_until: now,
        };
        let applied = self.store.apply_inbound(&batch, &|_| None).await.unwrap();
        assert_eq!(applied.added, count);
    }

    pub async fn block(&self, is_blocked: bool) {
        let blocked = self
            .store
            .change(setup())
            .set_channel_block(&self.agent.id, Channel::Sms, Some(is_blocked), None)
            .await;
        assert!(blocked.unwrap());
    }
}

/// Returns the entry of a change that a test prepares.
pub fn setup() -> AuditEntry {
    AuditEntry::new(None, "system", "test.setup", "test", Timestamp::UNIX_EPOCH)
}

async fn create_agent(store: &Store, clock: &Clock) -> Agent {
    let org = store
        .change(setup())
        .create_organization("Acme", "acme", clock.now())
        .await
        .unwrap();
    let agent = Agent {
        id: AgentId::generate(),
        org_id: org.id,
        display_name: "Ada".into(),
        status: AgentStatus::Active,
        created_at: clock.now(),
    };
    store.change(setup()).create_agent(&agent).await.unwrap();
    let assigned = store
        .change(setup())
        .assign_channel(&agent.org_id, &agent.id, Channel::Sms, PHONE, clock.now())
        .await;
    assigned.unwrap();
    agent
}
