//! The shared parts of many runs: the database with its two organizations, and parts without state. A run begins with empty tables, so that
//! it is the same alone and after others.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use butt_dial_billing::Prices;
use butt_dial_compliance::{Compliance, ComplianceSettings, Disclosure, RuleSet};
use butt_dial_domain::{AgentId, Channel, OrgId, SendPurpose, clock::Timestamp};
use butt_dial_messaging::{Egress, Metrics};
use butt_dial_store::{Agent, AgentStatus, AuditEntry, Store};
use butt_dial_vault::Vault;
use prometheus::Registry;
use tokio::runtime::Runtime;
use tokio_util::task::TaskTracker;

use super::world::START;

/// The agents: two of one organization, one of another.
pub const AGENTS: [(&str, &str, &str); 3] = [
    ("agt_a", "org_a", "+12125550001"),
    ("agt_b", "org_a", "+12125550002"),
    ("agt_c", "org_b", "+12125550003"),
];

const ORGANIZATION: &str = "INSERT INTO organizations (id, name, slug, created_at) VALUES ($1, $1, $1, $2)";

/// Empties the tables that a run writes.
const EMPTY: &str = "DELETE FROM events; DELETE FROM attempts; DELETE FROM messages; DELETE FROM scheduled_sends;
    DELETE FROM deliveries; DELETE FROM spend; DELETE FROM usage; DELETE FROM limits; DELETE FROM consents; DELETE FROM suppressions;
    DELETE FROM consent_events; DELETE FROM conversations; DELETE FROM inbound_windows; DELETE FROM dead_letters;
    UPDATE log_positions SET position = 0, entry_id = NULL, applied_at = NULL; DELETE FROM refusals; DELETE FROM ai_disclosures; DELETE FROM contact_identities;
    UPDATE agents SET event_seq = 0, event_cursor = 0;";

pub struct Laboratory {
    /// Runs the connections.
    runtime: Runtime,
    pub store: Store,
    pub vault: Vault,
    pub metrics: Metrics,
    pub compliance: Compliance,
    pub prices: Arc<Prices>,
    pub billing_metrics: butt_dial_billing::Metrics,
    pub egress: Egress,
    pub http: reqwest::Client,
    _directory: tempfile::TempDir,
}

impl Laboratory {
    pub fn new() -> Self {
        // An error means that another test of the process has installed it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        // In memory, if there is such a file system.
        let memory = PathBuf::from("/dev/shm");
        let directory = match memory.is_dir() {
            true => tempfile::tempdir_in(memory).unwrap(),
            false => tempfile::tempdir().unwrap(),
        };
        let url = format!("sqlite:{}", directory.path().join("store.db").display());
        let vault = Vault::new(b"a master key");
        let store = runtime.block_on(async {
            let store = Store::connect(&url, 2, &TaskTracker::new()).await.unwrap();
            store.migrate().await.unwrap();
            populate(&store).await;
            store
        });
        let hashing = vault.clone();
        store.hash_contacts_with(move |org, key| hashing.contact_digest(org, key));
        let registry = Registry::new();
        let settings = ComplianceSettings {
            allowed_destinations: Vec::new(),
            undeclared_purpose: SendPurpose::Undeclared,
            disclosure: Disclosure::Default(false),
            simulated_world: true,
        };
        Self {
            metrics: Metrics::register(&registry).unwrap(),
            compliance: Compliance::register(&registry, settings, RuleSet::built_in().unwrap().into()).unwrap(),
            prices: Arc::new(Prices::read(None).unwrap()),
            billing_metrics: butt_dial_billing::Metrics::register(&registry).unwrap(),
            egress: Egress::new(false),
            http: reqwest::Client::new(),
            runtime,
            store,
            vault,
            _directory: directory,
        }
    }

    pub fn connections(&self) -> &tokio::runtime::Handle {
        self.runtime.handle()
    }

    pub fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    /// Empties the tables. `budget`: what an organization may spend in a day, in micro-units.
    pub fn empty(&self, budget: Option<i64>) {
        let writer = self.store.sqlite_writer().unwrap();
        self.block_on(async {
            sqlx::raw_sql(EMPTY).execute(writer).await.unwrap();
            if let Some(budget) = budget {
                let sql = "INSERT INTO limits (scope, max_spend_per_day, updated_at) VALUES ('org:org_a', $1, $2)";
                let now: Timestamp = START.parse().unwrap();
                sqlx::query(sql).bind(budget).bind(now).execute(writer).await.unwrap();
            }
        });
    }
}

async fn populate(store: &Store) {
    let now: Timestamp = START.parse().unwrap();
    let setup = || AuditEntry::new(None, "system", "test.setup", "test", Timestamp::UNIX_EPOCH);
    let writer = store.sqlite_writer().unwrap();
    // The whole stream has a position from the start.
    for partition in ["INBOUND.0", "INBOUND.1"] {
        let sql = "INSERT INTO log_positions (stream, position) VALUES ($1, 0)";
        sqlx::query(sql).bind(partition).execute(writer).await.unwrap();
    }
    for org in ["org_a", "org_b"] {
        sqlx::query(ORGANIZATION)
            .bind(org)
            .bind(now)
            .execute(writer)
            .await
            .unwrap();
    }
    for (id, org, number) in AGENTS {
        let agent = Agent {
            id: AgentId::from(id),
            org_id: OrgId::from(org),
            display_name: id.into(),
            status: AgentStatus::Active,
            created_at: now,
        };
        store.change(setup()).create_agent(&agent).await.unwrap();
        for channel in [Channel::Sms, Channel::Whatsapp] {
            let change = store.change(setup());
            let assigned = change.assign_channel(&agent.org_id, &agent.id, channel, number, now);
            assigned.await.unwrap();
        }
    }
}

/// The next time at which a sweep has work. A column is empty where there is none.
const NEXT_DUE: &str = "SELECT MIN(at) FROM (
    SELECT MIN(check_at) AS at FROM messages WHERE check_at IS NOT NULL
    UNION ALL SELECT MIN(MAX(due_at, coalesce(claimed_until, due_at))) FROM scheduled_sends WHERE state IN ('scheduled', 'cancelled')
    UNION ALL SELECT MIN(MAX(due_at, coalesce(held_until, due_at))) FROM deliveries WHERE due_at IS NOT NULL)";

impl Laboratory {
    /// Returns the last applied entry of each partition of the log: its number and its id.
    pub fn positions(&self) -> BTreeMap<String, (u64, String)> {
        let sql = "SELECT stream, position, coalesce(entry_id, '') FROM log_positions";
        let rows: Vec<(String, i64, String)> = self.rows(sql);
        let position = |(stream, position, id): (String, i64, String)| (stream, (position.unsigned_abs(), id));
        rows.into_iter().map(position).collect()
    }

    pub fn next_due(&self) -> Option<Timestamp> {
        let rows: Vec<(Option<Timestamp>,)> = self.rows(NEXT_DUE);
        rows.into_iter().find_map(|(at,)| at)
    }

    /// Reads rows for a check.
    pub fn rows<R>(&self, sql: &'static str) -> Vec<R>
    where
        R: for<'r> sqlx::FromRow<'r, sqlx::sqlite::SqliteRow> + Send + Unpin,
    {
        let writer = self.store.sqlite_writer().unwrap();
        self.block_on(async { sqlx::query_as(sql).fetch_all(writer).await.unwrap() })
    }
}
