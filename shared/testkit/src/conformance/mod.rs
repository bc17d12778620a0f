//! Conformance suites: the behaviour that every backend of a port must have. Each story is a function over the port and
//! never names a backend, so that the single process and the distributed deployment behave alike.

use std::time::{Duration, Instant};

use tokio::time::sleep;

pub mod bus;
pub mod kv;
pub mod messaging;
pub mod model;
pub mod speech;
pub mod transcription;
pub mod voice;
pub mod webhooks;

/// Makes one test of each story of a suite. The suites' own macros expand to it.
///
/// `conforms! { #[tokio::test] [bus::live], (bus, _guard) = open() => bus; story_one story_two }` makes tests that each
/// await `open()`, bind the result to the pattern, and await `conformance::bus::live::story_one(bus)`.
#[macro_export]
macro_rules! conforms {
    ($(#[$test:meta])+ $suite:tt, $opened:pat = $open:expr => $subject:expr; $($story:ident)*) => {
        $crate::conforms! { @each [$(#[$test])+] $suite ($opened = $open => $subject) $($story)* }
    };
    (@each $test:tt $suite:tt $setup:tt $($story:ident)*) => {
        $($crate::conforms! { @story $test $suite $setup $story })*
    };
    (
        @story [$($test:tt)+] [$($suite:ident)::+]
        ($opened:pat = $open:expr => $subject:expr) $story:ident
    ) => {
        $($test)+
        async fn $story() {
            let $opened = $open.await;
            $crate::conformance::$($suite::)+$story($subject).await;
        }
    };
}

/// Longer than any operation takes on a slow machine. A story that waits this long has failed.
const WAIT_LIMIT: Duration = Duration::from_secs(20);

/// Polls until the probe returns true.
async fn eventually(what: &str, probe: impl AsyncFn() -> bool) {
    let start = Instant::now();
    while !probe().await {
        assert!(start.elapsed() < WAIT_LIMIT, "never happened: {what}");
        sleep(Duration::from_millis(5)).await;
    }
}
