//! Persists the state of one call: one write at a time, each with all changes since the previous one, and none after another
//! relay owns the call.

use std::{sync::Arc, time::Duration};

use butt_dial_calls::{
    Calls,
    ownership::{self, CallLease},
    state::CallState,
};
use butt_dial_domain::ports::kv::KvError;
use futures::{
    FutureExt,
    future::{BoxFuture, pending},
};
use tokio::time::{sleep, timeout};

/// Pause before a failed write is repeated.
const RETRY_PAUSE: Duration = Duration::from_millis(250);
/// Time for the last write of a session.
const LAST_WRITE_TIMEOUT: Duration = Duration::from_secs(5);

/// Another relay owns the call.
#[derive(Debug)]
pub struct LeaseLost;

type Write = BoxFuture<'static, Result<bool, KvError>>;

pub struct Persistence {
    calls: Arc<Calls>,
    lease: CallLease,
    write: Option<Write>,
    is_dirty: bool,
}

impl Persistence {
    pub fn new(calls: Arc<Calls>, lease: CallLease) -> Self {
        Self {
            calls,
            lease,
            write: None,
            is_dirty: false,
        }
    }

    pub fn epoch(&self) -> u64 {
        self.lease.epoch()
    }

    /// The state has changed since the last write.
    pub fn mark_dirty(&mut self) {
        self.is_dirty = true;
    }

    /// Starts a write, if the state has changed and no other write is in progress.
    pub fn start_write(&mut self, state: &CallState) {
        if self.is_dirty && self.write.is_none() {
            self.is_dirty = false;
            self.write = Some(self.write(state));
        }
    }

    /// Waits for the write in progress. Can be cancelled without loss.
    pub async fn written(&mut self) -> Result<bool, KvError> {
        let Some(write) = &mut self.write else {
            return pending().await;
        };
        let result = write.await;
        self.write = None;
        result
    }

    /// Handles the result of a write. A failed write is repeated with the current state.
    pub fn on_written(&mut self, result: Result<bool, KvError>, state: &CallState) -> Result<(), LeaseLost> {
        match result {
            Ok(true) => Ok(()),
            Ok(false) => Err(LeaseLost),
            Err(error) => {
                tracing::warn!(%error, call = %state.info.call, "call state not persisted: write is repeated");
                let again = self.write(state);
                self.write = Some(
                    async move {
                        sleep(RETRY_PAUSE).await;
                        again.await
                    }
                    .boxed(),
                );
                Ok(())
            }
        }
    }

    /// Persists the current state and waits for it. Succeeds if the store is unavailable: the session ends in any case, and
    /// the next one continues from the last write.
    pub async fn write_now(&mut self, state: &CallState) -> Result<(), LeaseLost> {
        if let Some(write) = self.write.take()
            && matches!(write.await, Ok(false))
        {
            return Err(LeaseLost);
        }
        self.is_dirty = false;
        match self.write(state).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(LeaseLost),
            Err(error) => {
                tracing::warn!(%error, call = %state.info.call, "call state not persisted at the end of a session");
                Ok(())
            }
        }
    }

    /// Persists what has changed since the last write, after the socket has closed.
    pub async fn finish(&mut self, state: &CallState) {
        if self.is_dirty || self.write.is_some() {
            drop(timeout(LAST_WRITE_TIMEOUT, self.write_now(state)).await);
        }
    }

    fn write(&self, state: &CallState) -> Write {
        ownership::save(&self.calls, &self.lease, state)
    }
}
