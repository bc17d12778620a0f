//! Stories of quotas.

use std::{sync::Arc, time::Duration};

use butt_dial_domain::ports::kv::{RateLimitDecision, Kv, Quota};
use tokio::time::Instant;

use super::{LONG, at_once, eventually};

fn quota(key: &str, limit: u32, period: Duration) -> Quota {
    Quota {
        key: format!("{{tenant}}:{key}"),
        limit,
        period,
    }
}

async fn granted(kv: &dyn Kv, quotas: &[Quota]) -> bool {
    kv.take(quotas).await.unwrap() == RateLimitDecision::Granted
}

/// Which quota denied, and for how long.
async fn denied(kv: &dyn Kv, quotas: &[Quota]) -> (usize, Duration) {
    match kv.take(quotas).await.unwrap() {
        RateLimitDecision::Denied {
            quota,
            retry_after,
            remaining,
        } => {
            assert_eq!(remaining, 0, "a quota that still holds one does not deny");
            (quota, retry_after)
        }
        RateLimitDecision::Granted => panic!("granted where it should be denied"),
    }
}

/// How many more can be taken, by taking them.
async fn drain(kv: &dyn Kv, quotas: &[Quota]) -> u32 {
    let mut count = 0;
    while granted(kv, quotas).await {
        count += 1;
    }
    count
}

pub async fn a_quota_admits_its_limit_and_says_when_the_next_is_free(kv: Arc<dyn Kv>) {
    let quotas = [quota("a", 3, LONG)];
    assert_eq!(drain(&*kv, &quotas).await, 3);
    let (index, retry_after) = denied(&*kv, &quotas).await;
    assert_eq!(index, 0);
    assert!(
        retry_after > Duration::from_secs(10) && retry_after <= Duration::from_secs(20),
        "{retry_after:?}"
    );
    assert!(
        granted(&*kv, &[quota("b", 3, LONG)]).await,
        "another key is another quota"
    );
    assert!(granted(&*kv, &[]).await, "no quota, no limit");
}

pub async fn a_quota_drains_evenly(kv: Arc<dyn Kv>) {
    let quotas = [quota("a", 4, Duration::from_secs(2))];
    let start = Instant::now();
    assert_eq!(drain(&*kv, &quotas).await, 4);
    let (_, retry_after) = denied(&*kv, &quotas).await;
    assert!(
        retry_after <= Duration::from_millis(500),
        "one is free after a quarter: {retry_after:?}"
    );
    eventually("one is free again", async || granted(&*kv, &quotas).await).await;
    assert!(start.elapsed() >= Duration::from_millis(500));
    denied(&*kv, &quotas).await;
}

pub async fn quotas_are_taken_together_or_not_at_all(kv: Arc<dyn Kv>) {
    let (wide, narrow) = (quota("wide", 10, LONG), quota("narrow", 1, LONG));
    assert!(granted(&*kv, &[wide.clone(), narrow.clone()]).await);
    for _ in 0..20 {
        assert_eq!(denied(&*kv, &[wide.clone(), narrow.clone()]).await.0, 1);
        assert_eq!(denied(&*kv, &[narrow.clone(), wide.clone()]).await.0, 0);
    }
    assert_eq!(drain(&*kv, &[wide]).await, 9);
}

pub async fn the_quota_that_is_free_last_is_named(kv: Arc<dyn Kv>) {
    let (sooner, later) = (quota("sooner", 1, LONG), quota("later", 1, 10 * LONG));
    assert!(granted(&*kv, &[sooner.clone(), later.clone()]).await);
    let (index, retry_after) = denied(&*kv, &[sooner.clone(), later.clone()]).await;
    assert_eq!(index, 1);
    assert!(retry_after > LONG);
    assert_eq!(denied(&*kv, &[later, sooner]).await.0, 0);
}

pub async fn what_is_given_back_can_be_taken_again(kv: Arc<dyn Kv>) {
    let both = [quota("a", 2, LONG), quota("b", 5, LONG)];
    assert_eq!(drain(&*kv, &both).await, 2);
    kv.give_back(&both).await.unwrap();
    assert!(granted(&*kv, &both).await);
    denied(&*kv, &both).await;
    assert_eq!(drain(&*kv, &both[1..]).await, 3);
}

pub async fn giving_back_never_makes_more_than_the_limit(kv: Arc<dyn Kv>) {
    let quotas = [quota("a", 2, LONG)];
    for _ in 0..3 {
        kv.give_back(&quotas).await.unwrap();
    }
    assert!(granted(&*kv, &quotas).await);
    for _ in 0..3 {
        kv.give_back(&quotas).await.unwrap();
    }
    assert_eq!(drain(&*kv, &quotas).await, 2);
}

pub async fn concurrent_takes_never_exceed_the_limit(kv: Arc<dyn Kv>) {
    let results = at_once(&kv, 8, 400, |kv, _| async move {
        granted(&*kv, &[quota("a", 50, Duration::from_secs(86_400))]).await
    })
    .await;
    assert_eq!(results.len(), 3_200);
    assert_eq!(results.into_iter().filter(|granted| *granted).count(), 50);
}

pub async fn concurrent_takes_of_two_quotas_leave_no_trace_of_the_denied(kv: Arc<dyn Kv>) {
    let day = Duration::from_secs(86_400);
    let results = at_once(&kv, 8, 50, |kv, _| async move {
        let day = Duration::from_secs(86_400);
        granted(&*kv, &[quota("wide", 100, day), quota("narrow", 30, day)]).await
    })
    .await;
    assert_eq!(results.into_iter().filter(|granted| *granted).count(), 30);
    assert_eq!(drain(&*kv, &[quota("wide", 100, day)]).await, 70);
}

pub async fn a_limit_of_zero_admits_nobody(kv: Arc<dyn Kv>) {
    let nothing = [quota("a", 0, LONG)];
    denied(&*kv, &nothing).await;
    kv.give_back(&nothing).await.unwrap();
    denied(&*kv, &nothing).await;
}
