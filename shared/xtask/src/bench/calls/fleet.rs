//! One of each service, and relays, on shared servers: each a process of its own.

use std::path::PathBuf;

use super::{
    super::{
        mcp::Endpoint,
        process::{self, Process, Server},
        servers::Servers,
    },
    carrier::Carrier,
};

pub struct Fleet {
    program: PathBuf,
    pub servers: Servers,
    gateway: Server,
    pub ingest: Process,
    _dispatcher: Process,
}

impl Fleet {
    /// `public_url`: where the carriers reach it, if that is not what the bench signs for.
    pub async fn start(program: PathBuf, public_url: Option<&str>) -> anyhow::Result<Self> {
        let mut servers = Servers::start(&program).await?;
        if let Some(url) = public_url {
            url.clone_into(&mut servers.backends.public_url);
        }
        // First: it makes the agent whose number is called.
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

    /// One more relay, once it serves.
    pub async fn relay(&self) -> anyhow::Result<Process> {
        process::service(&self.program, "voice-relay", &self.servers.backends).await
    }

    pub fn agent(&self) -> Endpoint {
        Endpoint::agent(&self.gateway)
    }

    pub fn carrier(&self, relays: &[Process]) -> Carrier {
        Carrier::new(self.ingest.address, relays.iter().map(|relay| relay.address).collect())
    }
}
