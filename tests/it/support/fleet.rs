//! Real programs, to be killed: replicas of each service on shared servers, or one program on a laptop.

use std::ops::Deref;

use butt_dial_providers::Simulator;
use butt_dial_store::Store;
use serde_json::Value;
use tempfile::TempDir;
use tokio_util::task::TaskTracker;

use super::{
    Account, Backends, Front, Gateways, Program, Stage,
    account::{EMAIL, PHONE},
    run_program,
    world::{carrier_settings, common_settings, owned, start_simulator},
};

/// What a program does, as its command says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    Gateway,
    Ingest,
    Dispatcher,
    Relay,
    /// All of them.
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

pub struct Fleet {
    stage: Stage,
    /// Those that agents reach.
    pub programs: Vec<Program>,
    /// Those that listen to carriers, where the others don't.
    pub ingests: Vec<Program>,
    pub dispatchers: Vec<Program>,
    /// Those that hold calls.
    pub relays: Vec<Program>,
    pub settings: Vec<(String, String)>,
    /// Where the programs keep the truth.
    pub database_url: String,
    front: Front,
    agents_reach: Service,
    backends: Option<Backends>,
    simulator: Simulator,
    _directory: TempDir,
}

impl Fleet {
    /// So many gateways on Postgres, NATS and Redis, with one of the other services each.
    pub async fn gateways(count: usize, settings: &[(&str, &str)]) -> Self {
        let backends = Some(Backends::start().await);
        let mut fleet = Self::found(Service::Gateway, backends, settings).await;
        for _ in 0..count {
            fleet.start_one().await;
        }
        fleet.start(Service::Dispatcher).await;
        fleet.start(Service::Ingest).await;
        fleet
    }

    /// Two of each service.
    pub async fn replicas(settings: &[(&str, &str)]) -> Self {
        let mut fleet = Self::gateways(2, settings).await;
        fleet.start(Service::Dispatcher).await;
        fleet.start(Service::Ingest).await;
        fleet
    }

    /// One program with everything embedded, on SQLite.
    pub async fn laptop(settings: &[(&str, &str)]) -> Self {
        let mut fleet = Self::found(Service::Everything, None, settings).await;
        fleet.start_one().await;
        fleet
    }

    /// With no program yet.
    async fn found(agents_reach: Service, backends: Option<Backends>, settings: &[(&str, &str)]) -> Self {
        let simulator = start_simulator().await;
        let front = Front::start().await;
        simulator.world().call_back_to(&front.base_url);
        let directory = tempfile::tempdir().expect("a directory");
        let shared = backends.as_ref().map(Backends::settings).unwrap_or_default();
        let settings = [
            common_settings(&directory),
            shared,
            carrier_settings(&simulator.base_url()),
            owned(&[("WEBHOOK_BASE_URL", &front.base_url)]),
            owned(settings),
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
        Self {
            stage: Stage {
                gateways: Gateways::new(Vec::new()),
                account,
                carriers: simulator.world().clone(),
                store,
                public_url: front.base_url.clone(),
            },
            programs: Vec::new(),
            ingests: Vec::new(),
            dispatchers: Vec::new(),
            relays: Vec::new(),
            settings,
            database_url: database,
            front,
            agents_reach,
            backends,
            simulator,
            _directory: directory,
        }
    }

    /// The same, to be held while programs die.
    pub fn stage(&self) -> Stage {
        self.stage.clone()
    }

    /// One more program for agents, which takes its share of the requests.
    pub async fn start_one(&mut self) {
        self.start(self.agents_reach).await;
    }

    pub async fn start(&mut self, service: Service) {
        let program = Program::serve(&[service.command()], &self.settings).await;
        self.of(service).push(program);
        self.announce();
    }

    /// `kill -9`; from now on requests go to the others.
    pub async fn kill(&mut self, index: usize) {
        self.kill_one(self.agents_reach, index).await;
    }

    pub async fn kill_one(&mut self, service: Service, index: usize) {
        let mut doomed = self.of(service).remove(index);
        doomed.kill().await;
        self.announce();
    }

    /// SIGTERM: new connections go to the others, and it ends in its own time. Held until it has.
    pub async fn retire(&mut self, service: Service, index: usize) -> Program {
        let retiring = self.of(service).remove(index);
        self.announce();
        retiring.terminate().await;
        retiring
    }

    /// SIGSTOP: a host that is there no more, and nobody told. New connections go to the others; those there are stay open and
    /// nothing comes over them.
    pub async fn freeze(&mut self, service: Service, index: usize) -> Program {
        let frozen = self.of(service).remove(index);
        self.announce();
        frozen.freeze().await;
        frozen
    }

    /// The servers that the programs share.
    pub fn backends(&mut self) -> &mut Backends {
        self.backends.as_mut().expect("servers of our own")
    }

    /// Where programs reach their carriers.
    pub fn carriers_url(&self) -> String {
        self.simulator.base_url()
    }

    /// The programs of this kind.
    pub fn of(&mut self, service: Service) -> &mut Vec<Program> {
        match service {
            Service::Gateway | Service::Everything => &mut self.programs,
            Service::Ingest => &mut self.ingests,
            Service::Dispatcher => &mut self.dispatchers,
            Service::Relay => &mut self.relays,
        }
    }

    fn announce(&self) {
        self.gateways
            .replace(self.programs.iter().map(|program| program.base_url.clone()).collect());
        let listening = match self.agents_reach {
            Service::Everything => &self.programs,
            _ => &self.ingests,
        };
        self.front
            .lead_to(listening.iter().map(|program| program.address).collect());
        self.front
            .lead_calls_to(self.relays.iter().map(|program| program.address).collect());
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
    let made: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let text = |name: &str| made[name].as_str().expect("a text").to_owned();
    Account {
        org: text("orgId").into(),
        team_token: text("teamToken"),
        agent: text("agentId").into(),
        token: text("agentToken"),
        phone: text("phoneNumber"),
        email: text("emailAddress"),
    }
}

impl Deref for Fleet {
    type Target = Stage;

    fn deref(&self) -> &Stage {
        &self.stage
    }
}
