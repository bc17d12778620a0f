//! A call's state on its way to the store: one write at a time, each with all that has changed since, and none once somebody
//! else holds the call.

use std::time::Duration;

use butt_dial_comms::{
    Comms,
    calls::{
        relays,
        state::{self, CallState},
    },
};
use butt_dial_domain::ports::kv::{KvError, Lease};
use futures::{FutureExt, future::BoxFuture};
use tokio::time::timeout;

use crate::session::{CallSession, Ended};

/// A state that could not be written is written again.
const SAVE_AGAIN: Duration = Duration::from_millis(250);
/// The last write of a call that is over.
const LAST_WRITE: Duration = Duration::from_secs(5);

impl CallSession {
    /// Begins to write the state, if it has changed and is not being written.
    pub(crate) fn save(&mut self) {
        if !self.is_dirty || self.saving.is_some() {
            return;
        }
        self.is_dirty = false;
        self.saving = Some(write(self.comms.clone(), self.lease.clone(), &self.conversation.state));
    }

    pub(crate) fn saved(&mut self, saved: Result<bool, KvError>) -> Result<(), Ended> {
        match saved {
            Ok(true) => Ok(()),
            Ok(false) => Err(Ended::OwnerChanged),
            Err(error) => {
                tracing::warn!(%error, call = %self.conversation.state.info.call, "a call's state can't be written yet");
                let again = write(self.comms.clone(), self.lease.clone(), &self.conversation.state);
                self.saving = Some(
                    async move {
                        tokio::time::sleep(SAVE_AGAIN).await;
                        again.await
                    }
                    .boxed(),
                );
                Ok(())
            }
        }
    }

    /// The store may have lost the call, and that it is ours.
    pub(crate) fn tell_again(&mut self) {
        let (comms, call) = (self.comms.clone(), self.conversation.state.info.call.clone());
        self.comms.tasks.spawn(async move {
            if let Err(error) = relay_registry::register_call(&comms, &call).await {
                tracing::warn!(%error, %call, "should this relay vanish, nobody will look for this call");
            }
        });
        self.is_dirty = true;
    }

    pub(crate) async fn write_now(&mut self) -> Result<(), Ended> {
        if let Some(saving) = self.saving.take()
            && matches!(saving.await, Ok(false))
        {
            return Err(Ended::OwnerChanged);
        }
        self.is_dirty = false;
        match write(self.comms.clone(), self.lease.clone(), &self.conversation.state).await {
            Ok(false) => Err(Ended::OwnerChanged),
            Ok(true) => Ok(()),
            Err(error) => {
                // The carrier is told all the same; what follows is what was written last.
                tracing::warn!(%error, call = %self.conversation.state.info.call, "the end of a session can't be written");
                Ok(())
            }
        }
    }

    /// The socket is gone; what was heard last is still written, unless somebody else has the call.
    pub(crate) async fn finish(&mut self, ended: &Ended) {
        self.reply_task = None;
        if !matches!(ended, Ended::OwnerChanged) && (self.is_dirty || self.saving.is_some()) {
            drop(timeout(LAST_WRITE, self.write_now()).await);
        }
    }
}

fn write(comms: Comms, lease: Lease, state: &CallState) -> BoxFuture<'static, Result<bool, KvError>> {
    let sealed = state.seal(&comms);
    let call = state.info.call.clone();
    async move { state::save(&comms, &lease, &call, &sealed).await }.boxed()
}
