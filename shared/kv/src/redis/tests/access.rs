//! A user of the server's access control list.

use super::*;

#[tokio::test]
async fn works_as_user_with_documented_rights() {
    let server = Redis::start().await;
    // As in docs/OPERATIONS.md.
    let user =
        "ACL SETUSER butt-dial on >s%cret ~* +@read +@write +@connection +@scripting +@transaction -@dangerous +time";
    assert_eq!(server.run_command(user).await, ["+OK"]);
    assert_eq!(server.run_command("ACL SETUSER default off").await, ["+OK"]);
    let url = format!("redis://butt-dial:s%25cret@{}", server.address());
    let kv = RedisKv::connect(&url, POOL_SIZE).await.unwrap();
    kv.check().await.unwrap();
    let lease = kv.acquire("lease", "me", LONG).await.unwrap().unwrap();
    assert!(kv.set_if_leased(&lease, "k", "v", LONG).await.unwrap());
    kv.add_member("set", "a", LONG).await.unwrap();
    assert_eq!(kv.members("set").await.unwrap(), ["a"]);
    assert!(kv.push_recent("recent", "a", 1, LONG).await.unwrap().is_empty());
    let wrong = RedisKv::connect(&url.replace("s%25cret", "hunter2"), POOL_SIZE).await;
    let reason = wrong.err().unwrap().to_string();
    assert!(!reason.contains("hunter2"), "{reason}");
}
