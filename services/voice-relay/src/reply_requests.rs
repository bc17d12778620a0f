//! The request for a reply to the current turn, and the agent's notifications about the call.

use std::sync::Arc;

use butt_dial_calls::{
    Calls,
    notifications::{self, CallNotification, NotificationKind},
    state::{CallState, Responder},
};
use futures::{
    FutureExt,
    future::{BoxFuture, pending},
};
use tokio::sync::{Notify, mpsc};

use crate::responder::{self, ReplyEvent};

pub(crate) struct ReplyRequests {
    calls: Arc<Calls>,
    events: mpsc::Sender<ReplyEvent>,
    /// Dropping it cancels the request at the agent or the model.
    request: Option<BoxFuture<'static, ()>>,
    /// Notified when the agent connects during the request.
    arrivals: Arc<Notify>,
    /// A tool call of the agent has claimed the current turn.
    is_claimed: bool,
}

impl ReplyRequests {
    pub fn new(calls: Arc<Calls>, events: mpsc::Sender<ReplyEvent>) -> Self {
        Self {
            calls,
            events,
            request: None,
            arrivals: Arc::default(),
            is_claimed: false,
        }
    }

    /// Starts a request for the current turn, in place of the previous one.
    pub fn start(&mut self, state: &CallState) {
        self.is_claimed = false;
        self.arrivals = Arc::default();
        let (calls, events, arrivals) = (self.calls.clone(), self.events.clone(), self.arrivals.clone());
        self.request = Some(responder::request_reply(calls, state.clone(), events, arrivals).boxed());
    }

    pub fn cancel(&mut self) {
        self.request = None;
    }

    pub fn set_claimed(&mut self, is_claimed: bool) {
        self.is_claimed = is_claimed;
    }

    /// Runs the request. Can be cancelled without loss.
    pub async fn run(&mut self) {
        match &mut self.request {
            Some(request) => request.await,
            None => pending().await,
        }
        self.request = None;
    }

    /// Polls the request once, so that a new one is sent before other work.
    pub fn poll_once(&mut self) {
        if let Some(request) = &mut self.request
            && request.now_or_never().is_some()
        {
            self.request = None;
        }
    }

    /// Pushes the notification of an incoming call to the agent's clients, in the background.
    pub fn push_incoming(&self, state: &CallState) {
        let (calls, agent) = (self.calls.clone(), state.info.agent.clone());
        let notification = CallNotification::new(NotificationKind::Incoming, state);
        self.calls.tasks().spawn(async move {
            let listeners = notifications::find_listeners(&calls, &agent).await;
            notifications::push(&calls, &listeners, &notification).await;
        });
    }

    /// The agent has connected, or a tool call waits: repeats the request for a pending reply, or notifies the agent that it
    /// can replace the voicemail service.
    pub fn on_agent_present(&mut self, state: &CallState) {
        let event = match state.responder {
            Responder::Voicemail => NotificationKind::Incoming,
            Responder::Agent if !state.is_pending => return,
            Responder::Agent if self.is_claimed => NotificationKind::Turn,
            // The request continues, unless a better client has connected.
            Responder::Agent if self.request.is_some() => return self.arrivals.notify_one(),
            Responder::Agent => return self.start(state),
        };
        let notification = CallNotification::new(event, state);
        let (calls, agent) = (self.calls.clone(), state.info.agent.clone());
        self.calls.tasks().spawn(async move {
            let is_claimed = notifications::offer_claim(&calls, &agent, &notification).await;
            if !is_claimed && event == NotificationKind::Incoming {
                let listeners = notifications::find_listeners(&calls, &agent).await;
                notifications::push(&calls, &listeners, &notification).await;
            }
        });
    }
}
