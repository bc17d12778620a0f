//! The replicas, two of each service: one serves while the other is away. A replica that takes the place of another has its own
//! address.

use std::{
    net::SocketAddr,
    ops::Range,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::Context;

use super::super::{
    calls::load_balancer::LoadBalancer,
    mcp_client::Endpoint,
    process::{self, Backends, Process},
};

pub const ROLES: [&str; 8] = [
    "gateway",
    "gateway",
    "webhook-ingest",
    "webhook-ingest",
    "voice-relay",
    "voice-relay",
    "dispatcher",
    "dispatcher",
];
const GATEWAYS: Range<usize> = 0..2;
const INGESTS: Range<usize> = 2..4;
const RELAYS: Range<usize> = 4..6;

pub struct Replicas {
    program: PathBuf,
    /// One for each role; `None` while it is away.
    processes: Vec<Option<Process>>,
    addresses: Arc<Addresses>,
    /// At the public address: the relays and the ingests.
    public: LoadBalancer,
    /// At the address of the agent that answers calls: the gateways.
    private: LoadBalancer,
}

/// The addresses of the replicas that take new work.
pub struct Addresses {
    token: String,
    public_url: String,
    all: Mutex<[Option<SocketAddr>; ROLES.len()]>,
}

impl Replicas {
    /// Starts all replicas, at a public address that it sets.
    pub async fn start(program: PathBuf, backends: &mut Backends) -> anyhow::Result<Self> {
        let (public, private) = (LoadBalancer::start().await?, LoadBalancer::start().await?);
        backends.public_url.clone_from(&public.base_url);
        // The first gateway creates the agent.
        let first = process::gateway(&program, backends).await?;
        let addresses = Addresses {
            token: first.agent_token,
            public_url: public.base_url.clone(),
            all: Mutex::default(),
        };
        let mut processes = vec![Some(first.process)];
        for role in &ROLES[1..] {
            processes.push(Some(process::service(&program, role, backends).await?));
        }
        let replicas = Self {
            program,
            processes,
            addresses: Arc::new(addresses),
            public,
            private,
        };
        replicas.announce();
        Ok(replicas)
    }

    pub fn addresses(&self) -> Arc<Addresses> {
        self.addresses.clone()
    }

    /// The agent, at the load balancer of the gateways.
    pub fn agent(&self) -> anyhow::Result<Endpoint> {
        let address = self.private.base_url.trim_start_matches("http://").parse()?;
        Ok(Endpoint::with_token(address, &self.addresses.token))
    }

    /// Sends SIGKILL to a replica, and starts another one in its place.
    pub async fn kill(&mut self, index: usize, backends: &Backends) -> anyhow::Result<()> {
        // Clients learn of it by their errors, and load balancers a moment later.
        self.take(index)?.kill().await?;
        self.announce();
        self.start_at(index, backends).await
    }

    /// Starts another replica in the place of one, which ends gracefully afterwards.
    pub async fn replace(&mut self, index: usize, backends: &Backends) -> anyhow::Result<()> {
        let former = self.take(index)?;
        self.start_at(index, backends).await?;
        former.terminate().await?;
        former.wait().await
    }

    fn take(&mut self, index: usize) -> anyhow::Result<Process> {
        let process = self.processes.get_mut(index).and_then(Option::take);
        process.context("no replica at this index")
    }

    async fn start_at(&mut self, index: usize, backends: &Backends) -> anyhow::Result<()> {
        let process = process::service(&self.program, ROLES[index], backends).await?;
        self.processes[index] = Some(process);
        self.announce();
        Ok(())
    }

    /// Shows clients and load balancers which replicas take new work.
    fn announce(&self) {
        let mut all = [None; ROLES.len()];
        for (address, process) in all.iter_mut().zip(&self.processes) {
            *address = process.as_ref().map(|process| process.address);
        }
        let some = |range: Range<usize>| all[range].iter().flatten().copied().collect();
        self.public.set_relays(some(RELAYS));
        self.public.set_others(some(INGESTS));
        self.private.set_others(some(GATEWAYS));
        *self.addresses.all.lock().unwrap_or_else(PoisonError::into_inner) = all;
    }
}

impl Addresses {
    /// The agent, at one of the gateways.
    pub fn gateway(&self, turn: u64) -> Option<Endpoint> {
        Some(Endpoint::with_token(self.select(GATEWAYS, turn)?, &self.token))
    }

    pub fn ingest(&self, turn: u64) -> Option<SocketAddr> {
        self.select(INGESTS, turn)
    }

    pub fn public_url(&self) -> &str {
        &self.public_url
    }

    fn select(&self, range: Range<usize>, turn: u64) -> Option<SocketAddr> {
        let all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let serving: Vec<SocketAddr> = all[range].iter().flatten().copied().collect();
        let index = usize::try_from(turn).ok()?.checked_rem(serving.len())?;
        serving.get(index).copied()
    }
}
