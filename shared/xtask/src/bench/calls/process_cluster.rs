//! A cluster of processes on shared backends: one process per service, and the relays that a measurement starts.

use std::path::PathBuf;

use super::{
    super::{
        mcp_client::Endpoint,
        process::{self, Process, Server},
        servers::Servers,
    },
    carrier::Carrier,
};

pub struct ProcessCluster {
    program: PathBuf,
    pub servers: Servers,
    gateway: Server,
    pub ingest: Process,
    _dispatcher: Process,
}

impl ProcessCluster {
    /// Starts all services except relays. `public_url` replaces the address that the bench signs webhooks for.
    pub async fn start(program: PathBuf, public_url: Option<&str>) -> anyhow::Result<Self> {
        let mut servers = Servers::start(&program).await?;
        if let Some(url) = public_url {
            url.clone_into(&mut servers.backends.public_url);
        }
        // The gateway is first, because it creates the agent that is called.
        let gateway = process::gateway(&program, &servers.backends).await?;
        let ingest = process::service(&program, "webhook-ingest", &servers.backends).await?;
        let dispatcher = process::service(&program, "dispatcher", &servers.backends).await?;
        Ok(Self {
            program,
            servers,
            gateway,
            ingest,
            _dispatcher: dispatcher,
        })
    }

    /// Starts another relay and waits until it is serving.
    pub async fn start_relay(&self) -> anyhow::Result<Process> {
        process::service(&self.program, "voice-relay", &self.servers.backends).await
    }

    pub fn agent(&self) -> Endpoint {
        Endpoint::agent(&self.gateway)
    }

    pub fn carrier(&self, relays: &[Process]) -> Carrier {
        Carrier::new(self.ingest.address, relays.iter().map(|relay| relay.address).collect())
    }
}
