//! The database of a simulated process. Each call is a point at which the process can crash and the database can fail or be slow.
//!
//! A call blocks its thread until SQLite has answered, so that the tasks of a process run in the same order in each run, and
//! simulated time stands still meanwhile. The connections have a runtime with threads.

use std::{
    cell::{Cell, RefCell},
    future::{Future, pending},
    io,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
    time::Duration,
};

use tokio::{runtime::Handle, task::coop::unconstrained};

/// The fate of a call, before and after its effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Continue,
    /// The database does not answer. Before the effect there is none; after it the answer is lost.
    Fail,
    /// The process has crashed: the call never returns.
    Crash,
}

/// A process with a part of the simulated faults.
pub trait Process: Send + Sync {
    /// Returns how long the next call waits before its effect, or its answer.
    fn delay(&self) -> Duration;

    fn fate(&self, point: &'static str) -> Fate;

    /// Returns the runtime of the connections.
    fn connections(&self) -> &Handle;
}

thread_local! {
    static CURRENT: RefCell<Option<Arc<dyn Process>>> = const { RefCell::new(None) };
    static IN_CALL: Cell<bool> = const { Cell::new(false) };
}

/// Sets the process that runs on this thread. `None`: calls are not simulated.
pub fn run_as(process: Option<Arc<dyn Process>>) {
    CURRENT.set(process);
}

/// Returns the process that runs on this thread. `None` within a call.
pub(crate) fn current_process() -> Option<Arc<dyn Process>> {
    match IN_CALL.get() {
        true => None,
        false => CURRENT.with_borrow(Clone::clone),
    }
}

/// Runs one call of the database.
pub(crate) async fn call<T, E: From<sqlx::Error>>(
    process: &Arc<dyn Process>,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    pass(process, "before the database").await?;
    let result = block_on(process.connections(), work);
    pass(process, "after the database").await?;
    result
}

async fn pass(process: &Arc<dyn Process>, point: &'static str) -> Result<(), sqlx::Error> {
    let delay = process.delay();
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    match process.fate(point) {
        Fate::Continue => Ok(()),
        Fate::Fail => Err(sqlx::Error::Io(io::ErrorKind::TimedOut.into())),
        Fate::Crash => pending().await,
    }
}

/// Wakes the thread that waits for the database.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn block_on<T>(connections: &Handle, work: impl Future<Output = T>) -> T {
    // For the tasks and the timeouts of the pools.
    let _entered = connections.enter();
    IN_CALL.set(true);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut work = pin!(unconstrained(work));
    let result = loop {
        match work.as_mut().poll(&mut context) {
            Poll::Ready(result) => break result,
            Poll::Pending => thread::park(),
        }
    };
    IN_CALL.set(false);
    result
}
