//! Gateways in this process: one with everything embedded, or two that share real servers.

use std::{net::SocketAddr, ops::Deref};

use butt_dial_comms::provisioning::bootstrap::{self, Addresses};
use butt_dial_gateway::ROLE as GATEWAY;
use butt_dial_providers::{Simulator, VENDORS};
use butt_dial_runtime::{
    Config,
    config::Deployment,
    start::{Running, start},
};
use butt_dial_testkit::proxy::Proxy;
use tempfile::TempDir;

use super::{Account, Backends, Gateways, Stage, account::addresses};

pub struct World {
    stage: Stage,
    running: Vec<Running>,
    backends: Option<Backends>,
    simulator: Option<Simulator>,
    _directory: TempDir,
}

/// What every gateway of a test is told.
pub fn common_settings(directory: &TempDir) -> Vec<(String, String)> {
    [
        ("DATA_DIR", directory.path().display().to_string()),
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
    Simulator::start(SocketAddr::from(([127, 0, 0, 1], 0)))
        .await
        .expect("a simulator")
}

pub fn owned(settings: &[(&str, &str)]) -> Vec<(String, String)> {
    settings
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

impl World {
    pub async fn embedded(settings: &[(&str, &str)]) -> Self {
        butt_dial::install_tls();
        let directory = tempfile::tempdir().expect("a directory");
        let env = [common_settings(&directory), owned(settings)].concat();
        let config = Config::from_parts(None, env, Deployment::Alone).expect("settings");
        let running = start(config, &[GATEWAY]).await.expect("a program");
        let simulator = running.platform.simulator.as_ref().expect("a simulator");
        let carriers = simulator.world().clone();
        let parts = (vec![running], None, None, directory);
        Self::raise(parts, carriers, &Addresses::default()).await
    }

    pub async fn servers(settings: &[(&str, &str)]) -> Self {
        Self::on(Backends::start().await, settings).await
    }

    /// With servers that may be stopped, Postgres too.
    pub async fn breakable(settings: &[(&str, &str)]) -> Self {
        Self::on(Backends::start_own().await, settings).await
    }

    /// Two gateways on these servers.
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

    async fn with_carriers_at(base: &str, simulator: Simulator, backends: Backends, settings: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let env = [
            common_settings(&directory),
            backends.settings(),
            carrier_settings(base),
            owned(settings),
        ]
        .concat();
        let mut running = Vec::new();
        for _ in 0..2 {
            let config = Config::from_parts(None, env.clone(), Deployment::OneOfMany).expect("settings");
            running.push(start(config, &[GATEWAY]).await.expect("a gateway"));
        }
        let carriers = simulator.world().clone();
        let parts = (running, Some(backends), Some(simulator), directory);
        Self::raise(parts, carriers, &addresses()).await
    }

    async fn raise(
        (running, backends, simulator, directory): (Vec<Running>, Option<Backends>, Option<Simulator>, TempDir),
        carriers: butt_dial_providers::World,
        addresses: &Addresses,
    ) -> Self {
        let comms = &running[0].platform.comms;
        let account = Account::from(bootstrap::run(comms, addresses).await.expect("an account"));
        let stage = Stage {
            gateways: Gateways::new(running.iter().map(Running::base_url).collect()),
            account,
            carriers,
            store: comms.store.clone(),
        };
        Self {
            stage,
            running,
            backends,
            simulator,
            _directory: directory,
        }
    }

    /// The gateways by the sockets that they listen on, whatever public address they have.
    pub fn sockets(&self) -> Gateways {
        Gateways::new(
            self.running
                .iter()
                .map(|running| format!("http://{}", running.address))
                .collect(),
        )
    }

    pub fn backends(&mut self) -> &mut Backends {
        self.backends.as_mut().expect("servers")
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

impl Deref for World {
    type Target = Stage;

    fn deref(&self) -> &Stage {
        &self.stage
    }
}
