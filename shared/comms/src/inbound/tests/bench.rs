//! The product on a database of its own, with one agent that has a number. The bus keeps what it is given, and fails when a
//! test says so: a real one can't be told to.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use butt_dial_domain::{
    Address, AgentId, Channel, Clock, ReplicaId,
    inbound::InboundMessage,
    limits::Limits,
    ports::{
        bus::{Appended, Bus, BusError, Consumer, ConsumerSpec, Headers, LogReader, Message, StreamSpec},
        kv::{Admission, Kv, KvError, Lease, Quota},
    },
};
use butt_dial_store::{Agent, AgentStatus, InboundBatch, InboundRow, Store};
use bytes::Bytes;
use futures::{StreamExt, channel::mpsc, stream::BoxStream};
use serde_json::json;
use tokio_util::task::TaskTracker;

use crate::{
    Carriers, Comms, Parts, Settings, delivery::view::Content, egress::Egress, inbound::STREAM, metrics::Metrics,
    vault::Vault,
};

pub const PHONE: &str = "+14155550100";

pub struct Bench {
    pub comms: Comms,
    pub bus: Arc<ScriptedBus>,
    pub agent: Agent,
    _directory: tempfile::TempDir,
}

impl Bench {
    pub async fn new() -> Self {
        Self::with(Carriers::default()).await
    }

    pub async fn with(carriers: Carriers) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let directory = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", directory.path().join("store.db").display());
        let tasks = TaskTracker::new();
        let store = Store::connect(&url, 4, &tasks).await.unwrap();
        store.migrate().await.unwrap();
        let clock = Clock::System;
        let org = store.create_organization("Acme", "acme", clock.now()).await.unwrap();
        let agent = Agent {
            id: AgentId::generate(),
            org_id: org.id,
            display_name: "Ada".into(),
            status: AgentStatus::Active,
            created_at: clock.now(),
        };
        store.create_agent(&agent).await.unwrap();
        let assigned = store.assign_channel(&agent.org_id, &agent.id, Channel::Sms, PHONE, clock.now());
        assigned.await.unwrap();
        let bus = Arc::new(ScriptedBus::default());
        let comms = Comms::new(Parts {
            store,
            kv: Arc::new(NoKv),
            bus: bus.clone(),
            carriers,
            model: None,
            speech: None,
            carrier_http: reqwest::Client::new(),
            egress: Egress::new(false),
            blobs: None,
            vault: Vault::new(b"a master key"),
            clock,
            replica: ReplicaId::generate(),
            settings: Settings {
                default_limits: Limits::default(),
                simulated_world: false,
                reconcile_after: Vec::new(),
                orchestrator_token_hash: None,
                public_url: None,
                callback_retry_after: Vec::new(),
                event_retention: Duration::from_secs(60),
                calls: Default::default(),
            },
            metrics: Metrics::register(&prometheus::Registry::new()).unwrap(),
            tasks,
        });
        Self {
            comms,
            bus,
            agent,
            _directory: directory,
        }
    }

    pub fn phone(&self) -> Address {
        Address::parse(Channel::Sms, PHONE).unwrap()
    }

    /// Writes so many events of this kind into the agent's log, from as many people, each with so many bytes of text.
    pub async fn log(&self, kind: &'static str, count: usize, bytes: usize) {
        let from = self.comms.store.find_log_position(STREAM.name).await.unwrap();
        let event = |n: usize| {
            let id = format!("evt_{from}_{n}");
            let mut message = InboundMessage::new(&id, Channel::Sms, &self.phone(), &self.phone());
            message.body = Some("x".repeat(bytes));
            let content = Content {
                message,
                links: Vec::new(),
            };
            InboundRow {
                agent: self.agent.id.clone(),
                org: self.agent.org_id.clone(),
                kind,
                channel: Channel::Sms,
                contact: format!("+1415555{n:04}"),
                data: json!({ "type": "message" }),
                content: Some(content.seal(&self.comms, &self.agent.org_id, &id)),
                is_incomplete: false,
                is_quiet: false,
                channel_id: None,
                consent: None,
                follow_up: None,
                id,
            }
        };
        let now = self.comms.clock.now();
        let batch = InboundBatch {
            stream: STREAM.name,
            after: from,
            position: from + 1,
            events: (0..count).map(event).collect(),
            receipts: Vec::new(),
            calls: Vec::new(),
            at: now,
            holder: "bench".into(),
            held_until: now,
        };
        let applied = self.comms.store.apply_inbound(&batch, &|_| None).await.unwrap();
        assert_eq!(applied.added, count);
    }

    pub async fn block(&self, is_blocked: bool) {
        let blocked = self
            .comms
            .store
            .set_channel_block(&self.agent.id, Channel::Sms, Some(is_blocked), None);
        assert!(blocked.await.unwrap());
    }
}

/// Keeps what is appended, and passes on what is published.
#[derive(Default)]
pub struct ScriptedBus {
    /// Subject, id, headers and payload.
    pub appended: Mutex<Vec<(String, String, Headers, Bytes)>>,
    pub refuses_appends: AtomicBool,
    /// So many subscriptions fail.
    pub refuses_subscriptions: AtomicU32,
    subscribers: Mutex<Vec<(String, mpsc::UnboundedSender<Message>)>>,
}

impl ScriptedBus {
    /// Ends the streams of all subscribers, as a connection that is lost does.
    pub fn hang_up(&self) {
        self.subscribers.lock().unwrap().clear();
    }

    pub fn has_subscriber(&self) -> bool {
        !self.subscribers.lock().unwrap().is_empty()
    }
}

fn away<T>() -> Result<T, BusError> {
    Err(BusError::Unavailable("as the test says".into()))
}

#[async_trait]
impl Bus for ScriptedBus {
    async fn publish(&self, subject: &str, headers: Headers, payload: Bytes) -> Result<(), BusError> {
        for (_, sender) in self
            .subscribers
            .lock()
            .unwrap()
            .iter()
            .filter(|(wanted, _)| wanted == subject)
        {
            let message = Message {
                subject: subject.to_owned(),
                headers: headers.clone(),
                payload: payload.clone(),
                reply_to: None,
            };
            drop(sender.unbounded_send(message));
        }
        Ok(())
    }

    async fn request(&self, subject: &str, _: Headers, _: Bytes, _: Duration) -> Result<Message, BusError> {
        Err(BusError::NoResponders(subject.to_owned()))
    }

    async fn subscribe(&self, subject: &str) -> Result<BoxStream<'static, Message>, BusError> {
        let less = |left: u32| left.checked_sub(1);
        if self
            .refuses_subscriptions
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, less)
            .is_ok()
        {
            return away();
        }
        let (sender, messages) = mpsc::unbounded();
        self.subscribers.lock().unwrap().push((subject.to_owned(), sender));
        Ok(messages.boxed())
    }

    async fn subscribe_group(&self, subject: &str, _: &str) -> Result<BoxStream<'static, Message>, BusError> {
        self.subscribe(subject).await
    }

    async fn create_stream(&self, _: &StreamSpec) -> Result<(), BusError> {
        Ok(())
    }

    async fn append(&self, subject: &str, id: &str, headers: Headers, payload: Bytes) -> Result<Appended, BusError> {
        if self.refuses_appends.load(Ordering::SeqCst) {
            return away();
        }
        let mut appended = self.appended.lock().unwrap();
        appended.push((subject.to_owned(), id.to_owned(), headers, payload));
        Ok(Appended {
            sequence: appended.len() as u64,
            duplicate: false,
        })
    }

    async fn consumer(&self, _: &ConsumerSpec) -> Result<Box<dyn Consumer>, BusError> {
        away()
    }

    async fn read_log(&self, _: &'static str, _: &str, _: u64) -> Result<Box<dyn LogReader>, BusError> {
        away()
    }

    async fn check(&self) -> Result<(), BusError> {
        Ok(())
    }
}

/// Nothing here needs one.
struct NoKv;

fn nothing<T>() -> Result<T, KvError> {
    Err(KvError("there is none".into()))
}

#[async_trait]
impl Kv for NoKv {
    async fn take(&self, _: &[Quota]) -> Result<Admission, KvError> {
        nothing()
    }
    async fn give_back(&self, _: &[Quota]) -> Result<(), KvError> {
        nothing()
    }
    async fn increment(&self, _: &str, _: Duration) -> Result<(u64, Duration), KvError> {
        nothing()
    }
    async fn count(&self, _: &str) -> Result<(u64, Duration), KvError> {
        nothing()
    }
    async fn set(&self, _: &str, _: &str, _: Duration) -> Result<(), KvError> {
        nothing()
    }
    async fn get(&self, _: &str) -> Result<Option<String>, KvError> {
        nothing()
    }
    async fn get_many(&self, _: &[String]) -> Result<Vec<Option<String>>, KvError> {
        nothing()
    }
    async fn delete(&self, _: &str) -> Result<(), KvError> {
        nothing()
    }
    async fn once(&self, _: &str, _: Duration) -> Result<bool, KvError> {
        nothing()
    }
    async fn add_member(&self, _: &str, _: &str, _: Duration) -> Result<(), KvError> {
        nothing()
    }
    async fn remove_member(&self, _: &str, _: &str) -> Result<(), KvError> {
        nothing()
    }
    async fn members(&self, _: &str) -> Result<Vec<String>, KvError> {
        nothing()
    }
    async fn line_up(&self, _: &str, _: &str, _: usize, _: Duration) -> Result<Vec<String>, KvError> {
        nothing()
    }
    async fn leave_line(&self, _: &str, _: &str) -> Result<(), KvError> {
        nothing()
    }
    async fn acquire(&self, _: &str, _: &str, _: Duration) -> Result<Option<Lease>, KvError> {
        nothing()
    }
    async fn seize(&self, _: &str, _: &str, _: Duration) -> Result<Lease, KvError> {
        nothing()
    }
    async fn restore(&self, _: &Lease, _: Duration) -> Result<bool, KvError> {
        nothing()
    }
    async fn set_held(&self, _: &Lease, _: &str, _: &str, _: Duration) -> Result<bool, KvError> {
        nothing()
    }
    async fn renew(&self, _: &Lease, _: Duration) -> Result<bool, KvError> {
        nothing()
    }
    async fn release(&self, _: &Lease) -> Result<(), KvError> {
        nothing()
    }
    async fn check(&self) -> Result<(), KvError> {
        nothing()
    }
}
