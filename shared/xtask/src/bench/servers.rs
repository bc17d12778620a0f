//! The backends that replicas share: Postgres with fsync, NATS, Redis and the simulator of the carriers, one process each.

use std::path::Path;

use butt_dial_testkit::servers::{Nats, Postgres, Redis};

use super::{
    process::{Backends, Process},
    webhooks::PUBLIC_URL,
};

pub struct Servers {
    pub backends: Backends,
    pub postgres: Postgres,
    pub nats: Nats,
    pub redis: Redis,
}

impl Servers {
    pub async fn start(program: &Path) -> anyhow::Result<Self> {
        let postgres = Postgres::start_with_fsync().await;
        let nats = Nats::start().await;
        let redis = Redis::start().await;
        let backends = Backends {
            database: postgres.database().await,
            nats: nats.url(),
            redis: redis.url(),
            simulator: Process::simulator(program).await?,
            public_url: PUBLIC_URL.to_owned(),
            settings: Vec::new(),
        };
        Ok(Self {
            backends,
            postgres,
            nats,
            redis,
        })
    }
}
