//! Stories of leases and their fences.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use butt_dial_domain::ports::kv::{Kv, Lease};

use super::{LONG, SHORT, at_once, eventually};

async fn acquired(kv: &dyn Kv, holder: &str, ttl: Duration) -> Option<Lease> {
    kv.acquire("lease", holder, ttl).await.unwrap()
}

pub async fn a_lease_has_one_holder(kv: Arc<dyn Kv>) {
    let mine = acquired(&*kv, "me", LONG).await.unwrap();
    assert_eq!((mine.key.as_str(), mine.holder.as_str()), ("lease", "me"));
    assert_eq!(acquired(&*kv, "you", LONG).await, None);
    assert_eq!(
        acquired(&*kv, "me", LONG).await,
        Some(mine.clone()),
        "ours already: the fence stays"
    );
    assert!(kv.renew(&mine, LONG).await.unwrap());

    let forged = Lease {
        holder: "you".into(),
        ..mine.clone()
    };
    assert!(!kv.renew(&forged, LONG).await.unwrap());
    kv.release(&forged).await.unwrap();
    assert_eq!(acquired(&*kv, "you", LONG).await, None);

    kv.release(&mine).await.unwrap();
    let yours = acquired(&*kv, "you", LONG).await.unwrap();
    assert!(yours.fence > mine.fence);
    assert!(
        !kv.renew(&mine, LONG).await.unwrap(),
        "what was released can't be renewed"
    );
    kv.release(&mine).await.unwrap();
    assert_eq!(
        acquired(&*kv, "me", LONG).await,
        None,
        "a former holder releases nothing"
    );
    assert!(kv.acquire("another", "me", LONG).await.unwrap().is_some());
}

pub async fn an_expired_lease_is_lost(kv: Arc<dyn Kv>) {
    let mine = acquired(&*kv, "me", SHORT).await.unwrap();
    eventually("the lease expires", async || {
        acquired(&*kv, "you", SHORT).await.is_some()
    })
    .await;
    assert!(!kv.renew(&mine, LONG).await.unwrap());
    eventually("the other's expires too", async || {
        acquired(&*kv, "me", SHORT).await.is_some()
    })
    .await;
    let mine_again = acquired(&*kv, "me", SHORT).await.unwrap();
    assert!(mine_again.fence > mine.fence, "same holder, new term");
    assert!(!kv.renew(&mine, LONG).await.unwrap(), "the old fence is worth nothing");

    kv.set("witness", "", SHORT).await.unwrap();
    eventually("that expires", async || kv.get("witness").await.unwrap().is_none()).await;
    assert!(
        !kv.renew(&mine_again, LONG).await.unwrap(),
        "lost even though nobody took it"
    );
}

pub async fn a_renewed_lease_lives_on(kv: Arc<dyn Kv>) {
    let mine = acquired(&*kv, "me", SHORT).await.unwrap();
    kv.set("witness", "", SHORT).await.unwrap();
    assert!(kv.renew(&mine, LONG).await.unwrap());
    eventually("the first term is over", async || {
        kv.get("witness").await.unwrap().is_none()
    })
    .await;
    assert_eq!(acquired(&*kv, "you", LONG).await, None);
}

pub async fn fences_only_grow(kv: Arc<dyn Kv>) {
    let mut last = 0;
    for round in 0..50 {
        let lease = acquired(&*kv, &format!("holder-{round}"), LONG).await.unwrap();
        assert!(lease.fence > last);
        last = lease.fence;
        if round % 2 == 0 {
            kv.release(&lease).await.unwrap();
        } else {
            kv.delete("lease").await.unwrap();
        }
    }
}

pub async fn of_concurrent_acquirers_one_wins(kv: Arc<dyn Kv>) {
    let leases = at_once(&kv, 16, 20, |kv, task| async move {
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

pub async fn a_lease_can_be_taken_from_its_holder(kv: Arc<dyn Kv>) {
    let mine = acquired(&*kv, "me", LONG).await.unwrap();
    let yours = kv.steal_lease("lease", "you", LONG).await.unwrap();
    assert_eq!((yours.key.as_str(), yours.holder.as_str()), ("lease", "you"));
    assert!(yours.fence > mine.fence);
    assert!(!kv.renew(&mine, LONG).await.unwrap(), "it is lost");
    kv.release(&mine).await.unwrap();
    assert_eq!(acquired(&*kv, "me", LONG).await, None);
    assert!(kv.renew(&yours, LONG).await.unwrap());
    let again = kv.steal_lease("lease", "you", LONG).await.unwrap();
    assert!(again.fence > yours.fence, "a new term even of the same holder");
    assert!(!kv.renew(&yours, LONG).await.unwrap());
    assert!(kv.steal_lease("free", "me", LONG).await.is_ok(), "a free one too");
}

pub async fn only_the_holder_sets_what_the_lease_guards(kv: Arc<dyn Kv>) {
    let mine = acquired(&*kv, "me", LONG).await.unwrap();
    assert!(kv.set_if_leased(&mine, "guarded", "mine", LONG).await.unwrap());
    let yours = kv.steal_lease("lease", "you", LONG).await.unwrap();
    assert!(!kv.set_if_leased(&mine, "guarded", "late", LONG).await.unwrap());
    assert_eq!(kv.get("guarded").await.unwrap().as_deref(), Some("mine"));
    assert!(kv.set_if_leased(&yours, "guarded", "yours", SHORT).await.unwrap());
    assert_eq!(kv.get("guarded").await.unwrap().as_deref(), Some("yours"));
    eventually("the value expires", async || kv.get("guarded").await.unwrap().is_none()).await;
}

pub async fn a_lease_that_was_lost_is_taken_again_by_its_last_holder_only(kv: Arc<dyn Kv>) {
    let mine = acquired(&*kv, "me", LONG).await.unwrap();
    assert!(kv.restore(&mine, LONG).await.unwrap(), "it was not lost");
    kv.delete("lease").await.unwrap();
    assert!(!kv.renew(&mine, LONG).await.unwrap());
    assert!(kv.restore(&mine, LONG).await.unwrap());
    assert!(kv.set_if_leased(&mine, "guarded", "mine", LONG).await.unwrap());
    assert_eq!(acquired(&*kv, "you", LONG).await, None);

    let yours = kv.steal_lease("lease", "you", LONG).await.unwrap();
    assert!(yours.fence > mine.fence);
    assert!(!kv.restore(&mine, LONG).await.unwrap(), "it is another's");
    kv.delete("lease").await.unwrap();
    assert!(!kv.restore(&mine, LONG).await.unwrap(), "it was another's last");
    assert!(kv.restore(&yours, LONG).await.unwrap());
    assert!(kv.set_if_leased(&yours, "guarded", "yours", LONG).await.unwrap());
    kv.release(&yours).await.unwrap();
    let again = acquired(&*kv, "me", LONG).await.unwrap();
    assert!(again.fence > yours.fence, "fences grow on from there");
}
