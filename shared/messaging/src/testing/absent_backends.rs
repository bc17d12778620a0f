//! Backends that the tests do without.

use std::time::Duration;

use async_trait::async_trait;
use butt_dial_domain::{
    MessageId,
    ports::kv::{Kv, KvError, Lease, Quota, RateLimitDecision},
};
use butt_dial_store::Call;

use crate::{AcceptedCall, CallHook, PendingCall};

/// The messages of these tests are no calls.
pub(super) struct NoCalls;

#[async_trait]
impl CallHook for NoCalls {
    async fn create_pending(&self, _: PendingCall<'_>) -> Result<(), KvError> {
        unavailable_kv()
    }

    async fn discard_pending(&self, _: &MessageId) {}

    async fn record_call(&self, _: AcceptedCall<'_>) {}

    async fn settle(&self, _: &Call) {}
}

/// A key-value store that is unavailable: these tests do not use one.
pub(super) struct NoKv;

fn unavailable_kv<T>() -> Result<T, KvError> {
    Err(KvError("the test has none".into()))
}

#[async_trait]
impl Kv for NoKv {
    async fn take(&self, _: &[Quota]) -> Result<RateLimitDecision, KvError> {
        unavailable_kv()
    }
    async fn give_back(&self, _: &[Quota]) -> Result<(), KvError> {
        unavailable_kv()
    }
    async fn increment(&self, _: &str, _: Duration) -> Result<(u64, Duration), KvError> {
        unavailable_kv()
    }
    async fn set(&self, _: &str, _: &str, _: Duration) -> Result<(), KvError> {
        unavailable_kv()
    }
    async fn get(&self, _: &str) -> Result<Option<String>, KvError> {
        unavailable_kv()
    }
    async fn get_many(&self, _: &[String]) -> Result<Vec<Option<String>>, KvError> {
        unavailable_kv()
    }
    async fn delete(&self, _: &str) -> Result<(), KvError> {
        unavailable_kv()
    }
    async fn once(&self, _: &str, _: Duration) -> Result<bool, KvError> {
        unavailable_kv()
    }
    async fn add_member(&self, _: &str, _: &str, _: Duration) -> Result<(), KvError> {
        unavailable_kv()
    }
    async fn remove_member(&self, _: &str, _: &str) -> Result<(), KvError> {
        unavailable_kv()
    }
    async fn members(&self, _: &str) -> Result<Vec<String>, KvError> {
        unavailable_kv()
    }
    async fn push_recent(&self, _: &str, _: &str, _: usize, _: Duration) -> Result<Vec<String>, KvError> {
        unavailable_kv()
    }
    async fn remove_recent(&self, _: &str, _: &str) -> Result<(), KvError> {
        unavailable_kv()
    }
    async fn acquire(&self, _: &str, _: &str, _: Duration) -> Result<Option<Lease>, KvError> {
        unavailable_kv()
    }
    async fn steal_lease(&self, _: &str, _: &str, _: Duration) -> Result<Lease, KvError> {
        unavailable_kv()
    }
    async fn restore(&self, _: &Lease, _: Duration) -> Result<bool, KvError> {
        unavailable_kv()
    }
    async fn set_if_leased(&self, _: &Lease, _: &str, _: &str, _: Duration) -> Result<bool, KvError> {
        unavailable_kv()
    }
    async fn renew(&self, _: &Lease, _: Duration) -> Result<bool, KvError> {
        unavailable_kv()
    }
    async fn release(&self, _: &Lease) -> Result<(), KvError> {
        unavailable_kv()
    }
    async fn check(&self) -> Result<(), KvError> {
        unavailable_kv()
    }
}
