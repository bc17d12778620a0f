//! The primary of a set changes: by its death, and by a planned switch.

use butt_dial_testkit::servers::RedisSentinels;

use super::*;

/// The sentinels notice a dead primary after half a second, and agree on another one.
const FAILOVER: Duration = Duration::from_secs(10);

async fn write(kv: &RedisKv, key: &str, value: &str) {
    let start = Instant::now();
    while let Err(error) = kv.set(key, value, LONG).await {
        assert!(start.elapsed() < FAILOVER, "{error}");
        tokio::time::sleep(Duration::from_millis(20)).await; // not a synchronisation: a pause between two tries
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn continues_with_new_primary_after_death_of_former() {
    let mut set = RedisSentinels::start().await;
    let kv = RedisKv::connect(&set.url(), POOL_SIZE).await.unwrap();
    let lease = kv.acquire("lease", "me", LONG).await.unwrap().unwrap();
    kv.set("k", "before", LONG).await.unwrap();
    // One that does not answer must not delay the others.
    set.kill_sentinel();
    set.kill_primary().await;
    assert!(kv.get("k").await.is_err(), "nothing is answered from memory");
    write(&kv, "other", "after").await;
    assert_eq!(kv.get("k").await.unwrap().as_deref(), Some("before"));
    assert!(kv.renew(&lease, LONG).await.unwrap(), "the replica has the lease");
    // Every connection of the pool, and a new client.
    for round in 0..2 * POOL_SIZE {
        kv.set("k", &round.to_string(), LONG).await.unwrap();
    }
    kv.check().await.unwrap();
    let late = RedisKv::connect(&set.url(), POOL_SIZE).await.unwrap();
    assert_eq!(late.get("other").await.unwrap().as_deref(), Some("after"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_to_new_primary_after_switch_over() {
    let set = RedisSentinels::start().await;
    let kv = RedisKv::connect(&set.url(), POOL_SIZE).await.unwrap();
    kv.set("k", "before", LONG).await.unwrap();
    set.switch_over().await;
    write(&kv, "k", "after").await;
    assert_eq!(kv.get("k").await.unwrap().as_deref(), Some("after"));
}

#[tokio::test]
async fn refuses_sentinel_as_server_and_unknown_service() {
    let set = RedisSentinels::start().await;
    let url = set.url();
    let (_, hosts) = url.rsplit_once('@').unwrap();
    let host = hosts.split(',').next().unwrap();
    match RedisKv::connect(&format!("redis://{host}"), POOL_SIZE)
        .await
        .err()
        .unwrap()
    {
        ConnectError::Setting(reason) => assert!(reason.contains("redis+sentinel://"), "{reason}"),
        other => panic!("{other}"),
    }
    let unknown = url.replace("/orders", "/invoices");
    match RedisKv::connect(&unknown, POOL_SIZE).await.err().unwrap() {
        ConnectError::Unavailable(KvError(reason)) => {
            assert!(reason.contains("invoices") && !reason.contains("p@ss"), "{reason}");
        }
        other => panic!("{other}"),
    }
}
