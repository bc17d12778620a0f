//! The kept calls and the settings of the simulated phone network, as data.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{mpsc, watch};

use super::{Call, CalleeBehavior, Command};

/// The newest calls are kept.
const MAX_CALLS: usize = 1_000;

/// A new call, for the vendor's simulator to handle.
pub struct NewCall {
    pub call: Call,
    pub commands: mpsc::UnboundedReceiver<Command>,
}

pub struct Switchboard {
    state: Mutex<State>,
    changed: watch::Sender<()>,
}

pub struct State {
    pub pace: f64,
    calls: VecDeque<Call>,
    pub numbers: HashMap<String, CalleeBehavior>,
    /// Public base URLs and their local base URLs.
    pub routes: HashMap<String, String>,
    pub status_url: Option<String>,
    pub status_delay_ms: u64,
    pub refused_sockets: u32,
}

impl Default for Switchboard {
    fn default() -> Self {
        let state = State {
            pace: 1.0,
            calls: VecDeque::new(),
            numbers: HashMap::new(),
            routes: HashMap::new(),
            status_url: None,
            status_delay_ms: 0,
            refused_sockets: 0,
        };
        Self {
            state: Mutex::new(state),
            changed: watch::Sender::new(()),
        }
    }
}

impl Switchboard {
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds the call that `open` creates with the current pace.
    pub fn add(&self, open: impl FnOnce(f64) -> Call) -> Call {
        let call = {
            let mut state = self.state();
            let call = open(state.pace);
            if state.calls.len() == MAX_CALLS {
                state.calls.pop_front();
            }
            state.calls.push_back(call.clone());
            call
        };
        self.changed.send_replace(());
        call
    }

    /// Returns the kept calls, oldest first.
    pub fn calls(&self) -> Vec<Call> {
        self.state().calls.iter().cloned().collect()
    }

    pub fn find(&self, id: &str) -> Option<Call> {
        self.state().calls.iter().rev().find(|call| call.id() == id).cloned()
    }

    /// Notifies of each new call.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }
}
