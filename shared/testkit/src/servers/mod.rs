//! Real servers for tests: each on a loopback port of its own with a private directory, gone when the test is over.
//! Never in production, and never shared between tests except the Postgres named by `TEST_POSTGRES_URL`.

mod nats;
pub(crate) mod port;
mod postgres;
mod process;
mod redis;
#[cfg(feature = "s3")]
mod s3;

pub use nats::Nats;
pub use postgres::{Postgres, fresh_postgres_database};
pub use redis::Redis;
#[cfg(feature = "s3")]
pub use s3::S3;
