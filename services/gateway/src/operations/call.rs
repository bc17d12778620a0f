//! The request that an operation answers: whether somebody still waits for the answer, how to tell them that it goes on,
//! and what is to happen once they have it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::{FutureExt, future::BoxFuture};
use rmcp::{
    Peer, RoleServer,
    model::{ProgressNotificationParam, ProgressToken},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Cheap to clone.
#[derive(Clone)]
pub struct Call {
    /// The client has gone, or does not want the answer any more.
    pub gone: CancellationToken,
    /// This replica stops: what waits should answer now.
    pub draining: CancellationToken,
    /// Where the client has asked for it.
    pub progress: Option<Progress>,
    pub after: After,
}

impl Call {
    pub fn new(draining: CancellationToken) -> Self {
        Self {
            gone: CancellationToken::new(),
            draining,
            progress: None,
            after: After::default(),
        }
    }
}

#[derive(Clone)]
pub struct Progress {
    pub peer: Peer<RoleServer>,
    pub token: ProgressToken,
}

impl Progress {
    /// Whoever does not hear it has gone, which is noticed elsewhere.
    pub async fn tell(&self, seconds: f64, text: &str) {
        let progress = ProgressNotificationParam::new(self.token.clone(), seconds).with_message(text);
        self.peer.notify_progress(progress).await.ok();
    }
}

/// What follows once the answer has left this process, and only then. The transports run it.
#[derive(Clone, Default)]
pub struct After(Arc<Mutex<Aftermath>>);

#[derive(Default)]
struct Aftermath {
    hooks: Vec<BoxFuture<'static, ()>>,
    subscribed: Option<bool>,
}

impl After {
    pub fn then(&self, hook: impl Future<Output = ()> + Send + 'static) {
        self.locked().hooks.push(hook.boxed());
    }

    /// The caller's own session wants what comes in, or no longer.
    pub fn subscribe(&self, yes: bool) {
        self.locked().subscribed = Some(yes);
    }

    pub fn take_subscribed(&self) -> Option<bool> {
        self.locked().subscribed.take()
    }

    /// Whether nothing has to be watched for.
    pub fn is_empty(&self) -> bool {
        self.locked().hooks.is_empty()
    }

    pub fn run(&self, tasks: &TaskTracker) {
        for hook in std::mem::take(&mut self.locked().hooks) {
            tasks.spawn(hook);
        }
    }

    fn locked(&self) -> MutexGuard<'_, Aftermath> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
