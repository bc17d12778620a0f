//! The conformance suite on a real Redis, and tests of outages, stalls, lost data and several replicas.

mod access;
mod cluster;
mod sentinels;

use std::{sync::Arc, time::Instant};

use butt_dial_testkit::{proxy::Proxy, servers::Redis};

use super::*;

const AT_ONCE: Duration = Duration::from_millis(1_500);
const LONG: Duration = Duration::from_secs(60);
const POOL_SIZE: usize = 4;

async fn open() -> (Arc<dyn Kv>, Redis) {
    let server = Redis::start().await;
    let kv = RedisKv::connect(&server.url(), POOL_SIZE).await.unwrap();
    (Arc::new(kv), server)
}

butt_dial_testkit::kv_conformance!(open);

async fn assert_fails_at_once(kv: &RedisKv) -> KvError {
    let start = Instant::now();
    let error = kv.get("k").await.unwrap_err();
    assert!(start.elapsed() < AT_ONCE, "{error} after {:?}", start.elapsed());
    error
}

async fn recover(kv: &RedisKv) {
    let start = Instant::now();
    while kv.check().await.is_err() {
        assert!(start.elapsed() < Duration::from_secs(10), "no recovery");
    }
}

#[tokio::test]
async fn fails_at_once_during_outage_and_recovers() {
    let mut server = Redis::start_append_only().await;
    let kv = RedisKv::connect(&server.url(), POOL_SIZE).await.unwrap();
    kv.set("k", "v", LONG).await.unwrap();
    server.stop().await;
    for _ in 0..5 {
        assert_fails_at_once(&kv).await;
    }
    server.start_again().await;
    assert_eq!(
        kv.get("k").await.unwrap().as_deref(),
        Some("v"),
        "the first command after the outage succeeds"
    );
    assert!(kv.once("n", LONG).await.unwrap());
}

#[tokio::test]
async fn times_out_on_stalled_server_and_recovers() {
    let server = Redis::start().await;
    let proxy = Proxy::start(&server.address()).await;
    let kv = RedisKv::connect(&proxy.url("redis"), POOL_SIZE).await.unwrap();
    proxy.stall().await;
    assert_fails_at_once(&kv).await;
    assert_fails_at_once(&kv).await;
    proxy.heal().await;
    recover(&kv).await;
    kv.set("k", "v", LONG).await.unwrap();
    proxy.cut().await;
    recover(&kv).await;
    assert_eq!(kv.get("k").await.unwrap().as_deref(), Some("v"));
}

#[tokio::test]
async fn connect_error_has_address_without_password() {
    let server = Redis::start().await;
    let proxy = Proxy::start(&server.address()).await;
    let url = format!("redis://user:hunter2@{}", proxy.address());
    proxy.refuse().await;
    for stalled in [false, true] {
        if stalled {
            proxy.stall().await;
        }
        let start = Instant::now();
        let reason = RedisKv::connect(&url, POOL_SIZE).await.err().unwrap().to_string();
        assert!(start.elapsed() < 2 * AT_ONCE);
        assert!(reason.contains(&proxy.address()), "{reason}");
        assert!(!reason.contains("hunter2"), "{reason}");
    }
    let reason = RedisKv::connect("http://user:hunter2@localhost", POOL_SIZE).await;
    let reason = reason.err().unwrap().to_string();
    assert!(!reason.contains("hunter2"), "{reason}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_share_one_quota() {
    let server = Redis::start().await;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let kv = RedisKv::connect(&server.url(), POOL_SIZE).await.unwrap();
        tasks.spawn(async move {
            let quotas = [Quota {
                key: "q".into(),
                limit: 50,
                period: Duration::from_secs(86_400),
                units: 1,
            }];
            let mut granted = 0;
            for _ in 0..200 {
                granted += u32::from(kv.take(&quotas).await.unwrap() == RateLimitDecision::Granted);
            }
            granted
        });
    }
    assert_eq!(tasks.join_all().await.into_iter().sum::<u32>(), 50);
}

#[tokio::test]
async fn fences_grow_after_server_lost_data() {
    let mut server = Redis::start().await;
    let kv = RedisKv::connect(&server.url(), POOL_SIZE).await.unwrap();
    let before = kv.acquire("lease", "me", LONG).await.unwrap().unwrap();
    server.kill();
    server.start_again().await;
    recover(&kv).await;
    assert!(!kv.renew(&before, LONG).await.unwrap());
    let after = kv.acquire("lease", "you", LONG).await.unwrap().unwrap();
    assert!(after.fence > before.fence);
}

#[tokio::test]
async fn last_holder_restores_lease_after_server_lost_data() {
    let mut server = Redis::start().await;
    let kv = RedisKv::connect(&server.url(), POOL_SIZE).await.unwrap();
    let mine = kv.acquire("lease", "me", LONG).await.unwrap().unwrap();
    let yours = kv.steal_lease("lease", "you", LONG).await.unwrap();
    server.kill();
    server.start_again().await;
    recover(&kv).await;
    assert!(kv.restore(&mine, LONG).await.unwrap(), "no later holder is known yet");
    assert!(kv.restore(&yours, LONG).await.unwrap());
    assert!(!kv.restore(&mine, LONG).await.unwrap());
    assert!(!kv.set_if_leased(&mine, "guarded", "mine", LONG).await.unwrap());
    assert!(kv.set_if_leased(&yours, "guarded", "yours", LONG).await.unwrap());
    assert!(kv.steal_lease("lease", "me", LONG).await.unwrap().fence > yours.fence);
}

#[test]
fn fence_key_is_in_cluster_slot_of_lease() {
    assert_eq!(fence_key("call:{CA1}:owner"), "call:{CA1}:owner:fence");
    assert_eq!(fence_key("job:sweep"), "{job:sweep}:fence");
}
