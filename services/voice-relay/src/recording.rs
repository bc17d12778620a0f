//! Changes of the running recording, at the carrier. They run beside the caller, one after the other.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use butt_dial_calls::{Calls, state::CallState};
use butt_dial_domain::{
    call::CallInfo,
    ports::voice::{ControlError, RecordingChange},
};
use futures::{
    FutureExt,
    future::{BoxFuture, pending},
};
use tokio::time::sleep;

/// Tries of a change.
const TRIES: u32 = 4;
/// The pause after the first try. It doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(200);

pub(crate) struct RecordingControl {
    calls: Arc<Calls>,
    waiting: VecDeque<(CallInfo, RecordingChange)>,
    running: Option<BoxFuture<'static, (RecordingChange, bool)>>,
}

impl RecordingControl {
    pub fn new(calls: Arc<Calls>) -> Self {
        Self {
            calls,
            waiting: VecDeque::new(),
            running: None,
        }
    }

    /// Queues a change, and starts it if none is in progress. It finishes even if the session ends.
    pub fn change(&mut self, state: &CallState, change: RecordingChange) {
        self.waiting.push_back((state.info.clone(), change));
        self.start_next();
    }

    fn start_next(&mut self) {
        if self.running.is_some() {
            return;
        }
        let Some((info, change)) = self.waiting.pop_front() else {
            return;
        };
        let calls = self.calls.clone();
        let task = self
            .calls
            .tasks()
            .spawn(async move { execute(&calls, &info, change).await });
        self.running = Some(async move { (change, task.await.unwrap_or(false)) }.boxed());
    }

    /// Waits for the end of the change in progress, and starts the next one. Returns whether the carrier has confirmed it. Can be
    /// cancelled without loss.
    pub async fn changed(&mut self) -> (RecordingChange, bool) {
        let changed = match &mut self.running {
            Some(running) => running.await,
            None => pending().await,
        };
        self.running = None;
        self.start_next();
        changed
    }
}

/// Returns whether the carrier has confirmed the change.
async fn execute(calls: &Calls, info: &CallInfo, change: RecordingChange) -> bool {
    let Some(carrier_id) = &info.carrier_id else {
        return false;
    };
    let mut pause = FIRST_PAUSE;
    for tries in 1..=TRIES {
        let error = match calls.find_voice(info).await {
            Ok(Some((_, voice))) => match voice.change_recording(carrier_id, change).await {
                Ok(()) | Err(ControlError::CallEnded) => return true,
                Err(error) => error.to_string(),
            },
            Ok(None) => "the carrier is not configured".to_owned(),
            Err(error) => error.to_string(),
        };
        tracing::warn!(error, call = %info.call, ?change, tries, "recording not changed");
        if tries < TRIES {
            sleep(pause).await;
            pause *= 2;
        }
    }
    false
}
