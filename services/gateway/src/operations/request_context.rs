//! The request that an operation answers: whether somebody still waits for the answer, how to tell them that it goes on,
//! and what is to happen once they have it.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use butt_dial_domain::{Code, Failure};
use futures::{FutureExt, future::BoxFuture};
use rmcp::{
    Peer, RoleServer,
    model::{ProgressNotificationParam, ProgressToken},
};
use tokio::time::{Instant, interval_at};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Below the shortest patience of a client that counts from the last progress.
const PROGRESS: Duration = Duration::from_secs(10);

/// Cheap to clone.
#[derive(Clone)]
pub struct Call {
    /// The client has gone, or does not want the answer any more.
    pub gone: CancellationToken,
    /// Waits for the caller's tokens to be revoked: who waits longer than a moment has to listen.
    pub revoked: Arc<dyn Fn() -> BoxFuture<'static, ()> + Send + Sync>,
    /// This replica stops: what waits should answer now.
    pub draining: CancellationToken,
    /// Where the client has asked for it.
    pub progress: Option<Progress>,
    pub after: After,
}

impl Call {
    /// For requests that are answered at once.
    pub fn new(draining: CancellationToken) -> Self {
        Self {
            gone: CancellationToken::new(),
            revoked: Arc::new(|| std::future::pending().boxed()),
            draining,
            progress: None,
            after: After::default(),
        }
    }
}

/// How waiting ended.
pub enum Wanted<T> {
    Done(T),
    /// This replica stops; another one goes on waiting.
    Draining,
    /// Nobody waits for the answer.
    Gone,
}

impl Call {
    /// Waits for `work` as long as anybody wants its result, and tells now and then that the call goes on.
    pub async fn while_wanted<T>(&self, work: impl Future<Output = T>) -> Result<Wanted<T>, Failure> {
        tokio::select! {
            // What is there is handed out, even at the last moment.
            biased;
            done = work => Ok(Wanted::Done(done)),
            () = self.draining.cancelled() => Ok(Wanted::Draining),
            () = self.gone.cancelled() => Ok(Wanted::Gone),
            () = (self.revoked)() => Err(Failure::new(Code::AuthTokenRevoked, "this token has been revoked")),
            () = self.tell_progress() => Ok(Wanted::Gone),
        }
    }

    /// Never ends.
    async fn tell_progress(&self) {
        let Some(progress) = &self.progress else {
            return std::future::pending().await;
        };
        let begun = Instant::now();
        let mut ticks = interval_at(begun + PROGRESS, PROGRESS);
        loop {
            ticks.tick().await;
            progress.tell(begun.elapsed().as_secs_f64(), "nothing yet").await;
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
