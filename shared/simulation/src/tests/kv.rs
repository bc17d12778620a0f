//! The key-value store of a process: the real one in memory, which all processes share, behind the gates of the process.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use butt_dial_domain::ports::kv::{Kv, KvError, Lease, Quota, RateLimitDecision};

use super::faults::Faults;

pub struct ProcessKv(pub Arc<Faults>);

impl ProcessKv {
    async fn call<T>(&self, work: impl Future<Output = Result<T, KvError>> + Send) -> Result<T, KvError> {
        self.pass("before the key-value store").await?;
        let result = work.await;
        self.pass("after the key-value store").await?;
        result
    }

    async fn pass(&self, point: &'static str) -> Result<(), KvError> {
        match self.0.pass(point).await {
            true => Ok(()),
            false => Err(KvError("simulated failure".into())),
        }
    }
}

#[async_trait]
impl Kv for ProcessKv {
    async fn take(&self, quotas: &[Quota]) -> Result<RateLimitDecision, KvError> {
        self.call(self.0.world.kv().take(quotas)).await
    }
    async fn give_back(&self, quotas: &[Quota]) -> Result<(), KvError> {
        self.call(self.0.world.kv().give_back(quotas)).await
    }
    async fn increment(&self, key: &str, ttl: Duration) -> Result<(u64, Duration), KvError> {
        self.call(self.0.world.kv().increment(key, ttl)).await
    }
    async fn set(&self, key: &str, value: &str, ttl: Duration) -> Result<(), KvError> {
        self.call(self.0.world.kv().set(key, value, ttl)).await
    }
    async fn get(&self, key: &str) -> Result<Option<String>, KvError> {
        self.call(self.0.world.kv().get(key)).await
    }
    async fn get_many(&self, keys: &[String]) -> Result<Vec<Option<String>>, KvError> {
        self.call(self.0.world.kv().get_many(keys)).await
    }
    async fn delete(&self, key: &str) -> Result<(), KvError> {
        self.call(self.0.world.kv().delete(key)).await
    }
    async fn once(&self, key: &str, ttl: Duration) -> Result<bool, KvError> {
        self.call(self.0.world.kv().once(key, ttl)).await
    }
    async fn add_member(&self, key: &str, member: &str, ttl: Duration) -> Result<(), KvError> {
        self.call(self.0.world.kv().add_member(key, member, ttl)).await
    }
    async fn remove_member(&self, key: &str, member: &str) -> Result<(), KvError> {
        self.call(self.0.world.kv().remove_member(key, member)).await
    }
    async fn members(&self, key: &str) -> Result<Vec<String>, KvError> {
        self.call(self.0.world.kv().members(key)).await
    }
    async fn push_recent(&self, key: &str, member: &str, max: usize, ttl: Duration) -> Result<Vec<String>, KvError> {
        self.call(self.0.world.kv().push_recent(key, member, max, ttl)).await
    }
    async fn remove_recent(&self, key: &str, member: &str) -> Result<(), KvError> {
        self.call(self.0.world.kv().remove_recent(key, member)).await
    }
    async fn acquire(&self, key: &str, holder: &str, ttl: Duration) -> Result<Option<Lease>, KvError> {
        self.call(self.0.world.kv().acquire(key, holder, ttl)).await
    }
    async fn steal_lease(&self, key: &str, holder: &str, ttl: Duration) -> Result<Lease, KvError> {
        self.call(self.0.world.kv().steal_lease(key, holder, ttl)).await
    }
    async fn restore(&self, lease: &Lease, ttl: Duration) -> Result<bool, KvError> {
        self.call(self.0.world.kv().restore(lease, ttl)).await
    }
    async fn set_if_leased(&self, lease: &Lease, key: &str, value: &str, ttl: Duration) -> Result<bool, KvError> {
        self.call(self.0.world.kv().set_if_leased(lease, key, value, ttl)).await
    }
    async fn renew(&self, lease: &Lease, ttl: Duration) -> Result<bool, KvError> {
        self.call(self.0.world.kv().renew(lease, ttl)).await
    }
    async fn release(&self, lease: &Lease) -> Result<(), KvError> {
        self.call(self.0.world.kv().release(lease)).await
    }
    async fn check(&self) -> Result<(), KvError> {
        self.call(self.0.world.kv().check()).await
    }
}
