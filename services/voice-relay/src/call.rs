//! One call, as long as its socket lasts: a task that owns the socket and does what the dialogue says. Everything that can
//! wait (the agent, the model, the state's store, money) is waited for beside the caller, never in front of them.

use std::{sync::Arc, time::Duration};

use axum::extract::ws::{Message, WebSocket};
use butt_dial_comms::{
    Comms,
    calls::{
        dialogue::{Act, Answer, Dialogue},
        relays,
        signal::{self, Event, Signal},
        state::{self, Speaker},
    },
};
use butt_dial_domain::{
    call::Direction,
    ports::{
        bus::Message as BusMessage,
        kv::{KvError, Lease},
        voice::{FromCaller, ToCaller, Voice},
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
    mind::{Thought, What},
    money::{self, Paid},
    pulse::Pulse,
    taking::{Admitted, Taken, opened, take},
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
    Malformed,
    /// Another relay holds the call by now.
    Moved,
}

pub(crate) struct Call {
    pub(crate) comms: Comms,
    voice: Arc<dyn Voice>,
    socket: WebSocket,
    pub(crate) dialogue: Dialogue,
    pub(crate) lease: Lease,
    orders: BoxStream<'static, BusMessage>,
    presence: BoxStream<'static, BusMessage>,
    /// Whoever thinks about the current turn. Dropped, it is cancelled upstream.
    pub(crate) mind: Option<BoxFuture<'static, ()>>,
    /// The agent has come while it was being asked.
    pub(crate) arrivals: Arc<Notify>,
    /// A tool call of the agent's has the current turn.
    pub(crate) is_taken: bool,
    pub(crate) thoughts: (mpsc::Sender<Thought>, mpsc::Receiver<Thought>),
    pub(crate) saving: Option<BoxFuture<'static, Result<bool, KvError>>>,
    pub(crate) is_dirty: bool,
    paying: Option<BoxFuture<'static, Paid>>,
    /// We have said that the session ends; the carrier closes the socket.
    closing_by: Option<Instant>,
    quiet_by: Option<Instant>,
    pulse: Arc<Pulse>,
    /// By then the call was known to be ours.
    held_at: Instant,
}

/// Holds the call until its socket ends.
pub async fn hold(relay: Relay, mut socket: WebSocket, admitted: Admitted) {
    let call = admitted.state.facts.call.clone();
    let Some(opened) = opened(&mut socket, &*admitted.voice).await else {
        tracing::info!(%call, "a call's socket said nothing that begins a session");
        return;
    };
    match take(&relay, socket, admitted, opened).await {
        Ok(Some(taken)) => {
            let mut held = Call::of(taken, relay.pulse.clone());
            if let Err(error) = relays::enter(&relay.comms, &call).await {
                tracing::warn!(%error, %call, "should this relay vanish, nobody will look for this call");
            }
            let ended = held.run(&relay).await;
            tracing::info!(%call, ?ended, "a call's socket has ended");
            held.finish(&ended).await;
            if let Err(error) = relays::leave(&relay.comms, &call).await {
                tracing::info!(%error, %call, "a call that has gone is still in the list of this relay's");
            }
        }
        Ok(None) => tracing::info!(%call, "a socket was opened for a call that is over, or for another one"),
        Err(error) => tracing::warn!(%error, %call, "a call can't be taken; the carrier asks again"),
    }
}

impl Call {
    fn of(taken: Taken, pulse: Arc<Pulse>) -> Self {
        Self {
            comms: taken.comms,
            voice: taken.voice,
            socket: taken.socket,
            dialogue: taken.dialogue,
            lease: taken.lease,
            orders: taken.orders,
            presence: taken.presence,
            mind: None,
            arrivals: Arc::default(),
            is_taken: false,
            thoughts: mpsc::channel(THOUGHTS),
            saving: None,
            is_dirty: false,
            paying: None,
            closing_by: None,
            quiet_by: None,
            pulse,
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
        let mut amnesia = relay.amnesia.subscribe();
        loop {
            let deadline = self.deadline();
            let is_draining = self.quiet_by.is_some();
            tokio::select! {
                // What the caller says comes first: it may make all the rest moot.
                biased;
                frame = self.socket.recv() => self.received(frame).await?,
                Some(order) = self.orders.next() => self.ordered(order).await?,
                Some(thought) = self.thoughts.1.recv() => self.thought(thought).await?,
                () = poll(&mut self.mind) => self.mind = None,
                saved = poll_or_pend(&mut self.saving) => self.saved(saved)?,
                paid = poll_or_pend(&mut self.paying) => self.paid(paid).await?,
                Some(_) = self.presence.next() => self.agent_is_there(),
                Ok(()) = amnesia.changed() => self.tell_again(),
                () = at(deadline) => self.tick().await?,
                () = drain.cancelled(), if !is_draining => self.quiet_by = Some(Instant::now() + QUIET_WITHIN),
            }
            self.hand_over_if_quiet().await?;
            self.save();
        }
    }

    async fn begin(&mut self) -> Result<(), Ended> {
        let state = &self.dialogue.state;
        let is_reachable = match (state.is_greeted, state.facts.direction) {
            // An agent that has somebody called is there, or will be.
            (true, _) | (_, Direction::Outbound) => true,
            (false, Direction::Inbound) => {
                let signal = Signal::new(Event::Incoming, state);
                signal::is_reachable(&self.comms, &state.facts.agent, &signal).await
            }
        };
        if is_reachable && !self.dialogue.state.is_greeted {
            self.push_incoming();
        }
        let now = self.comms.clock.now();
        let acts = self.dialogue.open(is_reachable, now, Instant::now());
        self.perform(acts).await
    }

    fn deadline(&self) -> Option<Instant> {
        let now = self.comms.clock.now();
        let money = match self.paying {
            Some(_) => None,
            None => money::due_in(self.dialogue.state.paid_until, now).map(|left| Instant::now() + left),
        };
        // Once the session is ended here, only the carrier's close is waited for.
        let quiet = self.quiet_by.filter(|_| self.closing_by.is_none());
        let all = [self.dialogue.deadline(), self.closing_by, quiet, money];
        all.into_iter().flatten().min()
    }

    async fn received(&mut self, frame: Option<Result<Message, axum::Error>>) -> Result<(), Ended> {
        let text = match frame {
            Some(Ok(Message::Text(text))) => text,
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => return Ok(()),
            Some(Ok(Message::Close(_))) | None => return Err(Ended::Socket),
            Some(Ok(Message::Binary(_))) => return Err(Ended::Malformed),
            Some(Err(error)) => {
                tracing::info!(%error, call = %self.dialogue.state.facts.call, "a call's socket broke");
                return Err(Ended::Socket);
            }
        };
        self.is_still_ours().await?;
        let begun = Instant::now();
        let frame = self.voice.read_frame(&text).map_err(|malformed| {
            tracing::warn!(reason = malformed.0, call = %self.dialogue.state.facts.call, "a call's socket is closed");
            Ended::Malformed
        })?;
        if let FromCaller::Fault(code) = &frame {
            tracing::warn!(code, call = %self.dialogue.state.facts.call, "the carrier reports a fault in a call");
        }
        let is_turn = matches!(&frame, FromCaller::Said { is_last: true, .. });
        let acts = self.dialogue.hear(frame, self.comms.clock.now(), Instant::now());
        self.perform(acts).await?;
        if is_turn {
            // Polled once, the question is on its way before anything else is looked at.
            if let Some(mind) = &mut self.mind
                && mind.now_or_never().is_some()
            {
                self.mind = None;
            }
            self.comms.metrics.call_part("to_agent", begun.elapsed());
        }
        Ok(())
    }

    /// What was said to a relay that stood still is not for it to answer, where the call has been taken over meanwhile.
    async fn is_still_ours(&mut self) -> Result<(), Ended> {
        if self.pulse.stood_still_since(self.held_at) {
            self.write_now().await?;
            self.held_at = Instant::now();
        }
        Ok(())
    }

    async fn thought(&mut self, thought: Thought) -> Result<(), Ended> {
        let begun = Instant::now();
        let (wall, turn) = (self.comms.clock.now(), thought.turn);
        if thought.by != self.dialogue.state.mind {
            // The agent has taken the call over while the machine was speaking, or the machine from the agent.
            return Ok(());
        }
        let by = match thought.by {
            state::Mind::Agent => Speaker::Agent,
            state::Mind::Machine => Speaker::Machine,
        };
        let acts = match thought.what {
            What::Taken => {
                self.is_taken = turn == self.dialogue.state.turn;
                return Ok(());
            }
            What::Said { text, is_last } => {
                // Should its stream be lost, it is waited for.
                self.dialogue.state.is_attended |= by == Speaker::Agent;
                let answer = Answer {
                    by,
                    turn: Some(turn),
                    text,
                    is_last,
                };
                // Superseded meanwhile: nobody is to be told.
                self.dialogue.answer(answer, wall, begun).unwrap_or_default()
            }
            What::MachineEnds(taken) => {
                self.dialogue.state.message = Some(taken);
                self.dialogue.machine_ends(begun)
            }
            What::Nobody => self.dialogue.cannot_answer(turn, wall, begun),
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
        let state = &self.dialogue.state;
        if let Some(until) = state.paid_until.filter(|_| self.paying.is_none())
            && money::due_in(Some(until), wall) == Some(Duration::ZERO)
        {
            self.paying = Some(money::pay(self.comms.clone(), state.facts.clone(), until).boxed());
        }
        let acts = self.dialogue.tick(wall, now);
        self.perform(acts).await
    }

    async fn paid(&mut self, paid: Paid) -> Result<(), Ended> {
        match paid {
            Paid::Until(until) => {
                self.dialogue.state.paid_until = Some(until);
                self.is_dirty = true;
                Ok(())
            }
            Paid::NoMore => {
                self.dialogue.state.paid_until = None;
                let acts = self.dialogue.out_of_money(self.comms.clock.now(), Instant::now());
                self.perform(acts).await
            }
        }
    }

    /// This relay is to end: the call goes on elsewhere, at a moment when nobody notices if there is one.
    async fn hand_over_if_quiet(&mut self) -> Result<(), Ended> {
        let Some(by) = self.quiet_by.filter(|_| self.closing_by.is_none()) else {
            return Ok(());
        };
        if !self.dialogue.is_quiet() && Instant::now() < by {
            return Ok(());
        }
        tracing::info!(call = %self.dialogue.state.facts.call, "a call is handed over");
        self.close().await
    }

    pub(crate) async fn perform(&mut self, acts: Vec<Act>) -> Result<(), Ended> {
        for act in acts {
            match act {
                Act::Send(frame) => self.send(&frame).await?,
                Act::Ask { .. } => self.ask(),
                Act::Cancel => self.mind = None,
                Act::Save => self.is_dirty = true,
                Act::Close => self.close().await?,
            }
        }
        Ok(())
    }

    pub(crate) async fn send(&mut self, frame: &ToCaller) -> Result<(), Ended> {
        let text = self.voice.write_frame(frame);
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
        self.mind = None;
        self.closing_by = Some(Instant::now() + CLOSED_WITHIN);
        self.dialogue.state.is_handed_back = true;
        self.write_now().await?;
        self.send(&ToCaller::End { handoff: None }).await
    }
}

async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => pending().await,
    }
}

async fn poll(future: &mut Option<BoxFuture<'static, ()>>) {
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
