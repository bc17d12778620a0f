//! The stories of `ports::kv::Kv`. `kv_conformance!` makes a test of each for a backend; a new story goes into its list.

use std::{future::Future, sync::Arc, time::Duration};

use butt_dial_domain::ports::kv::Kv;
use tokio::task::JoinSet;

use super::eventually;

pub mod leases;
pub mod limits;
pub mod values;

const SHORT: Duration = Duration::from_millis(150);
const LONG: Duration = Duration::from_secs(60);

/// `kv_conformance!(open)`, where `async fn open() -> (Arc<dyn Kv>, Guard)` gives an empty backend that lives as long
/// as the guard.
#[macro_export]
macro_rules! kv_conformance {
    ($open:ident) => {
        $crate::kv_conformance! { @each $open limits:
            a_quota_admits_its_limit_and_says_when_the_next_is_free
            a_quota_drains_evenly
            quotas_are_taken_together_or_not_at_all
            the_quota_that_is_free_last_is_named
            what_is_given_back_can_be_taken_again
            giving_back_never_makes_more_than_the_limit
            concurrent_takes_never_exceed_the_limit
            concurrent_takes_of_two_quotas_leave_no_trace_of_the_denied
            a_limit_of_zero_admits_nobody
        }
        $crate::kv_conformance! { @each $open values:
            a_counter_counts_within_its_time_to_live
            concurrent_increments_are_all_counted
            a_value_is_kept_until_deleted_or_expired
            setting_again_replaces_value_and_time_to_live
            any_text_is_kept_as_it_is
            many_values_come_in_the_order_of_their_keys
            a_nonce_is_new_once
            of_concurrent_uses_of_a_nonce_one_is_first
            a_set_keeps_its_members_while_it_is_renewed
            a_line_keeps_its_newest_members
            of_many_in_a_line_at_once_each_leaves_once
            whatever_a_key_holds_can_be_deleted
            it_answers
        }
        $crate::kv_conformance! { @each $open leases:
            a_lease_has_one_holder
            an_expired_lease_is_lost
            a_renewed_lease_lives_on
            fences_only_grow
            of_concurrent_acquirers_one_wins
            a_lease_can_be_taken_from_its_holder
            only_the_holder_sets_what_the_lease_guards
            a_lease_that_was_lost_is_taken_again_by_its_last_holder_only
        }
    };
    (@each $open:ident $module:ident: $($story:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $story() {
                let (kv, _guard) = $open().await;
                $crate::conformance::kv::$module::$story(kv).await;
            }
        )*
    };
}

/// Runs `tasks` of them at once, each `times` over, and collects what they return.
async fn at_once<T, F>(kv: &Arc<dyn Kv>, tasks: usize, times: usize, act: fn(Arc<dyn Kv>, usize) -> F) -> Vec<T>
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
