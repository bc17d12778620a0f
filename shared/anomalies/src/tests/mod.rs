//! The sweep on both engines: anomalies begin, raise one alert, restrain agents once, and end.

pub mod traces;

mod detection;
mod reactions;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use butt_dial_alerts::{Alert, Alerts, Mailer};
use butt_dial_domain::{
    AgentId, Channel, Clock, Code, Failure, MessageId, OrgId, Principal, Scope, SendPurpose, TokenId, clock::Timestamp,
    limits::Limits, message::ThreadRef, ports::kv::Kv,
};
use butt_dial_identity::Caller;
use butt_dial_kv::MemoryKv;
use butt_dial_messaging::{Egress, PublicUrls};
use butt_dial_store::{AcceptedSend, Agent, AgentStatus, Anomaly, AuditEntry, BaselineRow, RECENT, Store};
use butt_dial_testkit::servers::{Postgres, fresh_postgres_database};
use butt_dial_vault::Vault;
use chrono::TimeDelta;
use futures::future::join_all;
use tokio_util::task::TaskTracker;

use crate::{Anomalies, AnomalySettings, Parameters, Reporter, baseline::bucket_of};

const BUILT_IN: &str = include_str!("../../../../deploy/anomalies.toml");

/// The mails of an installation without a sender.
struct NoMailer;

#[async_trait]
impl Mailer for NoMailer {
    async fn send(&self, channel: Channel, _: &str, _: &str, _: &str, _: &str) -> Result<(), Failure> {
        Err(Failure::new(Code::ChannelUnavailable, "no sender").on(channel))
    }
}

/// Keeps the reports of suspensions.
#[derive(Default)]
struct Reports(Mutex<Vec<(OrgId, AgentId, String)>>);

#[async_trait]
impl Reporter for Reports {
    async fn report_suspension(&self, org: &OrgId, agent: &AgentId, reason: &str) -> Result<(), Failure> {
        let report = (org.clone(), agent.clone(), reason.to_owned());
        self.0.lock().unwrap().push(report);
        Ok(())
    }

    fn pause_event(&self, _: &AgentId, pause: &crate::Pause<'_>, _: Timestamp) -> (&'static str, serde_json::Value) {
        (
            "contact.paused",
            serde_json::json!({ "to": pause.contact, "pauseId": pause.id, "pausedUntil": pause.until }),
        )
    }
}

/// An installation with one agent.
struct World {
    store: Store,
    kv: Arc<dyn Kv>,
    clock: Clock,
    alerts: Alerts,
    reports: Arc<Reports>,
    agent: Agent,
    url: String,
    tasks: TaskTracker,
    _server: Option<Postgres>,
    _directory: Option<tempfile::TempDir>,
}

impl World {
    async fn sqlite() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", directory.path().join("store.db").display());
        Self::connect(url, None, Some(directory)).await
    }

    async fn postgres() -> Self {
        let (url, server) = fresh_postgres_database().await;
        Self::connect(url, server, None).await
    }

    async fn connect(url: String, server: Option<Postgres>, directory: Option<tempfile::TempDir>) -> Self {
        let tasks = TaskTracker::new();
        let store = Store::connect(&url, 4, &tasks).await.unwrap();
        store.migrate().await.unwrap();
        // A Wednesday, 10:02.
        let clock = Clock::manual("2026-11-25T10:02:00Z".parse().unwrap());
        let egress = Egress::new(true);
        let alerts = Alerts::new(
            store.clone(),
            Vault::new(b"secret"),
            clock.clone(),
            egress,
            Arc::new(NoMailer),
            PublicUrls::default(),
        );
        let setup = AuditEntry::new(None, "system", "test.setup", "test", clock.now());
        let org = store
            .change(setup)
            .create_organization("Acme", "acme", clock.now())
            .await;
        let agent = new_agent(&store, &org.unwrap().id, clock.now()).await;
        Self {
            kv: Arc::new(MemoryKv::new(clock.clone())),
            store,
            clock,
            alerts,
            reports: Arc::default(),
            agent,
            url,
            tasks,
            _server: server,
            _directory: directory,
        }
    }

    fn anomalies_on(&self, store: &Store, parameters: &str) -> Anomalies {
        let settings = AnomalySettings {
            parameters: Arc::new(Parameters::parse(parameters).unwrap()),
            default_limits: Limits::default(),
            interval: Duration::from_secs(60),
        };
        Anomalies::new(
            store.clone(),
            self.kv.clone(),
            Vault::new(b"secret"),
            self.alerts.clone(),
            self.reports.clone(),
            settings,
            self.clock.clone(),
        )
    }

    fn anomalies(&self) -> Anomalies {
        self.anomalies_on(&self.store, BUILT_IN)
    }

    /// The detectors with another reaction to spikes.
    fn reacting(&self, reaction: &str) -> Anomalies {
        let (before, section) = BUILT_IN.split_once("[volume_spike]").unwrap();
        let section = section.replacen("\"alert\"", &format!("{reaction:?}"), 1);
        self.anomalies_on(&self.store, &format!("{before}[volume_spike]{section}"))
    }

    /// Connects another replica.
    async fn replica(&self) -> Store {
        Store::connect(&self.url, 4, &self.tasks).await.unwrap()
    }

    /// Sends messages of an agent to these numbers, now.
    async fn send(&self, agent: &Agent, recipients: impl IntoIterator<Item = String>) {
        let now = self.clock.now();
        let send = |recipient: String| AcceptedSend {
            id: MessageId::generate(),
            org: agent.org_id.clone(),
            agent: agent.id.clone(),
            channel: Channel::Sms,
            sender: "+14155550100".into(),
            contact: Some(recipient.clone()),
            is_answer: false,
            idempotency_key: butt_dial_domain::ids::unique(),
            recipient,
            request_hash: "aa11".into(),
            body_hash: "bb22".into(),
            content: vec![0],
            is_kept: false,
            fallback: None,
            verdict: "allow",
            rule: None,
            purpose: SendPurpose::Undeclared,
            ruling: None,
            carrier: "simulator",
            estimate: 8_000,
            agent_limits: Limits::default(),
            org_limits: Limits::default(),
            budget: None,
            thread: ThreadRef::default(),
            replica: "replica1".into(),
            at: now,
            check_at: now + TimeDelta::seconds(60),
        };
        let sent = join_all(
            recipients
                .into_iter()
                .map(|recipient| self.store.accept_send(send(recipient))),
        )
        .await;
        assert!(sent.into_iter().all(|sent| sent.is_ok()));
    }

    /// Sends this many messages to numbers all over the United States.
    async fn send_many(&self, count: u64) {
        let numbers = (0..count).map(|n| format!("+1415{:07}", n * 7_919_777 % 10_000_000));
        self.send(&self.agent, numbers).await;
    }

    /// Makes this many messages per five minutes usual, of the agent and of its organization.
    async fn make_usual(&self, sent: f64) {
        let row = |agent_id: &str| BaselineRow {
            org_id: self.agent.org_id.to_string(),
            agent_id: agent_id.into(),
            metric: "sent".into(),
            slot: RECENT,
            mean: sent,
            samples: 5_000,
            bucket: bucket_of(self.clock.now()) - 1,
        };
        let rows = [row(self.agent.id.as_str()), row("")];
        self.store.save_baselines(&rows).await.unwrap();
    }

    fn admin(&self) -> Caller {
        caller(Some(&self.agent.org_id))
    }

    async fn open(&self) -> Vec<Anomaly> {
        self.store.list_open_anomalies(99).await.unwrap()
    }

    async fn open_alerts(&self, org: Option<&OrgId>) -> Vec<Alert> {
        self.alerts.list(&caller(org), true, None, 99).await.unwrap()
    }

    async fn audit(&self, action: &str) -> Vec<AuditEntry> {
        let filter = butt_dial_store::AuditFilter {
            action: Some(action),
            ..Default::default()
        };
        let rows = self.store.list_audit(Some(&self.agent.org_id), filter, 99).await;
        rows.unwrap().into_iter().map(|row| row.entry).collect()
    }
}

async fn new_agent(store: &Store, org: &OrgId, now: Timestamp) -> Agent {
    let agent = Agent {
        id: AgentId::generate(),
        org_id: org.clone(),
        display_name: "Ada".into(),
        status: AgentStatus::Active,
        created_at: now,
    };
    let setup = AuditEntry::new(Some(org), "system", "test.setup", "test", now);
    store.change(setup).create_agent(&agent).await.unwrap();
    agent
}

/// Returns an administrator of an organization, or the orchestrator.
fn caller(org: Option<&OrgId>) -> Caller {
    Caller {
        principal: Principal {
            token: TokenId::from("tok_admin"),
            scope: org.map_or(Scope::SuperAdmin, |_| Scope::OrgAdmin),
            org: org.cloned(),
            agent: None,
            restriction: None,
        },
        profile: None,
    }
}

/// Makes two tests of each function, for SQLite and for Postgres.
macro_rules! both_engines {
    ($(async fn $name:ident($world:ident: &World) $body:block)+) => {
        $(
            mod $name {
                use super::*;

                async fn body($world: &World) $body

                #[tokio::test]
                async fn sqlite() {
                    body(&World::sqlite().await).await;
                }

                #[tokio::test]
                async fn postgres() {
                    body(&World::postgres().await).await;
                }
            }
        )+
    };
}

use both_engines;
