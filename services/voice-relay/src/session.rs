//! One call, as long as its socket lasts: a task that owns the socket and does what the dialogue says. Everything that can
//! wait (the agent, the model, the state's store, money) is waited for beside the caller, never in front of them.

use std::{sync::Arc, time::Duration};

use axum::extract::ws::{Message, WebSocket};
use butt_dial_comms::{
    Comms,
    calls::{
        conversation::{Answer, Conversation, Effect},
        notifications::{self, CallNotification, NotificationKind},
        relays,
        state::{self, Speaker},
    },
};
use butt_dial_domain::{
    call::Direction,
    ports::{
        bus::Message as BusMessage,
        kv::{KvError, Lease},
        voice::{IncomingFrame, OutgoingFrame, Voice},
    },
};
use futures::{
    FutureExt, StreamExt,
    future::{BoxFuture, pending},
    stream::BoxStream,
};
use tokio::{
    sync::{Notify, mpsc},
    time::{Instant, sleep_until, timeout},
};

use crate::{
    Relay,
    acquire::{OwnedCall, VerifiedSocket, acquire, opened},
    credit_timer::{self, Paid},
    responder::{ReplyEvent, ReplyKind},
    stall_detector::StallDetector,
};

/// A carrier that does not read.
const SENT_WITHIN: Duration = Duration::from_secs(5);
/// The carrier closes the socket after we have ended the session.
const CLOSED_WITHIN: Duration = Duration::from_secs(3);
/// How long a relay that is to end waits for a quiet moment, before it hands a call over in the middle of a word.
const QUIET_WITHIN: Duration = Duration::from_secs(15);
/// Pieces that a model may be ahead of the socket.
const THOUGHTS: usize = 16;

/// Why a call's task ends before the conversation does.
#[derive(Debug)]
pub(crate) enum Ended {
    /// The socket is closed, or nobody reads it.
    Socket,
    /// What came over it is not what carriers send.
    MalformedFrame,
    /// Another relay holds the call by now.
    OwnerChanged,
}

pub(crate) struct CallSession {
    pub(crate) comms: Comms,
    voice: Arc<dyn Voice>,
    socket: WebSocket,
    pub(crate) conversation: Conversation,
    pub(crate) lease: Lease,
    orders: BoxStream<'static, BusMessage>,
    presence: BoxStream<'static, BusMessage>,
    /// Whoever thinks about the current turn. Dropped, it is cancelled upstream.
    pub(crate) reply_task: Option<BoxFuture<'static, ()>>,
    /// The agent has come while it was being asked.
    pub(crate) arrivals: Arc<Notify>,
    /// A tool call of the agent's has the current turn.
    pub(crate) is_taken: bool,
    pub(crate) thoughts: (mpsc::Sender<ReplyEvent>, mpsc::Receiver<ReplyEvent>),
    pub(crate) saving: Option<BoxFuture<'static, Result<bool, KvError>>>,
    pub(crate) is_dirty: bool,
    paying: Option<BoxFuture<'static, Paid>>,
    /// We have said that the session ends; the carrier closes the socket.
    closing_by: Option<Instant>,
    quiet_by: Option<Instant>,
    stall_detector: Arc<StallDetector>,
    /// By then the call was known to be ours.
    held_at: Instant,
}

/// Holds the call until its socket ends.
pub async fn run(relay: Relay, mut socket: WebSocket, admitted: VerifiedSocket) {
    let call = admitted.state.info.call.clone();
    let Some(opened) = opened(&mut socket, &*admitted.voice).await else {
        tracing::info!(%call, "a call's socket said nothing that begins a session");
        return;
    };
    match acquire(&relay, socket, admitted, opened).await {
        Ok(Some(taken)) => {
            let mut held = CallSession::of(taken, relay.stall_detector.clone());
            if let Err(error) = relay_registry::register_call(&relay.comms, &call).await {
                tracing::warn!(%error, %call, "should this relay vanish, nobody will look for this call");
            }
            let ended = held.run(&relay).await;
            tracing::info!(%call, ?ended, "a call's socket has ended");
            held.finish(&ended).await;
            if let Err(error) = relay_registry::unregister_call(&relay.comms, &call).await {
                tracing::info!(%error, %call, "a call that has gone is still in the list of this relay's");
            }
        }
        Ok(None) => tracing::info!(%call, "a socket was opened for a call that is over, or for another one"),
        Err(error) => tracing::warn!(%error, %call, "a call can't be taken; the carrier asks again"),
    }
}

impl CallSession {
    fn of(taken: OwnedCall, stall_detector: Arc<StallDetector>) -> Self {
        Self {
            comms: taken.comms,
            voice: taken.voice,
            socket: taken.socket,
            conversation: taken.conversation,
            lease: taken.lease,
            orders: taken.orders,
            presence: taken.presence,
            reply_task: None,
            arrivals: Arc::default(),
            is_taken: false,
            thoughts: mpsc::channel(THOUGHTS),
            saving: None,
            is_dirty: false,
            paying: None,
            closing_by: None,
            quiet_by: None,
            stall_detector,
            held_at: Instant::now(),
        }
    }

    async fn run(&mut self, relay: &Relay) -> Ended {
        match self.converse(relay).await {
            Ok(never) => match never {},
            Err(ended) => ended,
        }
    }

    async fn converse(&mut self, relay: &Relay) -> Result<std::convert::Infallible, Ended> {
        self.begin().await?;
        let drain = relay.lifecycle.draining().clone();
        let mut registry_reset = relay.registry_reset.subscribe();
        loop {
            let deadline = self.deadline();
            let is_draining = self.quiet_by.is_some();
            tokio::select! {
                // What the caller says comes first: it may make all the rest moot.
                biased;
                frame = self.socket.recv() => self.received(frame).await?,
                Some(order) = self.orders.next() => self.ordered(order).await?,
                Some(thought) = self.thoughts.1.recv() => self.thought(thought).await?,
                () = poll_task(&mut self.reply_task) => self.reply_task = None,
                saved = poll_or_pend(&mut self.saving) => self.saved(saved)?,
                paid = poll_or_pend(&mut self.paying) => self.paid(paid).await?,
                Some(_) = self.presence.next() => self.agent_is_there(),
                Ok(()) = registry_reset.changed() => self.tell_again(),
                () = at(deadline) => self.tick().await?,
                () = drain.cancelled(), if !is_draining => self.quiet_by = Some(Instant::now() + QUIET_WITHIN),
            }
            self.hand_over_if_quiet().await?;
            self.save();
        }
    }

    async fn begin(&mut self) -> Result<(), Ended> {
        let state = &self.conversation.state;
        let is_reachable = match (state.is_greeted, state.info.direction) {
            // An agent that has somebody called is there, or will be.
            (true, _) | (_, Direction::Outbound) => true,
            (false, Direction::Inbound) => {
                let signal = CallNotification::new(NotificationKind::Incoming, state);
                notifications::is_reachable(&self.comms, &state.info.agent, &signal).await
            }
        };
        if is_reachable && !self.conversation.state.is_greeted {
            self.push_incoming();
        }
        let now = self.comms.clock.now();
        let acts = self.conversation.open(is_reachable, now, Instant::now());
        self.perform(acts).await
    }

    fn deadline(&self) -> Option<Instant> {
        let now = self.comms.clock.now();
        let money = match self.paying {
            Some(_) => None,
            None => credit_timer::due_in(self.conversation.state.paid_until, now).map(|left| Instant::now() + left),
        };
        // Once the session is ended here, only the carrier's close is waited for.
        let quiet = self.quiet_by.filter(|_| self.closing_by.is_none());
        let all = [self.conversation.deadline(), self.closing_by, quiet, money];
        all.into_iter().flatten().min()
    }

    async fn received(&mut self, frame: Option<Result<Message, axum::Error>>) -> Result<(), Ended> {
        let text = match frame {
            Some(Ok(Message::Text(text))) => text,
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => return Ok(()),
            Some(Ok(Message::Close(_))) | None => return Err(Ended::Socket),
            Some(Ok(Message::Binary(_))) => return Err(Ended::MalformedFrame),
            Some(Err(error)) => {
                tracing::info!(%error, call = %self.conversation.state.info.call, "a call's socket broke");
                return Err(Ended::Socket);
            }
        };
        self.is_still_ours().await?;
        let begun = Instant::now();
        let frame = self.voice.parse_frame(&text).map_err(|malformed| {
            tracing::warn!(reason = malformed.0, call = %self.conversation.state.info.call, "a call's socket is closed");
            Ended::MalformedFrame
        })?;
        if let IncomingFrame::Fault(code) = &frame {
            tracing::warn!(code, call = %self.conversation.state.info.call, "the carrier reports a fault in a call");
        }
        let is_turn = matches!(&frame, IncomingFrame::Said { is_last: true, .. });
        let acts = self
            .conversation
            .on_frame(frame, self.comms.clock.now(), Instant::now());
        self.perform(acts).await?;
        if is_turn {
            // Polled once, the question is on its way before anything else is looked at.
            if let Some(reply) = &mut self.reply_task
                && reply.now_or_never().is_some()
            {
                self.reply_task = None;
            }
            self.comms.metrics.call_part("to_agent", begun.elapsed());
        }
        Ok(())
    }

    /// What was said to a relay that stood still is not for it to answer, where the call has been taken over meanwhile.
    async fn is_still_ours(&mut self) -> Result<(), Ended> {
        if self.stall_detector.stood_still_since(self.held_at) {
            self.write_now().await?;
            self.held_at = Instant::now();
        }
        Ok(())
    }

    async fn thought(&mut self, thought: ReplyEvent) -> Result<(), Ended> {
        let begun = Instant::now();
        let (wall, turn) = (self.comms.clock.now(), thought.turn);
        if thought.by != self.conversation.state.responder {
            // The agent has taken the call over while the machine was speaking, or the machine from the agent.
            return Ok(());
        }
        let by = match thought.by {
            state::Responder::Agent => Speaker::Agent,
            state::Responder::Voicemail => Speaker::Voicemail,
        };
        let acts = match thought.what {
            ReplyKind::OwnedCall => {
                self.is_taken = turn == self.conversation.state.turn;
                return Ok(());
            }
            ReplyKind::Said { text, is_last } => {
                // Should its stream be lost, it is waited for.
                self.conversation.state.is_attended |= by == Speaker::Agent;
                let answer = Answer {
                    by,
                    turn: Some(turn),
                    text,
                    is_last,
                };
                // Superseded meanwhile: nobody is to be told.
                self.conversation.answer(answer, wall, begun).unwrap_or_default()
            }
            ReplyKind::MachineEnds(taken) => {
                self.conversation.state.message = Some(taken);
                self.conversation.machine_ends(begun)
            }
            ReplyKind::Nobody => self.conversation.cannot_answer(turn, wall, begun),
        };
        self.perform(acts).await?;
        self.comms.metrics.call_part("to_caller", begun.elapsed());
        Ok(())
    }

    async fn tick(&mut self) -> Result<(), Ended> {
        let (wall, now) = (self.comms.clock.now(), Instant::now());
        if self.closing_by.is_some_and(|by| by <= now) {
            return Err(Ended::Socket);
        }
        let state = &self.conversation.state;
        if let Some(until) = state.paid_until.filter(|_| self.paying.is_none())
            && credit_timer::due_in(Some(until), wall) == Some(Duration::ZERO)
        {
            self.paying = Some(credit_timer::pay(self.comms.clone(), state.info.clone(), until).boxed());
        }
        let acts = self.conversation.tick(wall, now);
        self.perform(acts).await
    }

    async fn paid(&mut self, paid: Paid) -> Result<(), Ended> {
        match paid {
            Paid::Until(until) => {
                self.conversation.state.paid_until = Some(until);
                self.is_dirty = true;
                Ok(())
            }
            Paid::NoMore => {
                self.conversation.state.paid_until = None;
                let acts = self.conversation.out_of_money(self.comms.clock.now(), Instant::now());
                self.perform(acts).await
            }
        }
    }

    /// This relay is to end: the call goes on elsewhere, at a moment when nobody notices if there is one.
    async fn hand_over_if_quiet(&mut self) -> Result<(), Ended> {
        let Some(by) = self.quiet_by.filter(|_| self.closing_by.is_none()) else {
            return Ok(());
        };
        if !self.conversation.is_quiet() && Instant::now() < by {
            return Ok(());
        }
        tracing::info!(call = %self.conversation.state.info.call, "a call is handed over");
        self.close().await
    }

    pub(crate) async fn perform(&mut self, acts: Vec<Effect>) -> Result<(), Ended> {
        for act in acts {
            match act {
                Effect::Send(frame) => self.send(&frame).await?,
                Effect::Ask { .. } => self.ask(),
                Effect::Cancel => self.reply_task = None,
                Effect::Save => self.is_dirty = true,
                Effect::Close => self.close().await?,
            }
        }
        Ok(())
    }

    pub(crate) async fn send(&mut self, frame: &OutgoingFrame) -> Result<(), Ended> {
        let text = self.voice.encode_frame(frame);
        match timeout(SENT_WITHIN, self.socket.send(Message::Text(text.into()))).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Ended::Socket),
        }
    }

    /// Ends the session, once what comes after it is written down: the carrier asks for it at once.
    async fn close(&mut self) -> Result<(), Ended> {
        if self.closing_by.is_some() {
            return Ok(());
        }
        self.reply_task = None;
        self.closing_by = Some(Instant::now() + CLOSED_WITHIN);
        self.conversation.state.is_session_closed_by_us = true;
        self.write_now().await?;
        self.send(&OutgoingFrame::End { handoff: None }).await
    }
}

async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => pending().await,
    }
}

async fn poll_task(future: &mut Option<BoxFuture<'static, ()>>) {
    match future {
        Some(future) => future.await,
        None => pending().await,
    }
}

/// Takes the result out with the future.
async fn poll_or_pend<T>(future: &mut Option<BoxFuture<'static, T>>) -> T {
    let Some(running) = future else { return pending().await };
    let result = running.await;
    *future = None;
    result
}
