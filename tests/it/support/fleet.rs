//! Real programs, to be killed: gateways on shared servers, or one program on a laptop.

use std::ops::Deref;

use butt_dial_providers::Simulator;
use butt_dial_store::Store;
use serde_json::Value;
use tempfile::TempDir;
use tokio_util::task::TaskTracker;

use super::{
    Account, Backends, Gateways, Program, Stage,
    account::{EMAIL, PHONE},
    run_program,
    world::{carrier_settings, common_settings, owned, start_simulator},
};

pub struct Fleet {
    stage: Stage,
    pub programs: Vec<Program>,
    pub settings: Vec<(String, String)>,
    role: &'static str,
    _backends: Option<Backends>,
    _simulator: Simulator,
    _directory: TempDir,
}

impl Fleet {
    /// So many gateways on Postgres, NATS and Redis.
    pub async fn gateways(count: usize, settings: &[(&str, &str)]) -> Self {
        Self::launch("gateway", count, Some(Backends::start().await), settings).await
    }

    /// One program with everything embedded, on SQLite.
    pub async fn laptop(settings: &[(&str, &str)]) -> Self {
        Self::launch("serve", 1, None, settings).await
    }

    async fn launch(role: &'static str, count: usize, backends: Option<Backends>, settings: &[(&str, &str)]) -> Self {
        let simulator = start_simulator().await;
        let directory = tempfile::tempdir().expect("a directory");
        let shared = backends.as_ref().map(Backends::settings).unwrap_or_default();
        let settings = [
            common_settings(&directory),
            shared,
            carrier_settings(&simulator.base_url()),
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
        let mut fleet = Self {
            stage: Stage {
                gateways: Gateways::new(Vec::new()),
                account,
                carriers: simulator.world().clone(),
                store,
            },
            programs: Vec::new(),
            settings,
            role,
            _backends: backends,
            _simulator: simulator,
            _directory: directory,
        };
        for _ in 0..count {
            fleet.start_one().await;
        }
        fleet
    }

    /// One more program, which takes its share of the requests.
    pub async fn start_one(&mut self) {
        let program = Program::serve(&[self.role], &self.settings).await;
        self.programs.push(program);
        self.announce();
    }

    /// `kill -9`; from now on requests go to the others.
    pub async fn kill(&mut self, index: usize) {
        self.programs.remove(index).kill().await;
        self.announce();
    }

    fn announce(&self) {
        self.gateways
            .replace(self.programs.iter().map(|program| program.base_url.clone()).collect());
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
