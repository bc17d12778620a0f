//! Postgres, NATS and Redis of one test. Each can be stopped and started again.

use butt_dial_testkit::servers::{Nats, Postgres, Redis, fresh_postgres_database};

pub struct Backends {
    pub database_url: String,
    /// Address of Redis for the gateways; may be a proxy.
    pub redis_url: String,
    /// Set when this test has its own Postgres.
    pub postgres: Option<Postgres>,
    pub nats: Nats,
    pub redis: Redis,
}

impl Backends {
    /// Starts NATS and Redis, and creates a database on the Postgres that all tests of a run share.
    pub async fn start() -> Self {
        let ((database_url, postgres), nats, redis) =
            tokio::join!(fresh_postgres_database(), Nats::start(), Redis::start());
        Self {
            redis_url: redis.url(),
            database_url,
            postgres,
            nats,
            redis,
        }
    }

    /// Starts all three, with a dedicated Postgres that the test may stop.
    pub async fn start_own() -> Self {
        let (postgres, nats, redis) = tokio::join!(Postgres::start(), Nats::start(), Redis::start());
        Self {
            database_url: postgres.database().await,
            redis_url: redis.url(),
            postgres: Some(postgres),
            nats,
            redis,
        }
    }

    pub fn postgres(&mut self) -> &mut Postgres {
        self.postgres.as_mut().expect("a dedicated Postgres")
    }

    pub fn settings(&self) -> Vec<(String, String)> {
        [
            ("DATABASE_URL", self.database_url.clone()),
            ("NATS_URL", self.nats.url()),
            ("REDIS_URL", self.redis_url.clone()),
            ("CREDENTIALS_ENCRYPTION_KEY", "k".repeat(32)),
            ("DATABASE_MAX_CONNECTIONS", "4".into()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }
}
