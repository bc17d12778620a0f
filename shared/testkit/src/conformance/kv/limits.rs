//! Stories of rate limits.

use std::{sync::Arc, time::Duration};

use butt_dial_domain::ports::kv::{Kv, Quota, RateLimitDecision};
use tokio::time::Instant;

use super::{LONG, concurrently, eventually};

fn quota(key: &str, limit: u32, period: Duration) -> Quota {
    Quota {
        key: format!("{{tenant}}:{key}"),
        limit,
        period,
        units: 1,
    }
}

async fn granted(kv: &dyn Kv, quotas: &[Quota]) -> bool {
    kv.take(quotas).await.unwrap() == RateLimitDecision::Granted
}

/// Returns the index of the quota that denied, and the wait.
async fn denied(kv: &dyn Kv, quotas: &[Quota]) -> (usize, Duration) {
    match kv.take(quotas).await.unwrap() {
        RateLimitDecision::Denied {
            quota,
            retry_after,
            remaining,
        } => {
            assert_eq!(remaining, 0, "a quota with a unit left does not deny");
            (quota, retry_after)
        }
        RateLimitDecision::Granted => panic!("granted instead of denied"),
    }
}

/// Takes until a denial and returns the number of units taken.
async fn drain(kv: &dyn Kv, quotas: &[Quota]) -> u32 {
    let mut count = 0;
    while granted(kv, quotas).await {
        count += 1;
    }
    count
}

pub async fn grants_up_to_limit_and_returns_retry_after(kv: Arc<dyn Kv>) {
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
        "quotas of other keys are independent"
    );
    assert!(granted(&*kv, &[]).await, "no quota means no limit");
}

pub async fn refills_quota_evenly(kv: Arc<dyn Kv>) {
    let quotas = [quota("a", 4, Duration::from_secs(2))];
    let start = Instant::now();
    assert_eq!(drain(&*kv, &quotas).await, 4);
    let (_, retry_after) = denied(&*kv, &quotas).await;
    assert!(
        retry_after <= Duration::from_millis(500),
        "one unit is refilled in a quarter of the period: {retry_after:?}"
    );
    eventually("a unit is refilled", async || granted(&*kv, &quotas).await).await;
    assert!(start.elapsed() >= Duration::from_millis(500));
    denied(&*kv, &quotas).await;
}

pub async fn takes_all_quotas_or_none(kv: Arc<dyn Kv>) {
    let (wide, narrow) = (quota("wide", 10, LONG), quota("narrow", 1, LONG));
    assert!(granted(&*kv, &[wide.clone(), narrow.clone()]).await);
    for _ in 0..20 {
        assert_eq!(denied(&*kv, &[wide.clone(), narrow.clone()]).await.0, 1);
        assert_eq!(denied(&*kv, &[narrow.clone(), wide.clone()]).await.0, 0);
    }
    assert_eq!(drain(&*kv, &[wide]).await, 9);
}

pub async fn names_quota_with_longest_wait(kv: Arc<dyn Kv>) {
    let (sooner, later) = (quota("sooner", 1, LONG), quota("later", 1, 10 * LONG));
    assert!(granted(&*kv, &[sooner.clone(), later.clone()]).await);
    let (index, retry_after) = denied(&*kv, &[sooner.clone(), later.clone()]).await;
    assert_eq!(index, 1);
    assert!(retry_after > LONG);
    assert_eq!(denied(&*kv, &[later, sooner]).await.0, 0);
}

pub async fn returned_units_can_be_taken_again(kv: Arc<dyn Kv>) {
    let both = [quota("a", 2, LONG), quota("b", 5, LONG)];
    assert_eq!(drain(&*kv, &both).await, 2);
    kv.give_back(&both).await.unwrap();
    assert!(granted(&*kv, &both).await);
    denied(&*kv, &both).await;
    assert_eq!(drain(&*kv, &both[1..]).await, 3);
}

pub async fn takes_and_returns_several_units(kv: Arc<dyn Kv>) {
    let several = [Quota {
        units: 3,
        ..quota("a", 5, LONG)
    }];
    assert!(granted(&*kv, &several).await);
    let RateLimitDecision::Denied {
        remaining, retry_after, ..
    } = kv.take(&several).await.unwrap()
    else {
        panic!("granted more than the limit");
    };
    assert_eq!(remaining, 2);
    assert!(
        retry_after > Duration::from_secs(10) && retry_after <= LONG / 5,
        "{retry_after:?}"
    );
    kv.give_back(&several).await.unwrap();
    assert!(granted(&*kv, &several).await);
    assert_eq!(drain(&*kv, &[quota("a", 5, LONG)]).await, 2);
}

pub async fn give_back_never_exceeds_limit(kv: Arc<dyn Kv>) {
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

pub async fn concurrent_takes_never_exceed_limit(kv: Arc<dyn Kv>) {
    let results = concurrently(&kv, 8, 400, |kv, _| async move {
        granted(&*kv, &[quota("a", 50, Duration::from_secs(86_400))]).await
    })
    .await;
    assert_eq!(results.len(), 3_200);
    assert_eq!(results.into_iter().filter(|granted| *granted).count(), 50);
}

pub async fn denied_takes_consume_nothing(kv: Arc<dyn Kv>) {
    let day = Duration::from_secs(86_400);
    let results = concurrently(&kv, 8, 50, |kv, _| async move {
        let day = Duration::from_secs(86_400);
        granted(&*kv, &[quota("wide", 100, day), quota("narrow", 30, day)]).await
    })
    .await;
    assert_eq!(results.into_iter().filter(|granted| *granted).count(), 30);
    assert_eq!(drain(&*kv, &[quota("wide", 100, day)]).await, 70);
}

pub async fn zero_limit_denies_everything(kv: Arc<dyn Kv>) {
    let nothing = [quota("a", 0, LONG)];
    denied(&*kv, &nothing).await;
    kv.give_back(&nothing).await.unwrap();
    denied(&*kv, &nothing).await;
}
