//! The live session of one call, from the open to the close of its socket. It passes events to the conversation and executes
//! the effects. Slow work (the agent, the model, the store, charges) runs beside the caller, never in front of them.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::extract::ws::WebSocket;
use butt_dial_calls::{
    Calls,
    commands::{CallCommand, CommandOutcome, CommandStream, ReceivedCommand},
    conversation::{Conversation, Effect, Moment, ReplyChunk},
    notifications::{self, CallNotification, NotificationKind},
    relay_registry,
    state::Speaker,
};
use butt_dial_domain::{
    CallId,
    call::Direction,
    ports::voice::{IncomingFrame, OutgoingFrame},
};
use futures::{StreamExt, future::pending, stream::BoxStream};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};

use crate::{
    Relay,
    acquire::{OwnedCall, VerifiedSocket, acquire},
    carrier_socket::CarrierSocket,
    commands,
    credit_timer::{Credit, CreditTimer},
    persistence::Persistence,
    recording::RecordingControl,
    reply_requests::ReplyRequests,
    responder::{ReplyEvent, ReplyKind},
    session_end::SessionEnd,
    stall_detector::StallDetector,
};

/// The carrier closes the socket within this time after the end of a session.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(3);
/// A draining relay waits this long for a quiet moment before it hands over a call in the middle of a sentence.
const HANDOVER_TIMEOUT: Duration = Duration::from_secs(15);
/// Number of events that a model may be ahead of the socket.
const REPLY_EVENTS: usize = 16;

struct CallSession {
    calls: Arc<Calls>,
    socket: CarrierSocket,
    conversation: Conversation,
    commands: CommandStream,
    presence: BoxStream<'static, ()>,
    requests: ReplyRequests,
    reply_events: mpsc::Receiver<ReplyEvent>,
    persistence: Persistence,
    credit: CreditTimer,
    recording: RecordingControl,
    /// The session has ended, and the carrier should close the socket by then.
    close_by: Option<Instant>,
    /// The relay is draining, and hands over the call by then.
    hand_over_by: Option<Instant>,
    stall_detector: Arc<StallDetector>,
    /// The time at which this relay was last known to own the call.
    owned_at: Instant,
    /// Turns of the call that are in the metrics.
    recorded_turns: usize,
}

/// Runs the session of a verified socket.
pub async fn run(relay: Relay, socket: WebSocket, verified: VerifiedSocket) {
    let call = verified.state.info.call.clone();
    let mut socket = CarrierSocket::new(socket, verified.voice, relay.calls.metrics().clone());
    let Some(opened) = socket.open().await else {
        tracing::info!(%call, "call socket closed: no first frame");
        return;
    };
    match acquire(&relay.calls, verified.state, &opened).await {
        Ok(Some(owned)) => run_owned(&relay, &call, CallSession::new(&relay, socket, owned)).await,
        Ok(None) => tracing::info!(%call, "call socket closed: the call is over, or a different one"),
        Err(error) => tracing::warn!(%error, %call, "call not acquired: the carrier opens another socket"),
    }
}

async fn run_owned(relay: &Relay, call: &CallId, mut session: CallSession) {
    if let Err(error) = relay_registry::register_call(&relay.calls, call).await {
        tracing::warn!(%error, %call, "call not registered: no relay takes it over if this one vanishes");
    }
    let active = relay.calls.metrics().track_active_call();
    let end = session.run(relay).await;
    drop(active);
    tracing::info!(%call, ?end, "call session ended");
    session.finish(&end).await;
    if let Err(error) = relay_registry::unregister_call(&relay.calls, call).await {
        tracing::info!(%error, %call, "call not removed from the relay registry");
    }
}

impl CallSession {
    fn new(relay: &Relay, socket: CarrierSocket, owned: OwnedCall) -> Self {
        let calls = &relay.calls;
        let (sender, reply_events) = mpsc::channel(REPLY_EVENTS);
        // Another relay has recorded these.
        let recorded_turns = owned.conversation.state().latencies.len();
        Self {
            calls: calls.clone(),
            socket,
            conversation: owned.conversation,
            commands: owned.commands,
            presence: owned.presence,
            requests: ReplyRequests::new(calls.clone(), sender),
            reply_events,
            persistence: Persistence::new(calls.clone(), owned.lease),
            credit: CreditTimer::default(),
            recording: RecordingControl::new(calls.clone()),
            close_by: None,
            hand_over_by: None,
            stall_detector: relay.stall_detector.clone(),
            owned_at: Instant::now(),
            recorded_turns,
        }
    }

    async fn run(&mut self, relay: &Relay) -> SessionEnd {
        match self.handle_events(relay).await {
            Ok(never) => match never {},
            Err(end) => end,
        }
    }

    async fn handle_events(&mut self, relay: &Relay) -> Result<Infallible, SessionEnd> {
        self.open().await?;
        let drain = relay.lifecycle.draining().clone();
        let mut registry_reset = relay.registry_reset.subscribe();
        loop {
            let deadline = self.deadline();
            let is_draining = self.hand_over_by.is_some();
            tokio::select! {
                // The caller's words come first: they may make everything else obsolete.
                biased;
                frame = self.socket.recv() => self.on_frame(&frame?).await?,
                Some(command) = self.commands.recv() => self.on_command(command).await?,
                Some(event) = self.reply_events.recv() => self.on_reply_event(event).await?,
                () = self.requests.run() => {}
                written = self.persistence.written() => {
                    self.persistence.on_written(written, self.conversation.state())?;
                }
                credit = self.credit.charged() => self.on_credit(credit).await?,
                change = self.recording.changed() => {
                    let effects = self.conversation.recording_changed(change);
                    self.execute(effects).await?;
                }
                Some(()) = self.presence.next() => self.requests.on_agent_present(self.conversation.state()),
                Ok(()) = registry_reset.changed() => self.register_again(),
                () = wait_until(deadline) => self.on_deadline().await?,
                () = drain.cancelled(), if !is_draining => self.hand_over_by = Some(Instant::now() + HANDOVER_TIMEOUT),
            }
            self.record_turns();
            self.hand_over_if_quiet().await?;
            self.persistence.start_write(self.conversation.state());
        }
    }

    /// Records the turns and barge-ins since the last time.
    fn record_turns(&mut self) {
        let metrics = self.calls.metrics();
        let latencies = &self.conversation.state().latencies;
        for milliseconds in latencies.iter().skip(self.recorded_turns) {
            metrics.record_turn(Duration::from_millis((*milliseconds).into()));
        }
        self.recorded_turns = latencies.len();
        metrics.record_barge_ins(self.conversation.take_barge_ins());
    }

    fn moment(&self) -> Moment {
        Moment {
            wall: self.calls.clock().now(),
            instant: Instant::now(),
        }
    }

    async fn open(&mut self) -> Result<(), SessionEnd> {
        let state = self.conversation.state();
        let is_reachable = match (state.is_greeted, state.info.direction) {
            // The agent of an outbound call is there, or will be.
            (true, _) | (_, Direction::Outbound) => true,
            (false, Direction::Inbound) => {
                let notification = CallNotification::new(NotificationKind::Incoming, state);
                notifications::is_reachable(&self.calls, &state.info.agent, &notification).await
            }
        };
        if is_reachable && !state.is_greeted {
            self.requests.push_incoming(state);
        }
        let effects = self.conversation.open(is_reachable, self.moment());
        self.execute(effects).await
    }

    fn deadline(&self) -> Option<Instant> {
        let paid_until = self.conversation.state().paid_until;
        let credit = self.credit.deadline(paid_until, self.calls.clock().now());
        // After the end of the session only the carrier's close is awaited.
        let hand_over = self.hand_over_by.filter(|_| self.close_by.is_none());
        let all = [self.conversation.deadline(), self.close_by, hand_over, credit];
        all.into_iter().flatten().min()
    }

    async fn on_frame(&mut self, text: &str) -> Result<(), SessionEnd> {
        self.check_ownership_after_stall().await?;
        let started = Instant::now();
        let Some(frame) = self.socket.parse(text) else {
            return Ok(());
        };
        if let IncomingFrame::Fault(code) = &frame {
            tracing::warn!(code, call = %self.conversation.state().info.call, "carrier reported a fault");
        }
        let is_turn = matches!(&frame, IncomingFrame::Transcript { is_last: true, .. });
        let effects = self.conversation.on_frame(frame, self.moment());
        self.execute(effects).await?;
        if is_turn {
            self.requests.poll_once();
            self.calls.metrics().record_relay_part("to_agent", started.elapsed());
        }
        Ok(())
    }

    /// After a stall another relay may own the call. Frames that waited in the socket are then not for this relay.
    async fn check_ownership_after_stall(&mut self) -> Result<(), SessionEnd> {
        if self.stall_detector.has_stalled_since(self.owned_at) {
            self.persistence.write_now(self.conversation.state()).await?;
            self.owned_at = Instant::now();
        }
        Ok(())
    }

    async fn on_command(&mut self, received: ReceivedCommand) -> Result<(), SessionEnd> {
        let started = Instant::now();
        let (agent, command, replier) = received.split();
        if let CallCommand::OwnerChanged { epoch } = command {
            return match epoch > self.persistence.epoch() {
                true => Err(SessionEnd::OwnerChanged),
                false => Ok(()),
            };
        }
        let is_answer = matches!(command, CallCommand::Answer { .. });
        let outcome = match agent == self.conversation.state().info.agent {
            true => {
                let now = self.moment();
                let (effects, outcome) = commands::apply(&mut self.conversation, command, now);
                self.execute(effects).await?;
                outcome
            }
            false => CommandOutcome::NotYours,
        };
        if is_answer {
            self.calls.metrics().record_relay_part("to_caller", started.elapsed());
        }
        replier.reply(&outcome).await;
        Ok(())
    }

    async fn on_reply_event(&mut self, event: ReplyEvent) -> Result<(), SessionEnd> {
        let now = self.moment();
        let ReplyEvent { by, turn, kind } = event;
        let state = self.conversation.state_mut();
        if by != state.responder {
            // Another responder has taken over meanwhile.
            return Ok(());
        }
        let effects = match kind {
            ReplyKind::Claimed => {
                self.requests.set_claimed(turn == state.turn);
                return Ok(());
            }
            ReplyKind::Text { text, is_last } => {
                let speaker = by.speaker();
                // Should the agent's stream be lost, the conversation waits for it.
                state.is_attended |= speaker == Speaker::Agent;
                let chunk = ReplyChunk {
                    by: speaker,
                    turn: Some(turn),
                    text,
                    is_last,
                    // The prompts of the models require it.
                    is_in_callers_language: true,
                };
                // A rejected piece needs no effect.
                self.conversation.reply(chunk, now).unwrap_or_default()
            }
            ReplyKind::VoicemailFinished(message) => {
                state.message = Some(message);
                self.conversation.voicemail_finished(now)
            }
            ReplyKind::Unavailable => self.conversation.reply_unavailable(turn, now),
        };
        self.execute(effects).await?;
        self.calls
            .metrics()
            .record_relay_part("to_caller", now.instant.elapsed());
        Ok(())
    }

    async fn on_deadline(&mut self) -> Result<(), SessionEnd> {
        let now = self.moment();
        if self.close_by.is_some_and(|by| by <= now.instant) {
            return Err(SessionEnd::SocketClosed);
        }
        self.credit
            .charge_if_due(&self.calls, self.conversation.state(), now.wall);
        let effects = self.conversation.tick(now);
        self.execute(effects).await
    }

    async fn on_credit(&mut self, credit: Credit) -> Result<(), SessionEnd> {
        let state = self.conversation.state_mut();
        match credit {
            Credit::PaidUntil(until) => {
                state.paid_until = Some(until);
                self.persistence.mark_dirty();
                Ok(())
            }
            Credit::Exhausted => {
                state.paid_until = None;
                let effects = self.conversation.credit_exhausted(self.moment());
                self.execute(effects).await
            }
        }
    }

    /// The relay is draining: hands over the call in a quiet moment, or when the time is up.
    async fn hand_over_if_quiet(&mut self) -> Result<(), SessionEnd> {
        let Some(by) = self.hand_over_by.filter(|_| self.close_by.is_none()) else {
            return Ok(());
        };
        if !self.conversation.is_quiet() && Instant::now() < by {
            return Ok(());
        }
        tracing::info!(call = %self.conversation.state().info.call, "call handed over to another relay");
        self.close().await
    }

    /// Executes the effects of the conversation, in order.
    async fn execute(&mut self, effects: Vec<Effect>) -> Result<(), SessionEnd> {
        for effect in effects {
            match effect {
                Effect::Send(frame) => self.socket.send(&frame).await?,
                Effect::RequestReply { .. } => self.requests.start(self.conversation.state()),
                Effect::CancelRequest => self.requests.cancel(),
                Effect::ChangeRecording(change) => {
                    self.persistence.write_now(self.conversation.state()).await?;
                    self.recording.change(self.conversation.state(), change);
                }
                Effect::Save => self.persistence.mark_dirty(),
                Effect::Close => self.close().await?,
            }
        }
        Ok(())
    }

    /// Ends the session, after the state is persisted: the carrier requests the next script at once.
    async fn close(&mut self) -> Result<(), SessionEnd> {
        if self.close_by.is_some() {
            return Ok(());
        }
        self.requests.cancel();
        self.close_by = Some(Instant::now() + CLOSE_TIMEOUT);
        self.conversation.state_mut().is_session_closed_by_us = true;
        self.persistence.write_now(self.conversation.state()).await?;
        self.socket.send(&OutgoingFrame::End { handoff: None }).await
    }

    /// The registry may have lost the call, and the store its state.
    fn register_again(&mut self) {
        let (calls, call) = (self.calls.clone(), self.conversation.state().info.call.clone());
        self.calls.tasks().spawn(async move {
            if let Err(error) = relay_registry::register_call(&calls, &call).await {
                tracing::warn!(%error, %call, "call not registered: no relay takes it over if this one vanishes");
            }
        });
        self.persistence.mark_dirty();
    }

    /// Persists the last changes after the socket has closed, unless another relay owns the call.
    async fn finish(&mut self, end: &SessionEnd) {
        self.requests.cancel();
        if !self.conversation.state().partial.is_empty() {
            // Its last words may be newer than the last write.
            self.persistence.mark_dirty();
        }
        if !matches!(end, SessionEnd::OwnerChanged) {
            self.persistence.finish(self.conversation.state()).await;
        }
    }
}

async fn wait_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => pending().await,
    }
}
