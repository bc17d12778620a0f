//! The request that an operation answers: whether its client still waits, progress notifications to it, and the hooks that
//! run once the response is sent.

use std::{
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use butt_dial_domain::{Code, Failure};
use butt_dial_identity::{Caller, Origin};
use butt_dial_sessions::RevocationFeed;
use futures::{FutureExt, future::BoxFuture};
use rmcp::{
    Peer, RoleServer,
    model::{ProgressNotificationParam, ProgressToken},
};
use tokio::time::{Instant, interval_at};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::wait_slots::{WaitSlot, WaitSlots};
use crate::metrics::Interface;

/// Shorter than the shortest timeout of a client that counts from the last progress notification.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(10);

/// Cheap to clone.
#[derive(Clone)]
pub struct RequestContext {
    pub interface: Interface,
    /// Fires when the client has disconnected or cancelled the request.
    pub gone: CancellationToken,
    /// Waits for the caller's tokens to be revoked. An operation that waits longer than a moment has to watch it.
    pub revoked: Arc<dyn Fn() -> BoxFuture<'static, ()> + Send + Sync>,
    /// Takes one of the caller's slots for waiting requests.
    pub take_slot: Arc<dyn Fn() -> Result<Option<WaitSlot>, Failure> + Send + Sync>,
    /// Fires when this replica stops: waiting operations should return.
    pub draining: CancellationToken,
    /// Present when the client requested progress.
    pub progress: Option<Progress>,
    pub on_sent: OnResponseSent,
    pub headers: Arc<RequestHeaders>,
    /// Audit entries get it.
    pub origin: Origin,
}

/// The parts of a REST request that operations read besides its arguments. Empty for tools.
#[derive(Clone, Debug, Default)]
pub struct RequestHeaders {
    /// The secret of `Authorization: Bearer`. It may be no token.
    pub bearer: Option<String>,
    /// `X-Request-Timestamp`.
    pub timestamp: Option<String>,
    /// `X-Request-Nonce`.
    pub nonce: Option<String>,
    /// The address of the client.
    pub client: Option<IpAddr>,
}

/// How waiting ended.
pub enum WaitOutcome<T> {
    Done(T),
    /// This replica stops; the client continues to wait on another one.
    Draining,
    /// The client no longer waits for the response.
    Gone,
}

impl RequestContext {
    /// Creates the context of a request without progress notifications.
    pub fn new(
        interface: Interface,
        caller: &Caller,
        revocations: &RevocationFeed,
        slots: &WaitSlots,
        draining: CancellationToken,
    ) -> Self {
        let (revocations, agent) = (revocations.clone(), caller.principal.agent.clone());
        let (slots, waiting) = (slots.clone(), agent.clone().zip(caller.principal.org.clone()));
        Self {
            interface,
            gone: CancellationToken::new(),
            revoked: Arc::new(move || match &agent {
                Some(agent) => revocations.wait_for(agent).boxed(),
                None => std::future::pending().boxed(),
            }),
            take_slot: Arc::new(move || waiting.as_ref().map(|(agent, org)| slots.take(agent, org)).transpose()),
            draining,
            progress: None,
            on_sent: OnResponseSent::default(),
            headers: Arc::default(),
            origin: Origin::default(),
        }
    }

    /// Creates the context of a page of the console, which waits for nothing.
    pub fn of_page(draining: CancellationToken, origin: Origin) -> Self {
        Self {
            interface: Interface::Console,
            gone: CancellationToken::new(),
            revoked: Arc::new(|| std::future::pending().boxed()),
            take_slot: Arc::new(|| Ok(None)),
            draining,
            progress: None,
            on_sent: OnResponseSent::default(),
            headers: Arc::default(),
            origin,
        }
    }

    #[must_use]
    pub fn with_headers(self, headers: RequestHeaders) -> Self {
        Self {
            headers: Arc::new(headers),
            ..self
        }
    }

    /// Waits for `work` while the client waits for its result, and sends progress notifications. Fails when the caller's
    /// token is revoked, and with `RateLimited` when the agent or its organization has too many waiting
    /// requests.
    pub async fn wait<T>(&self, work: impl Future<Output = T>) -> Result<WaitOutcome<T>, Failure> {
        let _slot = (self.take_slot)()?;
        tokio::select! {
            // A finished result is returned even when the replica stops at the same moment.
            biased;
            done = work => Ok(WaitOutcome::Done(done)),
            () = self.draining.cancelled() => Ok(WaitOutcome::Draining),
            () = self.gone.cancelled() => Ok(WaitOutcome::Gone),
            () = (self.revoked)() => Err(Failure::new(Code::AuthTokenRevoked, "the token has been revoked")),
            () = self.notify_progress() => Ok(WaitOutcome::Gone),
        }
    }

    /// Never returns.
    async fn notify_progress(&self) {
        let Some(progress) = &self.progress else {
            return std::future::pending().await;
        };
        let started = Instant::now();
        let mut ticks = interval_at(started + PROGRESS_INTERVAL, PROGRESS_INTERVAL);
        loop {
            ticks.tick().await;
            progress.notify(started.elapsed().as_secs_f64(), "still waiting").await;
        }
    }
}

#[derive(Clone)]
pub struct Progress {
    pub peer: Peer<RoleServer>,
    pub token: ProgressToken,
}

impl Progress {
    /// Notifies the client. Errors are ignored: a client that is gone is noticed elsewhere.
    pub async fn notify(&self, seconds: f64, text: &str) {
        let progress = ProgressNotificationParam::new(self.token.clone(), seconds).with_message(text);
        self.peer.notify_progress(progress).await.ok();
    }
}

/// Hooks that run once the response has left this process, and only then. The transports run them.
#[derive(Clone, Default)]
pub struct OnResponseSent(Arc<Mutex<Hooks>>);

#[derive(Default)]
struct Hooks {
    hooks: Vec<BoxFuture<'static, ()>>,
    subscribed: Option<bool>,
}

impl OnResponseSent {
    pub fn then(&self, hook: impl Future<Output = ()> + Send + 'static) {
        self.locked().hooks.push(hook.boxed());
    }

    /// Requests that the caller's session is subscribed to inbound events, or unsubscribed.
    pub fn subscribe(&self, yes: bool) {
        self.locked().subscribed = Some(yes);
    }

    pub fn take_subscribed(&self) -> Option<bool> {
        self.locked().subscribed.take()
    }

    /// Returns whether there is no hook, so that the response need not be watched.
    pub fn is_empty(&self) -> bool {
        self.locked().hooks.is_empty()
    }

    pub fn run(&self, tasks: &TaskTracker) {
        for hook in std::mem::take(&mut self.locked().hooks) {
            tasks.spawn(hook);
        }
    }

    fn locked(&self) -> MutexGuard<'_, Hooks> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
