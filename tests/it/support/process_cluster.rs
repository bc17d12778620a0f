//! Real child processes that tests kill: replicas of each service on shared servers, or one program with everything
//! embedded.

use std::ops::Deref;

use butt_dial_providers::Simulator;
use butt_dial_store::Store;
use serde_json::Value;
use tempfile::TempDir;
use tokio_util::task::TaskTracker;

use super::{
    Account, Backends, Gateways, LoadBalancer, Program, TestContext,
    account::{EMAIL, PHONE},
    cluster::{carrier_settings, common_settings, start_simulator, to_settings},
    run_program,
};

/// The role of a program, as in its command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    Gateway,
    Ingest,
    Dispatcher,
    Relay,
    /// All roles in one program.
    Everything,
}

impl Service {
    fn command(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Ingest => "webhook-ingest",
            Self::Dispatcher => "dispatcher",
            Self::Relay => "voice-relay",
            Self::Everything => "serve",
        }
    }
}

pub struct ProcessCluster {
    context: TestContext,
    /// Programs that agents connect to.
    pub programs: Vec<Program>,
    /// Webhook ingests, when they are separate programs.
    pub ingests: Vec<Program>,
    pub dispatchers: Vec<Program>,
    /// Programs that hold calls.
    pub relays: Vec<Program>,
    pub settings: Vec<(String, String)>,
    /// Address of the programs' database.
    pub database_url: String,
    load_balancer: LoadBalancer,
    entry_service: Service,
    backends: Option<Backends>,
    simulator: Simulator,
    _directory: TempDir,
}

impl ProcessCluster {
    /// Starts this many gateways on Postgres, NATS and Redis, with one dispatcher and one webhook ingest.
    pub async fn with_gateways(count: usize, settings: &[(&str, &str)]) -> Self {
        let backends = Some(Backends::start().await);
        let mut cluster = Self::create(Service::Gateway, backends, settings).await;
        for _ in 0..count {
            cluster.start_entry().await;
        }
        cluster.start(Service::Dispatcher).await;
        cluster.start(Service::Ingest).await;
        cluster
    }

    /// Starts one of each service, on servers of this test alone.
    pub async fn breakable(settings: &[(&str, &str)]) -> Self {
        let backends = Some(Backends::start_own().await);
        let mut cluster = Self::create(Service::Gateway, backends, settings).await;
        cluster.start_entry().await;
        for service in [Service::Dispatcher, Service::Ingest, Service::Relay] {
            cluster.start(service).await;
        }
        cluster
    }

    /// Starts a gateway and a webhook ingest. No dispatcher reads their messages yet.
    pub async fn without_dispatcher(settings: &[(&str, &str)]) -> Self {
        let backends = Some(Backends::start().await);
        let mut cluster = Self::create(Service::Gateway, backends, settings).await;
        cluster.start_entry().await;
        cluster.start(Service::Ingest).await;
        cluster
    }

    /// Starts two of each service.
    pub async fn replicated(settings: &[(&str, &str)]) -> Self {
        let mut cluster = Self::with_gateways(2, settings).await;
        cluster.start(Service::Dispatcher).await;
        cluster.start(Service::Ingest).await;
        cluster
    }

    /// Starts one program with everything embedded, on SQLite.
    pub async fn embedded(settings: &[(&str, &str)]) -> Self {
        let mut cluster = Self::create(Service::Everything, None, settings).await;
        cluster.start_entry().await;
        cluster
    }

    /// Creates a cluster without programs.
    async fn create(entry_service: Service, backends: Option<Backends>, settings: &[(&str, &str)]) -> Self {
        let simulator = start_simulator().await;
        let load_balancer = LoadBalancer::start().await;
        simulator.state().set_webhook_base_url(&load_balancer.base_url);
        let directory = tempfile::tempdir().expect("a directory");
        let shared = backends.as_ref().map(Backends::settings).unwrap_or_default();
        let settings = [
            common_settings(&directory),
            shared,
            carrier_settings(&simulator.base_url()),
            to_settings(&[("WEBHOOK_BASE_URL", &load_balancer.base_url)]),
            to_settings(settings),
        ]
        .concat();
        let account = bootstrap(&settings).await;
        let database = match &backends {
            Some(backends) => backends.database_url.clone(),
            None => format!("sqlite:{}", directory.path().join("butt-dial.db").display()),
        };
        let store = Store::connect(&database, 2, &TaskTracker::new())
            .await
            .expect("the database");
        // The tests of this cluster erase no person.
        store.hash_contacts_with(|_, _| [0; 32]);
        Self {
            context: TestContext {
                gateways: Gateways::new(Vec::new()),
                account,
                carriers: simulator.state().clone(),
                store,
                public_url: load_balancer.base_url.clone(),
            },
            programs: Vec::new(),
            ingests: Vec::new(),
            dispatchers: Vec::new(),
            relays: Vec::new(),
            settings,
            database_url: database,
            load_balancer,
            entry_service,
            backends,
            simulator,
            _directory: directory,
        }
    }

    /// Returns a copy of the context, to use while programs die.
    pub fn context(&self) -> TestContext {
        self.context.clone()
    }

    /// Starts one more program that agents connect to.
    pub async fn start_entry(&mut self) {
        self.start(self.entry_service).await;
    }

    pub async fn start(&mut self, service: Service) {
        let program = Program::serve(&[service.command()], &self.settings).await;
        self.programs_of(service).push(program);
        self.update_routes();
    }

    /// Sends SIGKILL to a program that agents connect to. Requests go to the others from now on.
    pub async fn kill_entry(&mut self, index: usize) {
        self.kill_service(self.entry_service, index).await;
    }

    pub async fn kill_service(&mut self, service: Service, index: usize) {
        let mut program = self.programs_of(service).remove(index);
        program.kill().await;
        self.update_routes();
    }

    /// Sends SIGTERM and removes the program from the routes. Returns it, to wait for its exit.
    pub async fn retire(&mut self, service: Service, index: usize) -> Program {
        let retiring = self.programs_of(service).remove(index);
        self.update_routes();
        retiring.terminate().await;
        retiring
    }

    /// Freezes a program, as if its host had vanished. New connections go to the others; open ones stay open and
    /// silent.
    pub async fn freeze(&mut self, service: Service, index: usize) -> Program {
        let frozen = self.programs_of(service).remove(index);
        self.update_routes();
        frozen.freeze().await;
        frozen
    }

    /// Returns the shared servers.
    pub fn backends(&mut self) -> &mut Backends {
        self.backends.as_mut().expect("servers")
    }

    /// Returns the base URL of the simulated carriers.
    pub fn carriers_url(&self) -> String {
        self.simulator.base_url()
    }

    /// Returns the programs of this service.
    pub fn programs_of(&mut self, service: Service) -> &mut Vec<Program> {
        match service {
            Service::Gateway | Service::Everything => &mut self.programs,
            Service::Ingest => &mut self.ingests,
            Service::Dispatcher => &mut self.dispatchers,
            Service::Relay => &mut self.relays,
        }
    }

    fn update_routes(&self) {
        self.gateways
            .replace(self.programs.iter().map(|program| program.base_url.clone()).collect());
        let webhook_programs = match self.entry_service {
            Service::Everything => &self.programs,
            _ => &self.ingests,
        };
        self.load_balancer
            .set_programs(webhook_programs.iter().map(|program| program.address).collect());
        self.load_balancer
            .set_relays(self.relays.iter().map(|program| program.address).collect());
    }
}

async fn bootstrap(settings: &[(String, String)]) -> Account {
    let arguments = [
        "bootstrap",
        "--json",
        "--phone-number",
        PHONE,
        "--whatsapp-number",
        PHONE,
        "--email-address",
        EMAIL,
    ];
    let output = run_program(&arguments, settings).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let created: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let text = |name: &str| created[name].as_str().expect("a string").to_owned();
    Account {
        org: text("orgId").into(),
        team_token: text("teamToken"),
        agent: text("agentId").into(),
        token: text("agentToken"),
        phone: text("phoneNumber"),
        email: text("emailAddress"),
    }
}

impl Deref for ProcessCluster {
    type Target = TestContext;

    fn deref(&self) -> &TestContext {
        &self.context
    }
}
