//! Stories of leases and their fences.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use butt_dial_domain::ports::kv::{Kv, Lease};

use super::{LONG, SHORT, concurrently, eventually};

async fn acquire(kv: &dyn Kv, holder: &str, ttl: Duration) -> Option<Lease> {
    kv.acquire("lease", holder, ttl).await.unwrap()
}

pub async fn lease_has_one_holder(kv: Arc<dyn Kv>) {
    let mine = acquire(&*kv, "me", LONG).await.unwrap();
    assert_eq!((mine.key.as_str(), mine.holder.as_str()), ("lease", "me"));
    assert_eq!(acquire(&*kv, "you", LONG).await, None);
    assert_eq!(
        acquire(&*kv, "me", LONG).await,
        Some(mine.clone()),
        "the holder keeps its fence"
    );
    assert!(kv.renew(&mine, LONG).await.unwrap());

    let forged = Lease {
        holder: "you".into(),
        ..mine.clone()
    };
    assert!(!kv.renew(&forged, LONG).await.unwrap());
    kv.release(&forged).await.unwrap();
    assert_eq!(acquire(&*kv, "you", LONG).await, None);

    kv.release(&mine).await.unwrap();
    let yours = acquire(&*kv, "you", LONG).await.unwrap();
    assert!(yours.fence > mine.fence);
    assert!(
        !kv.renew(&mine, LONG).await.unwrap(),
        "a released lease can't be renewed"
    );
    kv.release(&mine).await.unwrap();
    assert_eq!(
        acquire(&*kv, "me", LONG).await,
        None,
        "a former holder can't release it"
    );
    assert!(kv.acquire("another", "me", LONG).await.unwrap().is_some());
}

pub async fn loses_expired_lease(kv: Arc<dyn Kv>) {
    let mine = acquire(&*kv, "me", SHORT).await.unwrap();
    eventually("the lease expires", async || {
        acquire(&*kv, "you", SHORT).await.is_some()
    })
    .await;
    assert!(!kv.renew(&mine, LONG).await.unwrap());
    eventually("the other lease expires", async || {
        acquire(&*kv, "me", SHORT).await.is_some()
    })
    .await;
    let mine_again = acquire(&*kv, "me", SHORT).await.unwrap();
    assert!(mine_again.fence > mine.fence, "a new fence for the same holder");
    assert!(!kv.renew(&mine, LONG).await.unwrap(), "the old fence is invalid");

    kv.set("witness", "", SHORT).await.unwrap();
    eventually("the time to live is over", async || {
        kv.get("witness").await.unwrap().is_none()
    })
    .await;
    assert!(
        !kv.renew(&mine_again, LONG).await.unwrap(),
        "an expired lease is lost without a new holder"
    );
}

pub async fn keeps_renewed_lease(kv: Arc<dyn Kv>) {
    let mine = acquire(&*kv, "me", SHORT).await.unwrap();
    kv.set("witness", "", SHORT).await.unwrap();
    assert!(kv.renew(&mine, LONG).await.unwrap());
    eventually("the first time to live is over", async || {
        kv.get("witness").await.unwrap().is_none()
    })
    .await;
    assert_eq!(acquire(&*kv, "you", LONG).await, None);
}

pub async fn fences_only_grow(kv: Arc<dyn Kv>) {
    let mut last = 0;
    for round in 0..50 {
        let lease = acquire(&*kv, &format!("holder-{round}"), LONG).await.unwrap();
        assert!(lease.fence > last);
        last = lease.fence;
        if round % 2 == 0 {
            kv.release(&lease).await.unwrap();
        } else {
            kv.delete("lease").await.unwrap();
        }
    }
}

pub async fn grants_lease_to_one_of_many(kv: Arc<dyn Kv>) {
    let leases = concurrently(&kv, 16, 20, |kv, task| async move {
        kv.acquire("lease", &format!("holder-{task}"), LONG).await.unwrap()
    })
    .await;
    let winners: BTreeSet<_> = leases
        .into_iter()
        .flatten()
        .map(|lease| (lease.holder, lease.fence))
        .collect();
    assert_eq!(winners.len(), 1);
}

pub async fn steals_held_lease(kv: Arc<dyn Kv>) {
    let mine = acquire(&*kv, "me", LONG).await.unwrap();
    let yours = kv.steal_lease("lease", "you", LONG).await.unwrap();
    assert_eq!((yours.key.as_str(), yours.holder.as_str()), ("lease", "you"));
    assert!(yours.fence > mine.fence);
    assert!(!kv.renew(&mine, LONG).await.unwrap(), "the stolen lease is lost");
    kv.release(&mine).await.unwrap();
    assert_eq!(acquire(&*kv, "me", LONG).await, None);
    assert!(kv.renew(&yours, LONG).await.unwrap());
    let again = kv.steal_lease("lease", "you", LONG).await.unwrap();
    assert!(again.fence > yours.fence, "a new fence for the same holder");
    assert!(!kv.renew(&yours, LONG).await.unwrap());
    assert!(kv.steal_lease("free", "me", LONG).await.is_ok(), "a free lease too");
}

pub async fn writes_only_while_lease_is_held(kv: Arc<dyn Kv>) {
    let mine = acquire(&*kv, "me", LONG).await.unwrap();
    assert!(kv.set_if_leased(&mine, "{lease}:guarded", "mine", LONG).await.unwrap());
    let yours = kv.steal_lease("lease", "you", LONG).await.unwrap();
    assert!(!kv.set_if_leased(&mine, "{lease}:guarded", "late", LONG).await.unwrap());
    assert_eq!(kv.get("{lease}:guarded").await.unwrap().as_deref(), Some("mine"));
    assert!(
        kv.set_if_leased(&yours, "{lease}:guarded", "yours", SHORT)
            .await
            .unwrap()
    );
    assert_eq!(kv.get("{lease}:guarded").await.unwrap().as_deref(), Some("yours"));
    eventually("the value expires", async || {
        kv.get("{lease}:guarded").await.unwrap().is_none()
    })
    .await;
}

pub async fn restores_lost_lease_for_last_holder_only(kv: Arc<dyn Kv>) {
    let mine = acquire(&*kv, "me", LONG).await.unwrap();
    assert!(kv.restore(&mine, LONG).await.unwrap(), "a held lease");
    kv.delete("lease").await.unwrap();
    assert!(!kv.renew(&mine, LONG).await.unwrap());
    assert!(kv.restore(&mine, LONG).await.unwrap());
    assert!(kv.set_if_leased(&mine, "{lease}:guarded", "mine", LONG).await.unwrap());
    assert_eq!(acquire(&*kv, "you", LONG).await, None);

    let yours = kv.steal_lease("lease", "you", LONG).await.unwrap();
    assert!(yours.fence > mine.fence);
    assert!(!kv.restore(&mine, LONG).await.unwrap(), "another holder has it");
    kv.delete("lease").await.unwrap();
    assert!(!kv.restore(&mine, LONG).await.unwrap(), "another holder had it last");
    assert!(kv.restore(&yours, LONG).await.unwrap());
    assert!(
        kv.set_if_leased(&yours, "{lease}:guarded", "yours", LONG)
            .await
            .unwrap()
    );
    kv.release(&yours).await.unwrap();
    let again = acquire(&*kv, "me", LONG).await.unwrap();
    assert!(again.fence > yours.fence, "fences keep growing");
}
