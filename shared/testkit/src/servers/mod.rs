//! Real servers for tests, each with a separate loopback port and a private directory, removed at the end of the test.
//! Not shared between tests, except the Postgres of `TEST_POSTGRES_URL`.

mod nats;
mod pgbouncer;
pub(crate) mod port;
mod postgres;
mod process;
mod redis;
mod redis_sets;
#[cfg(feature = "s3")]
mod s3;

pub use nats::Nats;
pub use pgbouncer::PgBouncer;
pub use postgres::{Postgres, fresh_postgres_database, run_sql, wait_events};
pub use redis::Redis;
pub use redis_sets::{RedisCluster, RedisSentinels};
#[cfg(feature = "s3")]
pub use s3::S3;
