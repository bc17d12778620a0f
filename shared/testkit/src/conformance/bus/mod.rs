//! The conformance suite of `ports::bus::Bus`. `bus_conformance!` makes a test of each story for a backend; a new story
//! goes into its list.

use std::time::Duration;

use butt_dial_domain::ports::bus::{Headers, Message};
use bytes::Bytes;
use futures::{StreamExt as _, stream::BoxStream};
use tokio::time::timeout;

use super::{WAIT_LIMIT, eventually};

pub mod appending;
mod durable;
pub mod live;
pub mod log;

/// `bus_conformance!(open)`, where `async fn open() -> (Arc<dyn Bus>, Guard)` returns an empty backend that lives as
/// long as the guard.
#[macro_export]
macro_rules! bus_conformance {
    ($open:ident) => {
        $crate::conforms! {
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            [bus::live], (bus, _guard) = $open() => bus;
            delivers_copy_to_every_subscriber
            matches_wildcards_like_nats
            keeps_order_of_one_publisher
            delivers_messages_published_after_subscribe
            shares_messages_within_group_only
            replies_to_request
            routes_replies_of_concurrent_requests
            sends_request_to_one_group_member
            reports_missing_responder_at_once
            times_out_without_reply
            drops_messages_of_slow_subscriber_only
            passes_any_payload
            rejects_invalid_messages_at_once
            passes_check
        }
        $crate::conforms! {
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            [bus::appending], (bus, _guard) = $open() => bus;
            reads_messages_in_order_with_headers
            deduplicates_appends_by_id
            accepts_id_again_after_window
            deduplicates_per_stream
            numbers_concurrent_appends
            create_stream_is_idempotent
            create_stream_updates_settings
            fails_without_stream
            deletes_expired_messages
            rejected_append_does_not_affect_others
        }
        $crate::conforms! {
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            [bus::log], (bus, _guard) = $open() => bus;
            reads_log_from_beginning
            reads_log_from_position
            filters_log_by_subject
            counts_unread_entries
            finds_last_entry_of_subject
            finds_match_behind_many_other_entries
            returns_available_entries_at_once_up_to_max
            returns_empty_after_wait
            wakes_reader_on_append
            reads_burst_completely_in_order
            keeps_order_during_concurrent_appends
            isolates_two_readers
            resumes_exactly_at_position
            cancelled_read_skips_nothing
            skips_expired_entries_without_waiting
            rejects_missing_or_shorter_stream
        }
    };
}

fn no_headers() -> Headers {
    Headers::new()
}

fn headers(pairs: &[(&str, &str)]) -> Headers {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

async fn next(messages: &mut BoxStream<'static, Message>) -> Message {
    timeout(WAIT_LIMIT, messages.next())
        .await
        .expect("a message in time")
        .expect("an open subscription")
}

fn text(payload: &Bytes) -> String {
    String::from_utf8(payload.to_vec()).expect("text")
}

/// Waits until the clock has moved by `time`.
async fn pass(time: Duration) {
    let start = std::time::Instant::now();
    eventually("time passes", async || start.elapsed() > time).await;
}
