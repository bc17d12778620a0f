//! The backends that replicas share: Postgres with fsync, NATS, Redis and the simulator of the carriers, one process each.

use std::path::Path;

use butt_dial_testkit::servers::{Nats, Postgres, Redis};

use super::{
    process::{Backends, Process},
    webhooks::PUBLIC_URL,
};

pub struct Servers {
    pub backends: Backends,
    _servers: (Postgres, Nats, Redis),
}

impl Servers {
    pub async fn start(program: &Path) -> anyhow::Result<Self> {
        let servers = (
            Postgres::start_with_fsync().await,
            Nats::start().await,
            Redis::start().await,
        );
        let backends = Backends {
            database: servers.0.database().await,
            nats: servers.1.url(),
            redis: servers.2.url(),
            simulator: Process::simulator(program).await?,
            public_url: PUBLIC_URL.to_owned(),
            settings: Vec::new(),
        };
        Ok(Self {
            backends,
            _servers: servers,
        })
    }
}
