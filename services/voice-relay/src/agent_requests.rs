//! How a call turns to its agent: it is told of the call, and asked for each turn; and what its coming in the middle changes.

use std::sync::Arc;

use butt_dial_comms::calls::{
    notifications::{self, CallNotification, NotificationKind},
    state,
};
use futures::FutureExt;

use crate::{responder, session::CallSession};

impl CallSession {
    /// Listeners learn of the call; nobody waits for them.
    pub(crate) fn push_incoming(&self) {
        let state = &self.conversation.state;
        let (comms, agent) = (self.comms.clone(), state.info.agent.clone());
        let signal = CallNotification::new(NotificationKind::Incoming, state);
        self.comms.tasks.spawn(async move {
            let listeners = notifications::find_listeners(&comms, &agent).await;
            notifications::push(&comms, &listeners, &signal).await;
        });
    }

    /// The agent has opened a stream, or a tool call of its waits: it is asked what has not been answered yet, or told that
    /// it could take the call over.
    pub(crate) fn agent_is_there(&mut self) {
        let state = &self.conversation.state;
        let event = match state.responder {
            state::Responder::Voicemail => NotificationKind::Incoming,
            state::Responder::Agent if !state.is_pending => return,
            state::Responder::Agent if self.is_taken => NotificationKind::Turn,
            // Who is asked already answers in peace, unless there is somebody better now.
            state::Responder::Agent if self.reply_task.is_some() => return self.arrivals.notify_one(),
            state::Responder::Agent => return self.ask(),
        };
        let signal = CallNotification::new(event, state);
        let (comms, agent) = (self.comms.clone(), state.info.agent.clone());
        self.comms.tasks.spawn(async move {
            if !notifications::offer_claim(&comms, &agent, &signal).await && event == NotificationKind::Incoming {
                let listeners = notifications::find_listeners(&comms, &agent).await;
                notifications::push(&comms, &listeners, &signal).await;
            }
        });
    }

    pub(crate) fn ask(&mut self) {
        let state = self.conversation.state.clone();
        self.is_taken = false;
        self.arrivals = Arc::default();
        let thoughts = self.thoughts.0.clone();
        self.reply_task =
            Some(responder::request_reply(self.comms.clone(), state, thoughts, self.arrivals.clone()).boxed());
    }
}
