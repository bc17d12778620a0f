//! Programs in this process: one with everything embedded, or replicas of each service that share real servers.

use std::{net::SocketAddr, ops::Deref, time::Duration};

use butt_dial::serve::ALL_ROLES;
use butt_dial_comms::{
    Comms,
    provisioning::bootstrap::{self, Addresses},
};
use butt_dial_dispatcher::ROLE as DISPATCHER;
use butt_dial_gateway::ROLE as GATEWAY;
use butt_dial_providers::{Simulator, VENDORS};
use butt_dial_runtime::{
    Config, Role,
    config::Deployment,
    start::{Running, start},
};
use butt_dial_testkit::proxy::Proxy;
use butt_dial_voice_relay::ROLE as VOICE_RELAY;
use butt_dial_webhook_ingest::ROLE as WEBHOOK_INGEST;
use futures::future::join_all;
use tempfile::TempDir;

use super::{Account, Backends, Front, Gateways, Reply, Replying as _, Stage, account::addresses};

/// Carriers say nothing about messages that they took until a story wants to hear it.
const SILENCE: Duration = Duration::from_secs(3_600);

pub struct World {
    stage: Stage,
    /// Those that agents reach come first, then who listens to carriers, then the relays and the dispatchers.
    running: Vec<Running>,
    ingest: usize,
    backends: Option<Backends>,
    simulator: Option<Simulator>,
    _directory: TempDir,
}

/// What every program of a test is told.
pub fn common_settings(directory: &TempDir) -> Vec<(String, String)> {
    [
        ("DATA_DIR", directory.path().display().to_string()),
        ("BLOB_URL", directory.path().join("blobs").display().to_string()),
        ("PORT", "0".into()),
        ("SIMULATOR_PORT", "0".into()),
        ("SHUTDOWN_DELAY_SECONDS", "0".into()),
        ("SHUTDOWN_TIMEOUT_SECONDS", "8".into()),
        ("RECONCILE_AFTER_SECONDS", "1,1,1".into()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

/// The credentials that the simulators take, and where they are reached.
pub fn carrier_settings(base: &str) -> Vec<(String, String)> {
    let settings = VENDORS.iter().flat_map(|vendor| {
        let endpoint = (vendor.manifest.endpoint_env, format!("{base}/{}", vendor.manifest.id));
        let credentials = vendor
            .simulated
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()));
        credentials.chain([endpoint])
    });
    settings.map(|(name, value)| (name.to_owned(), value)).collect()
}

pub async fn start_simulator() -> Simulator {
    butt_dial::install_tls();
    let simulator = Simulator::start(SocketAddr::from(([127, 0, 0, 1], 0))).await;
    let simulator = simulator.expect("a simulator");
    simulator.world().set_delivery_delay(SILENCE);
    simulator
}

pub fn owned(settings: &[(&str, &str)]) -> Vec<(String, String)> {
    settings
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

async fn start_one(env: &[(String, String)], deployment: Deployment, roles: &[Role]) -> Running {
    let config = Config::from_parts(None, env.to_owned(), deployment).expect("settings");
    start(config, roles).await.expect("a program")
}

impl World {
    pub async fn embedded(settings: &[(&str, &str)]) -> Self {
        butt_dial::install_tls();
        let directory = tempfile::tempdir().expect("a directory");
        let env = [common_settings(&directory), owned(settings)].concat();
        let running = start_one(&env, Deployment::Alone, &ALL_ROLES).await;
        let simulator = running.platform.simulator.as_ref().expect("a simulator");
        let carriers = simulator.world().clone();
        carriers.set_delivery_delay(SILENCE);
        let account = first_account(&running, &Addresses::default()).await;
        let socket = format!("http://{}", running.address);
        Self {
            stage: stage(&running, vec![socket], account, carriers),
            running: vec![running],
            ingest: 0,
            backends: None,
            simulator: None,
            _directory: directory,
        }
    }

    pub async fn servers(settings: &[(&str, &str)]) -> Self {
        Self::on(Backends::start().await, settings).await
    }

    /// With servers that may be stopped, Postgres too.
    pub async fn breakable(settings: &[(&str, &str)]) -> Self {
        Self::on(Backends::start_own().await, settings).await
    }

    /// On these servers.
    pub async fn on(backends: Backends, settings: &[(&str, &str)]) -> Self {
        let simulator = start_simulator().await;
        let base = simulator.base_url();
        Self::with_carriers_at(&base, simulator, backends, settings).await
    }

    /// With a road to the carriers that can be closed.
    pub async fn behind_a_road_to_the_carriers(settings: &[(&str, &str)]) -> (Self, Proxy) {
        let simulator = start_simulator().await;
        let road = Proxy::start(simulator.base_url().trim_start_matches("http://")).await;
        let backends = Backends::start().await;
        let world = Self::with_carriers_at(&road.url("http"), simulator, backends, settings).await;
        (world, road)
    }

    /// Two gateways, one program that listens to carriers, two relays, and two dispatchers.
    async fn with_carriers_at(base: &str, simulator: Simulator, backends: Backends, settings: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let front = Front::start().await;
        let env = [
            common_settings(&directory),
            backends.settings(),
            carrier_settings(base),
            owned(&[("WEBHOOK_BASE_URL", &front.base_url)]),
            owned(settings),
        ]
        .concat();
        // The first one makes the schema.
        let first = start_one(&env, Deployment::OneOfMany, &[GATEWAY]).await;
        let roles = [
            GATEWAY,
            WEBHOOK_INGEST,
            VOICE_RELAY,
            VOICE_RELAY,
            DISPATCHER,
            DISPATCHER,
        ];
        let others = roles.iter().map(|role| async {
            let role = std::slice::from_ref(role);
            start_one(&env, Deployment::OneOfMany, role).await
        });
        let mut running = vec![first];
        running.extend(join_all(others).await);
        let ingest = 2;
        front.lead_to(vec![running[ingest].address]);
        front.lead_calls_to(vec![running[ingest + 1].address, running[ingest + 2].address]);
        let carriers = simulator.world().clone();
        carriers.call_back_to(&front.base_url);
        let account = first_account(&running[0], &addresses()).await;
        let sockets = running[..ingest].iter();
        let sockets = sockets.map(|gateway| format!("http://{}", gateway.address)).collect();
        Self {
            stage: stage(&running[0], sockets, account, carriers),
            running,
            ingest,
            backends: Some(backends),
            simulator: Some(simulator),
            _directory: directory,
        }
    }

    pub fn backends(&mut self) -> &mut Backends {
        self.backends.as_mut().expect("servers")
    }

    /// What the product does, without a way in.
    pub fn comms(&self) -> &Comms {
        &self.running[0].platform.comms
    }

    /// Who listens to carriers.
    pub fn ingest(&self) -> Gateways {
        Gateways::new(vec![format!("http://{}", self.running[self.ingest].address)])
    }

    /// What each of the programs has counted.
    pub async fn metrics(&self) -> Vec<Reply> {
        let urls = self
            .running
            .iter()
            .map(|program| format!("http://{}/metrics", program.address));
        join_all(urls.map(|url| self.gateways.http.get(url).reply())).await
    }

    /// What all programs together have counted under this name with these labels.
    pub async fn counted(&self, series: &str) -> f64 {
        let metrics = self.metrics().await;
        let lines = metrics.iter().flat_map(|reply| reply.text.lines());
        let values = lines.filter_map(|line| line.strip_prefix(series)?.trim().parse::<f64>().ok());
        // An empty sum of floats is -0.
        values.fold(0.0, |sum, value| sum + value)
    }

    /// Stops everything in good order. Work that is left undone is a failure.
    pub async fn end(self) {
        for running in self.running {
            assert!(running.platform.stop().await, "something had to be cut off at the end");
        }
        if let Some(simulator) = self.simulator {
            simulator.stop().await;
        }
    }
}

async fn first_account(running: &Running, addresses: &Addresses) -> Account {
    let comms = &running.platform.comms;
    Account::from(bootstrap::run(comms, addresses).await.expect("an account"))
}

fn stage(running: &Running, sockets: Vec<String>, account: Account, carriers: butt_dial_providers::World) -> Stage {
    let comms = &running.platform.comms;
    Stage {
        gateways: Gateways::new(sockets),
        account,
        carriers,
        store: comms.store.clone(),
        public_url: comms.settings.public_url.clone().expect("a public address"),
    }
}

impl Deref for World {
    type Target = Stage;

    fn deref(&self) -> &Stage {
        &self.stage
    }
}
