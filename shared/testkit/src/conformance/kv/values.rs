//! Stories of counters, values, nonces and sets.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use butt_dial_domain::ports::kv::{RateLimitDecision, Kv, Quota};
use tokio::time::Instant;

use super::{LONG, SHORT, at_once, eventually};

pub async fn a_counter_counts_within_its_time_to_live(kv: Arc<dyn Kv>) {
    assert_eq!(kv.count("n").await.unwrap(), (0, Duration::ZERO));
    let (first, left) = kv.increment("n", LONG).await.unwrap();
    assert_eq!(first, 1);
    assert!(left <= LONG && left > LONG / 2);
    let (second, left_later) = kv.increment("n", 10 * LONG).await.unwrap();
    assert_eq!(second, 2);
    assert!(left_later <= left, "only the first increment starts the time to live");
    let (count, left) = kv.count("n").await.unwrap();
    assert_eq!(count, 2);
    assert!(left <= left_later && left > LONG / 2);

    kv.increment("short", SHORT).await.unwrap();
    eventually("the counter expires", async || {
        kv.count("short").await.unwrap() == (0, Duration::ZERO)
    })
    .await;
    assert_eq!(kv.increment("short", LONG).await.unwrap().0, 1);
}

pub async fn concurrent_increments_are_all_counted(kv: Arc<dyn Kv>) {
    let counts = at_once(
        &kv,
        8,
        100,
        |kv, _| async move { kv.increment("n", LONG).await.unwrap().0 },
    )
    .await;
    assert_eq!(counts.into_iter().collect::<BTreeSet<_>>(), (1..=800).collect());
    assert_eq!(kv.count("n").await.unwrap().0, 800);
}

pub async fn a_value_is_kept_until_deleted_or_expired(kv: Arc<dyn Kv>) {
    assert_eq!(kv.get("k").await.unwrap(), None);
    kv.set("k", "v", LONG).await.unwrap();
    assert_eq!(kv.get("k").await.unwrap().as_deref(), Some("v"));
    kv.delete("k").await.unwrap();
    assert_eq!(kv.get("k").await.unwrap(), None);
    kv.delete("k").await.unwrap();

    kv.set("k", "v", SHORT).await.unwrap();
    eventually("the value expires", async || kv.get("k").await.unwrap().is_none()).await;
}

pub async fn setting_again_replaces_value_and_time_to_live(kv: Arc<dyn Kv>) {
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

pub async fn any_text_is_kept_as_it_is(kv: Arc<dyn Kv>) {
    let large = "x".repeat(100_000);
    for text in ["", " ", "a\r\nb\0c", "שלום 👋", "42", "{}", &large] {
        kv.set(text, text, LONG).await.unwrap();
        assert_eq!(kv.get(text).await.unwrap().as_deref(), Some(text));
    }
}

pub async fn many_values_come_in_the_order_of_their_keys(kv: Arc<dyn Kv>) {
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

pub async fn a_nonce_is_new_once(kv: Arc<dyn Kv>) {
    assert!(kv.once("n", LONG).await.unwrap());
    assert!(!kv.once("n", LONG).await.unwrap());
    assert!(kv.once("other", LONG).await.unwrap());

    assert!(kv.once("short", SHORT).await.unwrap());
    let start = Instant::now();
    eventually("it is forgotten", async || kv.once("short", SHORT).await.unwrap()).await;
    assert!(start.elapsed() < LONG, "asking again does not prolong it");
}

pub async fn of_concurrent_uses_of_a_nonce_one_is_first(kv: Arc<dyn Kv>) {
    let firsts = at_once(&kv, 32, 5, |kv, _| async move { kv.once("n", LONG).await.unwrap() }).await;
    assert_eq!(firsts.into_iter().filter(|first| *first).count(), 1);
}

pub async fn a_set_keeps_its_members_while_it_is_renewed(kv: Arc<dyn Kv>) {
    let members = async |key: &str| kv.members(key).await.unwrap().into_iter().collect::<BTreeSet<_>>();
    let set = |items: &[&str]| items.iter().map(|item| (*item).to_owned()).collect::<BTreeSet<_>>();

    assert!(kv.members("s").await.unwrap().is_empty());
    kv.add_member("s", "a", SHORT).await.unwrap();
    kv.add_member("witness", "a", SHORT).await.unwrap();
    kv.add_member("s", "a", SHORT).await.unwrap();
    kv.add_member("s", "b", LONG).await.unwrap();
    assert_eq!(kv.members("s").await.unwrap().len(), 2, "a member is there once");
    eventually("a set that is not renewed expires", async || {
        members("witness").await.is_empty()
    })
    .await;
    assert_eq!(members("s").await, set(&["a", "b"]), "the whole set was renewed");

    kv.remove_member("s", "a").await.unwrap();
    kv.remove_member("s", "stranger").await.unwrap();
    kv.remove_member("nowhere", "a").await.unwrap();
    assert_eq!(members("s").await, set(&["b"]));
    kv.remove_member("s", "b").await.unwrap();
    assert!(members("s").await.is_empty());
}

pub async fn a_line_keeps_its_newest_members(kv: Arc<dyn Kv>) {
    let push_recent = async |member: &str| kv.push_recent("l", member, 2, LONG).await.unwrap();
    assert!(push_recent("a").await.is_empty());
    assert!(push_recent("b").await.is_empty());
    assert!(push_recent("a").await.is_empty(), "it is there once");
    assert_eq!(push_recent("c").await, ["b"], "the one that was the newest longest ago");
    kv.remove_recent("l", "a").await.unwrap();
    kv.remove_recent("l", "stranger").await.unwrap();
    kv.remove_recent("nowhere", "a").await.unwrap();
    assert!(push_recent("d").await.is_empty(), "there was room");
    assert_eq!(kv.push_recent("l", "e", 1, LONG).await.unwrap(), ["c", "d"]);
    kv.delete("l").await.unwrap();
    assert!(push_recent("a").await.is_empty());

    kv.push_recent("short", "a", 1, SHORT).await.unwrap();
    kv.set("witness", "", SHORT).await.unwrap();
    eventually("its time is over", async || kv.get("witness").await.unwrap().is_none()).await;
    assert!(
        kv.push_recent("short", "b", 1, LONG).await.unwrap().is_empty(),
        "a line expires"
    );
}

pub async fn of_many_in_a_line_at_once_each_leaves_once(kv: Arc<dyn Kv>) {
    let push_recent = |kv: Arc<dyn Kv>, n: usize| async move { kv.push_recent("l", &format!("m{n}"), 5, LONG).await.unwrap() };
    let left: Vec<String> = at_once(&kv, 40, 1, push_recent).await.concat();
    assert_eq!(left.len(), 35);
    assert_eq!(left.into_iter().collect::<BTreeSet<_>>().len(), 35);
}

pub async fn whatever_a_key_holds_can_be_deleted(kv: Arc<dyn Kv>) {
    kv.increment("counter", LONG).await.unwrap();
    kv.add_member("set", "a", LONG).await.unwrap();
    assert!(kv.once("nonce", LONG).await.unwrap());
    let quotas = [Quota {
        key: "quota".into(),
        limit: 1,
        period: LONG,
    }];
    assert_eq!(kv.take(&quotas).await.unwrap(), RateLimitDecision::Granted);
    kv.acquire("lease", "me", LONG).await.unwrap();
    for key in ["counter", "set", "nonce", &quotas[0].key, "lease"] {
        kv.delete(key).await.unwrap();
    }
    assert_eq!(kv.count("counter").await.unwrap().0, 0);
    assert!(kv.members("set").await.unwrap().is_empty());
    assert!(kv.once("nonce", LONG).await.unwrap());
    assert_eq!(kv.take(&quotas).await.unwrap(), RateLimitDecision::Granted);
    assert!(kv.acquire("lease", "you", LONG).await.unwrap().is_some());
}

pub async fn it_answers(kv: Arc<dyn Kv>) {
    kv.check().await.unwrap();
}
