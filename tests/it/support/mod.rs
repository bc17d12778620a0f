//! The language that the stories are told in: worlds to play in, agents who send, programs to kill. Waits for events,
//! never for time.

mod account;
mod agent;
mod backends;
mod collector;
mod crowd;
mod dice;
mod events;
mod fleet;
mod front;
mod gate;
mod gateways;
mod host;
mod legacy;
mod messages;
mod people;
mod program;
mod round_robin;
mod session;
mod signatures;
mod sse;
mod stage;
mod telephone;
mod webhooks;
mod world;

use std::time::{Duration, Instant};

pub use account::Account;
pub use agent::{Agent, Transport, code};
pub use backends::Backends;
pub use collector::Collector;
pub use crowd::{Crowd, Heard, Letter, expect_once_and_in_order, first_times, is_all_there};
pub use dice::Dice;
pub use events::EventStream;
pub use fleet::{Fleet, Service};
pub use front::Front;
pub use gate::Gate;
pub use gateways::{Gateways, Reply, Replying};
pub use host::{Call, Host};
pub use legacy::LegacySession;
pub use messages::{email, sms, whatsapp, with};
pub use people::{bodies, listen};
pub use program::{Program, run_program};
pub use session::{HttpSession, answer};
pub use signatures::{expect_not_signed, expect_signed};
pub use stage::Stage;
pub use telephone::{expect_once, hears, next, says, sees};
pub use webhooks::{Webhook, mail_event, sid, twilio_signature};
pub use world::{World, start_simulator};

/// Nobody who calls may wait longer than this for an answer, whatever is broken.
pub const PATIENCE: Duration = Duration::from_secs(10);
/// For what happens by itself after a while.
const EVENTUALLY: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(20);

/// Looks again and again until there is something to see.
pub async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(seen) = look().await {
            return seen;
        }
        assert!(begun.elapsed() < EVENTUALLY, "it never happened: {what}");
        tokio::time::sleep(PAUSE).await; // not a synchronisation: the pause between two looks
    }
}

/// Fails when an answer takes longer than anybody should have to wait.
pub async fn in_time<T>(what: &str, work: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, work).await {
        Ok(done) => done,
        Err(_) => panic!("no answer within {PATIENCE:?}: {what}"),
    }
}

/// Tells one story in two worlds: in one process with everything embedded, and on two gateways that share real servers,
/// where each request of a client reaches the other gateway than the one before.
macro_rules! profiles {
    ($(#[$doc:meta])* async fn $name:ident($world:ident: &World) $story:block) => {
        profiles! { with []; $(#[$doc])* async fn $name($world: &World) $story }
    };
    (with [$($settings:expr),* $(,)?]; $(#[$doc:meta])* async fn $name:ident($world:ident: &World) $story:block) => {
        $(#[$doc])*
        mod $name {
            use super::*;

            async fn story($world: &$crate::support::World) $story

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn embedded() {
                let world = $crate::support::World::embedded(&[$($settings),*]).await;
                story(&world).await;
                world.end().await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn servers() {
                let world = $crate::support::World::servers(&[$($settings),*]).await;
                story(&world).await;
                world.end().await;
            }
        }
    };
}
