//! Programs in the test's own process: one with everything embedded, or replicas of each service on real servers.

use std::{net::SocketAddr, ops::Deref, sync::Arc, time::Duration};

use butt_dial::serve::ALL_ROLES;
use butt_dial_accounts::{Accounts, Addresses};
use butt_dial_calls::Calls;
use butt_dial_dispatcher::ROLE as DISPATCHER;
use butt_dial_domain::ports::bus::Bus;
use butt_dial_gateway::ROLE as GATEWAY;
use butt_dial_messaging::{Delivery, Media};
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

use super::{Account, Backends, Gateways, LoadBalancer, Reply, RequestExt as _, TestContext, account::addresses};

/// The simulators send no delivery receipts until a test lowers the delay.
const NO_RECEIPTS: Duration = Duration::from_secs(3_600);

pub struct Cluster {
    context: TestContext,
    /// Gateways first, then the webhook ingest, then the relays and the dispatchers.
    running: Vec<Running>,
    ingest: usize,
    backends: Option<Backends>,
    simulator: Option<Simulator>,
    _directory: TempDir,
}

/// Settings of every program of a test.
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

/// Settings of one program, with more of the test's own.
pub fn with_defaults(directory: &TempDir, settings: &[(&str, &str)]) -> Vec<(String, String)> {
    let own = to_settings(settings);
    let mut all = common_settings(directory);
    all.retain(|(name, _)| own.iter().all(|(other, _)| other != name));
    [all, own].concat()
}

/// Credentials that the simulators accept, and the endpoints of the simulators.
pub fn carrier_settings(base: &str) -> Vec<(String, String)> {
    let settings = VENDORS.iter().flat_map(|vendor| {
        let endpoint = (vendor.manifest.endpoint_env, format!("{base}/{}", vendor.manifest.id));
        let credentials = vendor
            .simulated_settings
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
    simulator.state().set_delivery_delay(NO_RECEIPTS);
    simulator
}

/// Returns the settings with another value of one of them.
pub fn with_setting(settings: &[(String, String)], name: &str, value: &str) -> Vec<(String, String)> {
    let others = settings.iter().filter(|(known, _)| known != name).cloned();
    others.chain([(name.to_owned(), value.to_owned())]).collect()
}

pub fn to_settings(settings: &[(&str, &str)]) -> Vec<(String, String)> {
    settings
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

async fn start_program(env: &[(String, String)], deployment: Deployment, roles: &[Role]) -> Running {
    let config = Config::from_parts(None, env.to_owned(), deployment).expect("settings");
    start(config, roles).await.expect("the program starts")
}

impl Cluster {
    pub async fn embedded(settings: &[(&str, &str)]) -> Self {
        butt_dial::install_tls();
        let directory = tempfile::tempdir().expect("a directory");
        let env = [common_settings(&directory), to_settings(settings)].concat();
        let running = start_program(&env, Deployment::SingleProcess, &ALL_ROLES).await;
        let simulator = running.platform.simulator.as_ref().expect("a simulator");
        let carriers = simulator.state().clone();
        carriers.set_delivery_delay(NO_RECEIPTS);
        let account = first_account(&running, &Addresses::default()).await;
        let socket = format!("http://{}", running.address);
        Self {
            context: context(&running, vec![socket], account, carriers),
            running: vec![running],
            ingest: 0,
            backends: None,
            simulator: None,
            _directory: directory,
        }
    }

    /// Starts one process with everything embedded, and with these vendors as its only carriers.
    pub async fn embedded_with(vendors: &[&str], settings: &[(&str, &str)]) -> Self {
        let simulator = start_simulator().await;
        let directory = tempfile::tempdir().expect("a directory");
        let load_balancer = LoadBalancer::start().await;
        let mut env = [
            common_settings(&directory),
            to_settings(&[("WEBHOOK_BASE_URL", &load_balancer.base_url)]),
            to_settings(settings),
        ]
        .concat();
        let others = VENDORS.iter().filter(|vendor| !vendors.contains(&vendor.manifest.id));
        let others: Vec<&str> = others
            .flat_map(|vendor| vendor.simulated_settings.iter().map(|(name, _)| *name))
            .collect();
        let carriers = carrier_settings(&simulator.base_url());
        env.extend(
            carriers
                .into_iter()
                .filter(|(name, _)| !others.contains(&name.as_str())),
        );
        let running = start_program(&env, Deployment::SingleProcess, &ALL_ROLES).await;
        load_balancer.set_programs(vec![running.address]);
        let carriers = simulator.state().clone();
        carriers.set_webhook_base_url(&load_balancer.base_url);
        let account = first_account(&running, &addresses()).await;
        let socket = format!("http://{}", running.address);
        Self {
            context: context(&running, vec![socket], account, carriers),
            running: vec![running],
            ingest: 0,
            backends: None,
            simulator: Some(simulator),
            _directory: directory,
        }
    }

    pub async fn servers(settings: &[(&str, &str)]) -> Self {
        Self::on(Backends::start().await, settings).await
    }

    /// Starts on servers that the test may stop, Postgres included.
    pub async fn breakable(settings: &[(&str, &str)]) -> Self {
        Self::on(Backends::start_own().await, settings).await
    }

    /// Starts on these servers.
    pub async fn on(backends: Backends, settings: &[(&str, &str)]) -> Self {
        let simulator = start_simulator().await;
        let base = simulator.base_url();
        Self::with_carriers_at(&base, simulator, backends, settings).await
    }

    /// Starts with a proxy between the programs and the simulated carriers.
    pub async fn with_carrier_proxy(settings: &[(&str, &str)]) -> (Self, Proxy) {
        let simulator = start_simulator().await;
        let carrier_proxy = Proxy::start(simulator.base_url().trim_start_matches("http://")).await;
        let backends = Backends::start().await;
        let cluster = Self::with_carriers_at(&carrier_proxy.url("http"), simulator, backends, settings).await;
        (cluster, carrier_proxy)
    }

    /// Starts two gateways, one webhook ingest, two relays and two dispatchers.
    async fn with_carriers_at(base: &str, simulator: Simulator, backends: Backends, settings: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let load_balancer = LoadBalancer::start().await;
        let env = [
            common_settings(&directory),
            backends.settings(),
            carrier_settings(base),
            to_settings(&[("WEBHOOK_BASE_URL", &load_balancer.base_url)]),
            to_settings(settings),
        ]
        .concat();
        // The first program creates the schema.
        let first = start_program(&env, Deployment::Distributed, &[GATEWAY]).await;
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
            start_program(&env, Deployment::Distributed, role).await
        });
        let mut running = vec![first];
        running.extend(join_all(others).await);
        let ingest = 2;
        load_balancer.set_programs(vec![running[ingest].address]);
        load_balancer.set_relays(vec![running[ingest + 1].address, running[ingest + 2].address]);
        let carriers = simulator.state().clone();
        carriers.set_webhook_base_url(&load_balancer.base_url);
        let account = first_account(&running[0], &addresses()).await;
        let sockets = running[..ingest].iter();
        let sockets = sockets.map(|gateway| format!("http://{}", gateway.address)).collect();
        Self {
            context: context(&running[0], sockets, account, carriers),
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

    /// Returns the keys and values of Redis as text. `None`: the key-value store is in the memory of the process.
    pub async fn read_redis(&self) -> Option<String> {
        let redis = &self.backends.as_ref()?.redis;
        let mut text = String::new();
        for key in redis.run_command("KEYS *").await {
            let kind = redis.run_command(&format!("TYPE {key}")).await.concat();
            let read = match kind.trim_start_matches('+') {
                "string" => format!("GET {key}"),
                "set" => format!("SMEMBERS {key}"),
                "hash" => format!("HGETALL {key}"),
                "list" => format!("LRANGE {key} 0 -1"),
                "zset" => format!("ZRANGE {key} 0 -1"),
                // It has expired meanwhile.
                "none" => continue,
                other => panic!("the test reads no {other}"),
            };
            text.push_str(&format!("{key} {}\n", redis.run_command(&read).await.join(" ")));
        }
        Some(text)
    }

    /// Returns the address of the database.
    pub fn database_url(&self) -> String {
        match &self.backends {
            Some(backends) => backends.database_url.clone(),
            None => format!("sqlite:{}", self._directory.path().join("butt-dial.db").display()),
        }
    }

    /// Returns the directory of attachments.
    pub fn blob_directory(&self) -> std::path::PathBuf {
        self._directory.path().join("blobs")
    }

    /// Returns the first gateway's own handle of calls.
    pub fn calls(&self) -> &Arc<Calls> {
        &self.running[0].platform.product.calls
    }

    pub fn delivery(&self) -> &Arc<Delivery> {
        &self.running[0].platform.product.delivery
    }

    pub fn accounts(&self) -> &Arc<Accounts> {
        &self.running[0].platform.product.accounts
    }

    pub fn media(&self) -> &Arc<Media> {
        &self.running[0].platform.product.media
    }

    pub fn bus(&self) -> &Arc<dyn Bus> {
        &self.running[0].platform.backends().bus
    }

    /// Returns a client of the webhook ingest.
    pub fn ingest(&self) -> Gateways {
        Gateways::new(vec![format!("http://{}", self.running[self.ingest].address)])
    }

    /// Fetches the metrics of each program.
    pub async fn metrics(&self) -> Vec<Reply> {
        let urls = self
            .running
            .iter()
            .map(|program| format!("http://{}/metrics", program.address));
        join_all(urls.map(|url| self.gateways.http.get(url).reply())).await
    }

    /// Sums a series with these labels over all programs.
    pub async fn metric_total(&self, series: &str) -> f64 {
        let metrics = self.metrics().await;
        let lines = metrics.iter().flat_map(|reply| reply.text.lines());
        let values = lines.filter_map(|line| line.strip_prefix(series)?.trim().parse::<f64>().ok());
        // The empty sum of floats is -0.
        values.fold(0.0, |sum, value| sum + value)
    }

    /// Stops all programs gracefully. Fails when work had to be aborted.
    pub async fn shut_down(self) {
        for running in self.running {
            assert!(running.platform.stop().await, "work was aborted at shutdown");
        }
        if let Some(simulator) = self.simulator {
            simulator.stop().await;
        }
    }
}

async fn first_account(running: &Running, addresses: &Addresses) -> Account {
    let bootstrap = &running.platform.product.bootstrap;
    Account::from(bootstrap.run(addresses).await.expect("an account"))
}

fn context(
    running: &Running,
    sockets: Vec<String>,
    account: Account,
    carriers: butt_dial_providers::SimulatorState,
) -> TestContext {
    let platform = &running.platform;
    TestContext {
        gateways: Gateways::new(sockets),
        account,
        carriers,
        store: platform.backends().store.clone(),
        public_url: platform
            .product
            .public_urls
            .base()
            .expect("a public address")
            .to_owned(),
    }
}

impl Deref for Cluster {
    type Target = TestContext;

    fn deref(&self) -> &TestContext {
        &self.context
    }
}
