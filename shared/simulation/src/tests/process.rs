//! A process of the program: the real components of `shared/messaging` on simulated backends, with a runtime of simulated time. Dropping
//! the runtime is the crash.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use butt_dial_billing::Billing;
use butt_dial_domain::{
    Channel, Failure, MessageId, ReplicaId,
    limits::Limits,
    ports::{
        bus::Bus,
        kv::{Kv, KvError},
    },
    senders::{BINDING, IdentityMode},
};
use butt_dial_messaging::{
    AcceptedCall, CallHook, Carrier, Carriers, Delivery, Inbound, Media, Outbound, PendingCall, PublicUrls,
    inbound::{Partitions, Routes},
    outbound::OutboundSettings,
};
use butt_dial_store::{Call, Store, simulation};
use chrono::TimeDelta;
use tokio::runtime::Runtime;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    carrier::{LISTING, ProcessCarrier, WITH_KEYS},
    faults::Faults,
    kv::ProcessKv,
    laboratory::Laboratory,
    log::ProcessBus,
    world::World,
};

/// The components that clients, carriers and sweeps use.
#[derive(Clone)]
pub struct Product {
    pub store: Store,
    pub outbound: Arc<Outbound>,
    pub inbound: Arc<Inbound>,
    pub delivery: Arc<Delivery>,
    pub routes: Arc<Routes>,
}

impl Product {
    /// Runs the periodic sweeps once, at the same time.
    pub async fn sweep(&self) -> Result<(), Failure> {
        let (a, b, c, d) = tokio::join!(
            self.outbound.reconcile(),
            self.outbound.send_due(),
            self.delivery.deliver_due(),
            self.inbound.replay_dead_letters(),
        );
        a.and(b).and(c).and(d).map(drop)
    }
}

pub struct Process {
    pub faults: Arc<Faults>,
    pub product: Product,
    pub runtime: Runtime,
    /// Time that has passed while it was frozen.
    pub behind: Duration,
    pub frozen_until: Option<butt_dial_domain::clock::Timestamp>,
}

impl Process {
    /// Starts a process. `life` is different for each.
    pub fn start(laboratory: &Laboratory, world: &Arc<World>, life: u32, shape: Shape) -> Self {
        let faults = Faults::new(world.clone(), format!("life {life}"), laboratory.connections().clone());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        simulation::run_as(Some(faults.clone()));
        let product = runtime.block_on(wire(laboratory, &faults, life, shape));
        simulation::run_as(None);
        faults.end_start();
        let (inbound, end) = (product.inbound.clone(), CancellationToken::new());
        runtime.spawn(async move { inbound.consume(&end).await });
        faults.note(|| "starts".into());
        Self {
            faults,
            product,
            runtime,
            behind: Duration::ZERO,
            frozen_until: None,
        }
    }

    /// Lets simulated time pass.
    pub fn run(&mut self, time: Duration) {
        self.enter(|process| {
            let behind = std::mem::take(&mut process.behind);
            process.runtime.block_on(async {
                if !behind.is_zero() {
                    tokio::time::advance(behind).await;
                }
                tokio::time::sleep(time).await; // not a synchronisation: simulated time
            });
        });
    }

    /// Moves time at once, as for a machine that was suspended.
    pub fn skip(&mut self, time: Duration) {
        self.enter(|process| process.runtime.block_on(tokio::time::advance(time)));
    }

    fn enter(&mut self, work: impl FnOnce(&mut Self)) {
        simulation::run_as(Some(self.faults.clone()));
        work(self);
        simulation::run_as(None);
    }
}

/// The settings that differ between runs.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    pub partitions: u16,
    /// Receipts name our message.
    pub has_callbacks: bool,
}

async fn wire(laboratory: &Laboratory, faults: &Arc<Faults>, life: u32, shape: Shape) -> Product {
    let tasks = TaskTracker::new();
    let store = laboratory.store.of_process(&tasks);
    let bus: Arc<dyn Bus> = Arc::new(ProcessBus(faults.clone()));
    let kv: Arc<dyn Kv> = Arc::new(ProcessKv(faults.clone()));
    let calls: Arc<dyn CallHook> = Arc::new(NoCalls);
    let (clock, vault) = (faults.world.clock.clone(), laboratory.vault.clone());
    let replica = ReplicaId::from(format!("life{life}").as_str());
    let partitions = Partitions::new(shape.partitions);
    let carriers = carriers(faults);
    let public_urls = PublicUrls::new(shape.has_callbacks.then(|| "https://bd.example.com".into()));
    let billing = Billing::new(
        store.clone(),
        kv.clone(),
        clock.clone(),
        Limits::default(),
        laboratory.prices.clone(),
        laboratory.billing_metrics.clone(),
    );
    let outbound = Outbound::builder()
        .store(store.clone())
        .kv(kv.clone())
        .bus(&bus)
        .partitions(partitions)
        .billing(billing.clone())
        .compliance(laboratory.compliance.clone())
        .carriers(carriers.clone())
        .public_urls(public_urls.clone())
        .calls(calls.clone())
        .vault(vault.clone())
        .clock(clock.clone())
        .replica(replica.clone())
        .settings(settings())
        .metrics(laboratory.metrics.clone())
        .tasks(tasks.clone())
        .build();
    let delivery = Delivery::builder()
        .store(store.clone())
        .kv(kv.clone())
        .bus(bus.clone())
        .vault(vault.clone())
        .egress(laboratory.egress.clone())
        .clock(clock.clone())
        .replica(replica.clone())
        .callback_retry_after(Vec::new())
        .metrics(laboratory.metrics.clone())
        .tasks(tasks.clone())
        .build();
    let media = Media::builder()
        .billing(billing.clone())
        .store(store.clone())
        .carriers(carriers.clone())
        .carrier_http(laboratory.http.clone())
        .egress(laboratory.egress.clone())
        .vault(vault.clone())
        .clock(clock.clone())
        .public_urls(public_urls)
        .event_retention(Duration::from_secs(86_400))
        .delivery(delivery.clone())
        .tasks(tasks.clone())
        .build();
    let inbound = Inbound::builder()
        .store(store.clone())
        .kv(kv)
        .bus(bus.clone())
        .partitions(partitions)
        .billing(billing)
        .carriers(carriers)
        .vault(vault)
        .clock(clock.clone())
        .replica(replica)
        .outbound(outbound.clone())
        .delivery(delivery.clone())
        .media(media)
        .calls(calls)
        .metrics(laboratory.metrics.clone())
        .tasks(tasks)
        .build();
    let routes = Routes::load(store.clone(), bus, clock, BINDING).await.unwrap();
    Product {
        store,
        outbound,
        inbound,
        delivery,
        routes: Arc::new(routes),
    }
}

fn carriers(faults: &Arc<Faults>) -> Carriers {
    let mut carriers = Carriers::default();
    for (id, channel) in [(LISTING, Channel::Sms), (WITH_KEYS, Channel::Whatsapp)] {
        let adapter = Arc::new(ProcessCarrier {
            faults: faults.clone(),
            channel,
        });
        let carrier = Carrier {
            id,
            messaging: adapter.clone(),
            account: None,
        };
        carriers.add(&[channel], &carrier);
        carriers.add_webhooks(id, adapter);
    }
    carriers
}

fn settings() -> OutboundSettings {
    OutboundSettings {
        simulated_world: true,
        approval_time: TimeDelta::hours(24),
        disclosure: "Sent by an AI assistant.".into(),
        identity: IdentityMode::Dedicated,
        pool_binding: BINDING,
        reconcile_after: [1, 5, 15].map(Duration::from_secs).to_vec(),
        scheduled_per_agent: 100,
        scheduled_per_organization: 1_000,
        scheduled_bytes_per_agent: 1_000_000,
        scheduled_bytes_per_organization: 10_000_000,
    }
}

/// The messages of the simulation are no calls.
struct NoCalls;

#[async_trait]
impl CallHook for NoCalls {
    async fn create_pending(&self, _: PendingCall<'_>) -> Result<(), KvError> {
        Err(KvError("there are no calls".into()))
    }

    async fn discard_pending(&self, _: &MessageId) {}

    async fn record_call(&self, _: AcceptedCall<'_>) {}

    async fn settle(&self, _: &Call) {}
}
