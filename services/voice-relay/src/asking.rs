//! How a call turns to its agent: it is told of the call, and asked for each turn; and what its coming in the middle changes.

use std::sync::Arc;

use butt_dial_comms::calls::{
    signal::{self, Event, Signal},
    state,
};
use futures::FutureExt;

use crate::{call::Call, mind};

impl Call {
    /// Listeners learn of the call; nobody waits for them.
    pub(crate) fn push_incoming(&self) {
        let state = &self.dialogue.state;
        let (comms, agent) = (self.comms.clone(), state.facts.agent.clone());
        let signal = Signal::new(Event::Incoming, state);
        self.comms.tasks.spawn(async move {
            let listeners = signal::find_listeners(&comms, &agent).await;
            signal::push(&comms, &listeners, &signal).await;
        });
    }

    /// The agent has opened a stream, or a tool call of its waits: it is asked what has not been answered yet, or told that
    /// it could take the call over.
    pub(crate) fn agent_is_there(&mut self) {
        let state = &self.dialogue.state;
        let event = match state.mind {
            state::Mind::Machine => Event::Incoming,
            state::Mind::Agent if !state.is_pending => return,
            state::Mind::Agent if self.is_taken => Event::Turn,
            // Who is asked already answers in peace, unless there is somebody better now.
            state::Mind::Agent if self.mind.is_some() => return self.arrivals.notify_one(),
            state::Mind::Agent => return self.ask(),
        };
        let signal = Signal::new(event, state);
        let (comms, agent) = (self.comms.clone(), state.facts.agent.clone());
        self.comms.tasks.spawn(async move {
            if !signal::offer(&comms, &agent, &signal).await && event == Event::Incoming {
                let listeners = signal::find_listeners(&comms, &agent).await;
                signal::push(&comms, &listeners, &signal).await;
            }
        });
    }

    pub(crate) fn ask(&mut self) {
        let state = self.dialogue.state.clone();
        self.is_taken = false;
        self.arrivals = Arc::default();
        let thoughts = self.thoughts.0.clone();
        self.mind = Some(mind::think(self.comms.clone(), state, thoughts, self.arrivals.clone()).boxed());
    }
}
