//! Short-lived shared state behind one port: in this process's memory, or in Redis for many replicas.
//! Nothing here may be the only copy of what must not be lost.

mod memory;
mod redis;

pub use memory::MemoryKv;
pub use redis::RedisKv;
