//! Short-lived shared state behind one port: in the memory of the process, or in Redis for many replicas. Must not hold
//! the only copy of important data.

mod memory;
mod redis;

pub use memory::MemoryKv;
pub use redis::{ConnectError, PoolStatus, RedisKv};
