//! Sends commands to the relay that owns a call, from any gateway.

use std::time::Duration;

use butt_dial_domain::{
    AgentId, CallId, Code, Failure, ids,
    ports::{
        bus::{BusError, Headers},
        voice::ControlError,
    },
    subjects,
};
use tokio::time::{Instant, sleep};

use super::{
    super::{
        lookup::call_not_found,
        notifications::CallNotification,
        speech::nothing_to_say,
        state::{AfterSession, CallState},
        state_store,
    },
    types::{CallCommand, CommandEnvelope, CommandOutcome, CompletedCommand},
};
use crate::Calls;

/// Time for another relay to take over the call. The carrier needs about 1.6 seconds for a new socket.
const TAKEOVER_TIMEOUT: Duration = Duration::from_secs(6);
const RETRY_PAUSE: Duration = Duration::from_millis(100);
const REPLY_TIMEOUT: Duration = Duration::from_secs(2);

/// Sends a command and waits until it is executed. Retries while another relay takes over the call.
pub async fn send(
    calls: &Calls,
    agent: &AgentId,
    call: &CallId,
    command: CallCommand,
) -> Result<CompletedCommand, Failure> {
    command.validate()?;
    let started = Instant::now();
    loop {
        let can_retry = match request(calls, agent, call, &command).await? {
            CommandReply::Done(done) => return Ok(*done),
            CommandReply::NoOwner => true,
            CommandReply::TimedOut => command.is_idempotent(),
        };
        let state = find_owned_call(calls, agent, call).await?;
        if !state.is_live() {
            return Err(call_over());
        }
        if state.is_ringing() {
            return Err(Failure::new(Code::CallRinging, "the call is still ringing")
                .hint("wait for the call's first turn")
                .retry_after(1));
        }
        if !can_retry || started.elapsed() >= TAKEOVER_TIMEOUT {
            return Err(takeover_in_progress());
        }
        sleep(RETRY_PAUSE).await;
    }
}

enum CommandReply {
    Done(Box<CompletedCommand>),
    /// No relay owns the call.
    NoOwner,
    /// The command may or may not have been executed.
    TimedOut,
}

async fn request(
    calls: &Calls,
    agent: &AgentId,
    call: &CallId,
    command: &CallCommand,
) -> Result<CommandReply, Failure> {
    let envelope = CommandEnvelope {
        agent: agent.clone(),
        command: command.clone(),
    };
    let payload = serde_json::to_vec(&envelope).map_err(|_| Failure::internal())?;
    let subject = subjects::call_commands(call);
    let reply = calls
        .bus
        .request(&subject, Headers::new(), payload.into(), REPLY_TIMEOUT);
    match reply.await {
        Ok(reply) => parse_outcome(&reply.payload).map(|done| CommandReply::Done(Box::new(done))),
        Err(BusError::NoResponders(_)) => Ok(CommandReply::NoOwner),
        Err(BusError::TimedOut(_)) => Ok(CommandReply::TimedOut),
        Err(error) => {
            tracing::warn!(%error, %call, "call command failed: bus unavailable");
            Err(Failure::unavailable("the call can't be reached right now")
                .hint("try again with the same idempotencyKey"))
        }
    }
}

fn takeover_in_progress() -> Failure {
    Failure::unavailable("another server is taking over the call").hint("try again with the same idempotencyKey")
}

fn parse_outcome(payload: &[u8]) -> Result<CompletedCommand, Failure> {
    match serde_json::from_slice(payload) {
        Ok(CommandOutcome::Done { turn, pending }) => Ok(CompletedCommand {
            turn,
            pending: pending.map(|notification| *notification),
        }),
        Ok(CommandOutcome::Superseded { turn }) => Err(Failure::new(
            Code::TurnSuperseded,
            "the caller has spoken again since, so the text was not spoken",
        )
        .hint("reply to the turn in turnId, or to the next turn that you receive")
        .detail("turnId", turn.to_string())),
        Ok(CommandOutcome::Answered) => Err(Failure::new(
            Code::TurnSuperseded,
            "the turn already has a reply, or the call is ending, so the text was not spoken",
        )
        .hint("wait for the next turn")),
        Ok(CommandOutcome::Silent) => Err(nothing_to_say("text")),
        Ok(CommandOutcome::NotYours) => Err(call_not_found()),
        Err(error) => {
            tracing::error!(%error, "call command outcome unreadable");
            Err(Failure::internal())
        }
    }
}

/// Ends a call. The relay that owns it speaks `text` first. Without a conversation, the carrier ends the call at once.
pub async fn hang_up(calls: &Calls, agent: &AgentId, call: &CallId, text: Option<String>) -> Result<(), Failure> {
    let state = find_owned_call(calls, agent, call).await?;
    if !state.is_live() {
        return Err(call_over());
    }
    let command = CallCommand::HangUp { text };
    if state.owner.is_some() && leaves_relay(&state) {
        // A relay owns the call while the last words are spoken; afterwards only the carrier holds it.
        match request(calls, agent, call, &command).await? {
            CommandReply::Done(_) => return Ok(()),
            CommandReply::TimedOut => return Err(takeover_in_progress()),
            CommandReply::NoOwner => {}
        }
    } else if state.owner.is_some() {
        return send(calls, agent, call, command).await.map(drop);
    }
    hang_up_at_carrier(calls, agent, &state).await
}

/// The call leaves the relay for another number or a recording, once the last words are played.
fn leaves_relay(state: &CallState) -> bool {
    matches!(
        state.after_session,
        AfterSession::Transfer { .. } | AfterSession::Record
    )
}

async fn hang_up_at_carrier(calls: &Calls, agent: &AgentId, state: &CallState) -> Result<(), Failure> {
    let info = &state.info;
    let carrier_id = match &info.carrier_id {
        Some(id) => Some(id.clone()),
        None => {
            let found = calls.store.find_call(agent, info.call.as_str()).await;
            found?.and_then(|call| call.carrier_id)
        }
    };
    let voice = calls.find_voice(info).await?;
    let Some(((_, voice), carrier_id)) = voice.zip(carrier_id) else {
        return Err(Failure::unavailable("the carrier has not accepted the call yet"));
    };
    match voice.hang_up(&carrier_id).await {
        Ok(()) => Ok(()),
        Err(ControlError::CallEnded) => Err(call_over()),
        Err(ControlError::Unreachable) => Err(Failure::unavailable("the carrier can't be reached right now")),
        Err(error @ ControlError::Refused(_)) => {
            tracing::warn!(%error, call = %info.call, "hang-up refused by carrier");
            Err(Failure::new(
                Code::ProviderRefused,
                "the carrier refuses to end the call",
            ))
        }
    }
}

/// Gets the state of one of the agent's calls. Fails with `CallNotFound` for calls of other agents.
pub async fn find_owned_call(calls: &Calls, agent: &AgentId, call: &CallId) -> Result<CallState, Failure> {
    if !ids::is_valid_host_id(call.as_str()) {
        return Err(call_not_found());
    }
    let found = calls.find_state(call).await;
    let found = found.map_err(|error| state_store::unavailable(&error))?;
    found
        .filter(|state| &state.info.agent == agent)
        .ok_or_else(call_not_found)
}

/// Attends a call. Returns the turn that waits for a reply. A call that is still ringing has none; its first turn is
/// notified later.
pub async fn attend(calls: &Calls, agent: &AgentId, call: &CallId) -> Result<Option<CallNotification>, Failure> {
    let state = find_owned_call(calls, agent, call).await?;
    if state.is_live() && state.is_ringing() {
        return Ok(None);
    }
    Ok(send(calls, agent, call, CallCommand::Attend).await?.pending)
}

pub fn call_over() -> Failure {
    Failure::new(Code::CallOver, "the call is over").hint("comms_get_call returns how it ended")
}
