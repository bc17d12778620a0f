//! The stories of `ports::bus::Bus`. `bus_conformance!` makes a test of each for a backend; a new story goes into its list.

use std::time::Duration;

use butt_dial_domain::ports::bus::{Headers, Message};
use bytes::Bytes;
use futures::{StreamExt as _, stream::BoxStream};
use tokio::time::timeout;

use super::{PATIENCE, eventually};

pub mod answering;
pub mod appending;
mod durable;
pub mod live;
pub mod log;
pub mod reading;

/// `bus_conformance!(open)`, where `async fn open() -> (Arc<dyn Bus>, Guard)` gives an empty backend that lives as long
/// as the guard.
#[macro_export]
macro_rules! bus_conformance {
    ($open:ident) => {
        $crate::bus_conformance! { @each $open live:
            every_subscriber_gets_its_copy
            wildcards_match_as_in_nats
            messages_of_one_publisher_stay_in_order
            what_is_published_after_subscribing_is_seen
            a_group_shares_and_others_get_their_copy
            a_request_is_answered
            many_requests_at_once_get_their_own_answers
            a_request_to_a_group_is_answered_by_one
            that_nobody_answers_is_known_at_once
            silence_is_a_time_out
            a_slow_reader_loses_messages_and_stops_nobody
            any_bytes_pass
            what_cannot_be_sent_is_an_error_at_once
            it_answers
        }
        $crate::bus_conformance! { @each $open appending:
            messages_are_read_in_order_with_all_they_carry
            append_is_deduplicated
            an_id_is_forgotten_after_the_window
            ids_are_known_for_each_stream
            concurrent_appends_are_numbered_and_deduplicated
            creating_a_stream_again_changes_nothing
            other_settings_are_taken_over
            without_a_stream_nothing_is_appended_or_read
            old_messages_go
        }
        $crate::bus_conformance! { @each $open reading:
            a_filter_lets_only_its_own_through
            fetch_returns_at_once_with_what_there_is
            fetch_waits_and_returns_empty
            fetch_is_woken_by_an_append
            a_consumer_continues_where_it_stopped
            consumers_of_other_names_get_everything
            readers_of_one_name_share_the_work
        }
        $crate::bus_conformance! { @each $open answering:
            an_acknowledged_message_never_comes_again
            an_unanswered_message_comes_again
            a_rejected_message_comes_again_after_its_delay
            a_message_in_progress_stays_in_hand
            a_message_never_answered_becomes_a_dead_letter
            a_message_rejected_to_the_end_becomes_a_dead_letter
            a_message_can_be_dead_lettered_directly
            a_dead_letter_is_not_buried_twice
            burying_one_does_not_stop_the_others
        }
        $crate::bus_conformance! { @each $open log:
            a_log_is_read_from_its_beginning
            a_log_is_read_from_its_middle
            a_log_reader_sees_only_what_its_filter_lets_through
            many_others_do_not_hide_the_one_that_is_looked_for
            a_log_reader_gives_what_there_is_at_once_and_no_more_than_asked
            a_log_reader_waits_and_returns_empty
            a_log_reader_is_woken_by_an_append
            a_burst_is_read_completely_and_in_order
            order_holds_while_many_append
            two_log_readers_do_not_disturb_each_other
            a_log_reader_opened_at_a_position_continues_exactly_there
            a_read_that_is_given_up_skips_nothing
            what_is_too_old_is_not_read_and_not_waited_for
            a_log_that_cannot_be_the_one_is_an_error
            one_refused_append_harms_no_other
        }
    };
    (@each $open:ident $module:ident: $($story:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $story() {
                let (bus, _guard) = $open().await;
                $crate::conformance::bus::$module::$story(bus).await;
            }
        )*
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
    timeout(PATIENCE, messages.next())
        .await
        .expect("a message in time")
        .expect("the subscription lives")
}

fn text(payload: &Bytes) -> String {
    String::from_utf8(payload.to_vec()).expect("text")
}

/// Passes the time without guessing: what is waited for is that the clock has moved.
async fn pass(time: Duration) {
    let start = std::time::Instant::now();
    eventually("time passes", async || start.elapsed() > time).await;
}
