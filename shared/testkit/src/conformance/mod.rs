//! What every backend of a port must do, told as one story a function. They know the port only, never a backend, so
//! that the in-process and the distributed program behave alike.

use std::time::{Duration, Instant};

use tokio::time::sleep;

pub mod bus;
pub mod kv;
pub mod messaging;
pub mod model;
pub mod speech;
pub mod voice;
pub mod webhooks;

/// Longer than anything takes on a slow machine; a story that waits so long has failed.
const PATIENCE: Duration = Duration::from_secs(20);

/// Asks until the answer is yes.
async fn eventually(what: &str, probe: impl AsyncFn() -> bool) {
    let start = Instant::now();
    while !probe().await {
        assert!(start.elapsed() < PATIENCE, "never happened: {what}");
        sleep(Duration::from_millis(5)).await;
    }
}
