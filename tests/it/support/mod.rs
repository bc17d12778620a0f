//! The vocabulary of the integration tests: clusters to run, agents that send, programs to kill. Waits for events, never
//! for a fixed time.

mod account;
mod agent;
mod backends;
mod call_helpers;
mod callback_host;
mod carrier_socket;
mod cluster;
mod context;
mod event_stream;
mod gateways;
mod http_session;
mod inbound_messages;
mod legacy_session;
mod legacy_sse;
mod load;
mod load_balancer;
mod message_builders;
mod otlp_collector;
mod process_cluster;
mod program;
mod restricted;
mod round_robin;
mod seeded_rng;
mod signatures;
mod webhooks;
mod write_barrier;

use std::time::{Duration, Instant};

pub use account::{Account, setup};
pub use agent::{Agent, Transport, error_code};
pub use backends::Backends;
pub use call_helpers::{expect_carrier_action, expect_heard_once, hears, next_turn, says};
pub use callback_host::{Callback, CallbackHost};
pub use carrier_socket::{
    RungCall, Socket, expect_close, next_frame_of, next_speech, open_conversation, open_socket, report_hang_up,
    ring_by_hand, send_frame, setup_frame, start_conversation,
};
pub use cluster::{Cluster, start_simulator, to_settings, with_defaults, with_setting};
pub use context::TestContext;
pub use event_stream::EventStream;
pub use gateways::{Gateways, Reply, RequestExt};
pub use http_session::{HttpSession, jsonrpc_response};
pub use inbound_messages::{bodies, poll_messages};
pub use legacy_session::LegacySession;
pub use load::{LoadGenerator, ReceivedMessage, SentMessage, deduplicate, expect_exactly_once_in_order, received_all};
pub use load_balancer::LoadBalancer;
pub use message_builders::{email, sms, whatsapp, with};
pub use otlp_collector::{OtlpCollector, attribute};
pub use process_cluster::{ProcessCluster, Service};
pub use program::{Program, program_command, run_program};
pub use restricted::expect_not_granted;
pub use seeded_rng::SeededRng;
pub use signatures::{expect_butt_dial_signature, expect_not_signed, expect_signed, expect_standard_signature};
pub use webhooks::{Webhook, mail_event, message_sid, twilio_signature};
pub use write_barrier::WriteBarrier;

/// Longest wait for an answer or for the next step, whatever is broken.
pub const WAIT_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest wait for an effect that follows in the background.
const EVENTUAL_TIMEOUT: Duration = Duration::from_secs(20);
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Polls until there is a value. Fails after 20 seconds.
pub async fn eventually<T>(what: &str, mut poll: impl AsyncFnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(value) = poll().await {
            return value;
        }
        assert!(started.elapsed() < EVENTUAL_TIMEOUT, "timed out: {what}");
        tokio::time::sleep(POLL_INTERVAL).await; // not a synchronisation: the pause between two polls
    }
}

/// Fails when the future takes longer than `WAIT_TIMEOUT`.
pub async fn within_timeout<T>(what: &str, work: impl Future<Output = T>) -> T {
    match tokio::time::timeout(WAIT_TIMEOUT, work).await {
        Ok(done) => done,
        Err(_) => panic!("no answer within {WAIT_TIMEOUT:?}: {what}"),
    }
}

/// Runs one scenario twice: in one process with everything embedded, and on two gateways with real servers, where each
/// request of a client reaches the other gateway than the request before.
macro_rules! profiles {
    ($(#[$doc:meta])* async fn $name:ident($cluster:ident: &Cluster) $scenario:block) => {
        profiles! { with []; $(#[$doc])* async fn $name($cluster: &Cluster) $scenario }
    };
    (
        with [$($settings:expr),* $(,)?];
        $(#[$doc:meta])* async fn $name:ident($cluster:ident: &Cluster) $scenario:block
    ) => {
        $(#[$doc])*
        mod $name {
            use super::*;

            async fn scenario($cluster: &$crate::support::Cluster) $scenario

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn embedded() {
                let cluster = $crate::support::Cluster::embedded(&[$($settings),*]).await;
                scenario(&cluster).await;
                cluster.shut_down().await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn servers() {
                let cluster = $crate::support::Cluster::servers(&[$($settings),*]).await;
                scenario(&cluster).await;
                cluster.shut_down().await;
            }
        }
    };
}
