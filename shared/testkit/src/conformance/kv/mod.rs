//! The conformance suite of `ports::kv::Kv`. `kv_conformance!` makes a test of each story for a backend; a new story goes
//! into its list.

use std::{future::Future, sync::Arc, time::Duration};

use butt_dial_domain::ports::kv::Kv;
use tokio::task::JoinSet;

use super::eventually;

pub mod leases;
pub mod limits;
pub mod values;

const SHORT: Duration = Duration::from_millis(150);
const LONG: Duration = Duration::from_secs(60);

/// `kv_conformance!(open)`, where `async fn open() -> (Arc<dyn Kv>, Guard)` returns an empty backend that lives as long
/// as the guard.
#[macro_export]
macro_rules! kv_conformance {
    ($open:ident) => {
        $crate::conforms! {
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            [kv::limits], (kv, _guard) = $open() => kv;
            grants_up_to_limit_and_returns_retry_after
            refills_quota_evenly
            takes_all_quotas_or_none
            names_quota_with_longest_wait
            returned_units_can_be_taken_again
            takes_and_returns_several_units
            give_back_never_exceeds_limit
            concurrent_takes_never_exceed_limit
            denied_takes_consume_nothing
            zero_limit_denies_everything
        }
        $crate::conforms! {
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            [kv::values], (kv, _guard) = $open() => kv;
            counts_within_time_to_live
            counts_concurrent_increments
            keeps_value_until_deleted_or_expired
            set_replaces_value_and_time_to_live
            stores_any_text_unchanged
            get_many_returns_values_in_key_order
            accepts_nonce_once
            accepts_one_of_concurrent_nonces
            keeps_set_members_while_renewed
            keeps_most_recent_members
            evicts_each_recent_member_once
            deletes_keys_of_every_kind
            passes_check
        }
        $crate::conforms! {
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            [kv::leases], (kv, _guard) = $open() => kv;
            lease_has_one_holder
            loses_expired_lease
            keeps_renewed_lease
            fences_only_grow
            grants_lease_to_one_of_many
            steals_held_lease
            writes_only_while_lease_is_held
            restores_lost_lease_for_last_holder_only
        }
    };
}

/// Runs `act` in `tasks` concurrent tasks, `times` in each, and collects the results.
async fn concurrently<T, F>(kv: &Arc<dyn Kv>, tasks: usize, times: usize, act: fn(Arc<dyn Kv>, usize) -> F) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let mut set = JoinSet::new();
    for task in 0..tasks {
        let kv = kv.clone();
        set.spawn(async move {
            let mut results = Vec::new();
            for _ in 0..times {
                results.push(act(kv.clone(), task).await);
            }
            results
        });
    }
    set.join_all().await.into_iter().flatten().collect()
}
