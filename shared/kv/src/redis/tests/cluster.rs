//! The conformance suite on a cluster, and keys that move.

use butt_dial_testkit::servers::RedisCluster;

use super::*;

async fn open_cluster() -> (Arc<dyn Kv>, RedisCluster) {
    let cluster = RedisCluster::start(3).await;
    let kv = RedisKv::connect(&cluster.url(), POOL_SIZE).await.unwrap();
    (Arc::new(kv), cluster)
}

butt_dial_testkit::kv_conformance!(open_cluster);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn uses_all_nodes_and_reads_many_keys() {
    let (kv, cluster) = open_cluster().await;
    let keys: Vec<String> = (0..60).map(|number| format!("key:{number}")).collect();
    for key in &keys {
        kv.set(key, key, LONG).await.unwrap();
    }
    let found: Vec<String> = kv.get_many(&keys).await.unwrap().into_iter().flatten().collect();
    assert_eq!(found, keys);
    let counts = cluster.key_counts().await;
    assert!(counts.iter().all(|count| *count > 5), "{counts:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn follows_key_to_another_node() {
    let (kv, cluster) = open_cluster().await;
    assert_eq!(kv.increment("counter", LONG).await.unwrap().0, 1);
    cluster.move_slot_of("counter").await;
    for expected in 2..10 {
        assert_eq!(
            kv.increment("counter", LONG).await.unwrap().0,
            expected,
            "each is counted once"
        );
    }
}

#[tokio::test]
async fn refuses_node_of_cluster_as_server() {
    let cluster = RedisCluster::start(3).await;
    match RedisKv::connect(&cluster.node_url(), POOL_SIZE).await.err().unwrap() {
        ConnectError::Setting(reason) => assert!(reason.contains("redis+cluster://"), "{reason}"),
        other => panic!("{other}"),
    }
}

/// The keys that one script touches, of every call in the program.
#[test]
fn keys_of_one_script_share_a_slot() {
    let (org, call) = ("org_1".into(), "CA1".into());
    let agent = "agent_1".into();
    let tag = |key: &str| key.split_once('{').unwrap().1.split_once('}').unwrap().0.to_owned();
    let limits = [
        keys::agent_limit(&org, &agent, "minute"),
        keys::org_limit(&org, "day"),
        keys::codes_to_contact(&org, "hash", "hour"),
        keys::codes_of_org(&org),
    ];
    assert!(limits.iter().all(|key| tag(key) == "org_1"), "{limits:?}");
    let registrations = ["address", "domain"].map(|kind| keys::registration_limit(kind, "x"));
    assert_eq!(tag(&registrations[0]), tag(&registrations[1]));
    assert_eq!(tag(&keys::call_state(&call)), tag(&keys::call_owner(&call)));
}
