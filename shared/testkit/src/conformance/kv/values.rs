//! Stories of counters, values, nonces, sets and recent lists.

use std::{collections::BTreeSet, sync::Arc};

use butt_dial_domain::ports::kv::{Kv, Quota, RateLimitDecision};
use tokio::time::Instant;

use super::{LONG, SHORT, concurrently, eventually};

pub async fn counts_within_time_to_live(kv: Arc<dyn Kv>) {
    let (first, left) = kv.increment("n", LONG).await.unwrap();
    assert_eq!(first, 1);
    assert!(left <= LONG && left > LONG / 2);
    let (second, left_later) = kv.increment("n", 10 * LONG).await.unwrap();
    assert_eq!(second, 2);
    assert!(left_later <= left, "only the first increment starts the time to live");
    assert!(left_later > LONG / 2);

    assert_eq!(kv.increment("short", SHORT).await.unwrap().0, 1);
    kv.set("witness", "", 2 * SHORT).await.unwrap();
    eventually("the counter expires", async || {
        kv.get("witness").await.unwrap().is_none()
    })
    .await;
    assert_eq!(kv.increment("short", LONG).await.unwrap().0, 1, "a new counter");
}

pub async fn counts_concurrent_increments(kv: Arc<dyn Kv>) {
    let counts = concurrently(
        &kv,
        8,
        100,
        |kv, _| async move { kv.increment("n", LONG).await.unwrap().0 },
    )
    .await;
    assert_eq!(counts.into_iter().collect::<BTreeSet<_>>(), (1..=800).collect());
    assert_eq!(kv.increment("n", LONG).await.unwrap().0, 801);
    assert_eq!(kv.get("n").await.unwrap().as_deref(), Some("801"), "as text");
    let read = kv.get_many(&["n".into(), "other".into()]).await.unwrap();
    assert_eq!(read, [Some("801".to_owned()), None]);
}

pub async fn keeps_value_until_deleted_or_expired(kv: Arc<dyn Kv>) {
    assert_eq!(kv.get("k").await.unwrap(), None);
    kv.set("k", "v", LONG).await.unwrap();
    assert_eq!(kv.get("k").await.unwrap().as_deref(), Some("v"));
    kv.delete("k").await.unwrap();
    assert_eq!(kv.get("k").await.unwrap(), None);
    kv.delete("k").await.unwrap();

    kv.set("k", "v", SHORT).await.unwrap();
    eventually("the value expires", async || kv.get("k").await.unwrap().is_none()).await;
}

pub async fn set_replaces_value_and_time_to_live(kv: Arc<dyn Kv>) {
    kv.set("witness", "", SHORT).await.unwrap();
    kv.set("k", "old", SHORT).await.unwrap();
    kv.set("k", "new", LONG).await.unwrap();
    eventually("the first time to live is over", async || {
        kv.get("witness").await.unwrap().is_none()
    })
    .await;
    assert_eq!(kv.get("k").await.unwrap().as_deref(), Some("new"));
    kv.set("k", "short-lived", SHORT).await.unwrap();
    eventually("the new time to live is over", async || {
        kv.get("k").await.unwrap().is_none()
    })
    .await;
}

pub async fn stores_any_text_unchanged(kv: Arc<dyn Kv>) {
    let large = "x".repeat(100_000);
    for text in ["", " ", "a\r\nb\0c", "שלום 👋", "42", "{}", &large] {
        kv.set(text, text, LONG).await.unwrap();
        assert_eq!(kv.get(text).await.unwrap().as_deref(), Some(text));
    }
}

pub async fn get_many_returns_values_in_key_order(kv: Arc<dyn Kv>) {
    kv.set("a", "1", LONG).await.unwrap();
    kv.set("b", "2", LONG).await.unwrap();
    kv.set("gone", "3", SHORT).await.unwrap();
    eventually("it expires", async || kv.get("gone").await.unwrap().is_none()).await;
    let keys = ["b", "missing", "a", "gone", "b"].map(String::from);
    let values = kv.get_many(&keys).await.unwrap();
    assert_eq!(
        values,
        [Some("2"), None, Some("1"), None, Some("2")].map(|value| value.map(String::from))
    );
    assert_eq!(kv.get_many(&[]).await.unwrap(), Vec::new());
}

pub async fn accepts_nonce_once(kv: Arc<dyn Kv>) {
    assert!(kv.once("n", LONG).await.unwrap());
    assert!(!kv.once("n", LONG).await.unwrap());
    assert!(kv.once("other", LONG).await.unwrap());

    assert!(kv.once("short", SHORT).await.unwrap());
    let start = Instant::now();
    eventually("the nonce expires", async || kv.once("short", SHORT).await.unwrap()).await;
    assert!(start.elapsed() < LONG, "repeated claims do not extend the time to live");
}

pub async fn accepts_one_of_concurrent_nonces(kv: Arc<dyn Kv>) {
    let firsts = concurrently(&kv, 32, 5, |kv, _| async move { kv.once("n", LONG).await.unwrap() }).await;
    assert_eq!(firsts.into_iter().filter(|first| *first).count(), 1);
}

pub async fn keeps_set_members_while_renewed(kv: Arc<dyn Kv>) {
    let members = async |key: &str| kv.members(key).await.unwrap().into_iter().collect::<BTreeSet<_>>();
    let set = |items: &[&str]| items.iter().map(|item| (*item).to_owned()).collect::<BTreeSet<_>>();

    assert!(kv.members("s").await.unwrap().is_empty());
    kv.add_member("s", "a", SHORT).await.unwrap();
    kv.add_member("witness", "a", SHORT).await.unwrap();
    kv.add_member("s", "a", SHORT).await.unwrap();
    kv.add_member("s", "b", LONG).await.unwrap();
    assert_eq!(kv.members("s").await.unwrap().len(), 2, "a member is listed once");
    eventually("a set that is not renewed expires", async || {
        members("witness").await.is_empty()
    })
    .await;
    assert_eq!(members("s").await, set(&["a", "b"]), "the whole set was renewed");

    kv.remove_member("s", "a").await.unwrap();
    kv.remove_member("s", "unknown").await.unwrap();
    kv.remove_member("missing", "a").await.unwrap();
    assert_eq!(members("s").await, set(&["b"]));
    kv.remove_member("s", "b").await.unwrap();
    assert!(members("s").await.is_empty());
}

pub async fn keeps_most_recent_members(kv: Arc<dyn Kv>) {
    let push = async |member: &str| kv.push_recent("l", member, 2, LONG).await.unwrap();
    assert!(push("a").await.is_empty());
    assert!(push("b").await.is_empty());
    assert!(push("a").await.is_empty(), "a member is listed once");
    assert_eq!(push("c").await, ["b"], "the least recent member is evicted");
    kv.remove_recent("l", "a").await.unwrap();
    kv.remove_recent("l", "unknown").await.unwrap();
    kv.remove_recent("missing", "a").await.unwrap();
    assert!(push("d").await.is_empty(), "the list was not full");
    assert_eq!(kv.push_recent("l", "e", 1, LONG).await.unwrap(), ["c", "d"]);
    kv.delete("l").await.unwrap();
    assert!(push("a").await.is_empty());

    kv.push_recent("short", "a", 1, SHORT).await.unwrap();
    kv.set("witness", "", SHORT).await.unwrap();
    eventually("the time to live is over", async || {
        kv.get("witness").await.unwrap().is_none()
    })
    .await;
    assert!(
        kv.push_recent("short", "b", 1, LONG).await.unwrap().is_empty(),
        "a list expires"
    );
}

pub async fn evicts_each_recent_member_once(kv: Arc<dyn Kv>) {
    let push = |kv: Arc<dyn Kv>, n: usize| async move { kv.push_recent("l", &format!("m{n}"), 5, LONG).await.unwrap() };
    let evicted: Vec<String> = concurrently(&kv, 40, 1, push).await.concat();
    assert_eq!(evicted.len(), 35);
    assert_eq!(evicted.into_iter().collect::<BTreeSet<_>>().len(), 35);
}

pub async fn deletes_keys_of_every_kind(kv: Arc<dyn Kv>) {
    kv.increment("counter", LONG).await.unwrap();
    kv.add_member("set", "a", LONG).await.unwrap();
    assert!(kv.once("nonce", LONG).await.unwrap());
    let quotas = [Quota {
        key: "quota".into(),
        limit: 1,
        period: LONG,
        units: 1,
    }];
    assert_eq!(kv.take(&quotas).await.unwrap(), RateLimitDecision::Granted);
    kv.acquire("lease", "me", LONG).await.unwrap();
    for key in ["counter", "set", "nonce", &quotas[0].key, "lease"] {
        kv.delete(key).await.unwrap();
    }
    assert_eq!(kv.increment("counter", LONG).await.unwrap().0, 1);
    assert!(kv.members("set").await.unwrap().is_empty());
    assert!(kv.once("nonce", LONG).await.unwrap());
    assert_eq!(kv.take(&quotas).await.unwrap(), RateLimitDecision::Granted);
    assert!(kv.acquire("lease", "you", LONG).await.unwrap().is_some());
}

pub async fn passes_check(kv: Arc<dyn Kv>) {
    kv.check().await.unwrap();
}
