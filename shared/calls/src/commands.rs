//! What an agent wants of a live call: said from any gateway, done by whoever holds the call's socket.

use std::time::Duration;

use butt_dial_domain::{
    AgentId, CallId, Channel, Code, Failure,
    call::Direction,
    ports::{
        bus::{BusError, Headers},
        voice::ControlError,
    },
    subjects,
};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::{
    lookup::call_not_found,
    notifications::CallNotification,
    state::{self, AfterSession, CallState},
};
use crate::Comms;

/// How long a call that is being taken over by another relay is waited for. The carrier needs about 1.6 seconds.
const TAKEOVER_TIMEOUT: Duration = Duration::from_secs(6);
const RETRY_PAUSE: Duration = Duration::from_millis(100);
const REPLY_TIMEOUT: Duration = Duration::from_secs(2);
/// Twilio speaks at most 4,096 characters of a text; it is four minutes of speech.
const MAX_TEXT: usize = 4_000;
/// As for messages.
const MAX_KEY: usize = 255;

#[derive(Clone, Serialize, Deserialize)]
#[serde(tag = "order", rename_all = "snake_case")]
pub enum CallCommand {
    Answer {
        /// The turn that is answered; `None`: the last.
        turn: Option<u64>,
        text: String,
        is_last: bool,
        /// The call ends once it has been heard.
        ends: bool,
        /// Two orders with the same key are one.
        key: Option<String>,
    },
    /// The agent is with the call from now on.
    Attend,
    HangUp {
        /// Said before.
        text: Option<String>,
    },
    Transfer {
        to: String,
        /// What the caller hears before.
        announcement: Option<String>,
        /// What the one who is called hears first.
        whisper: Option<String>,
    },
    Play {
        url: String,
    },
    Digits {
        digits: String,
    },
    Language {
        language: String,
    },
    /// Another relay holds the call since this epoch: whoever held it before stops.
    #[serde(rename = "moved")]
    OwnerChanged {
        epoch: u64,
    },
}

#[derive(Serialize, Deserialize)]
pub struct CommandEnvelope {
    /// As it was authenticated; nobody else's call takes its orders.
    pub agent: AgentId,
    #[serde(flatten)]
    pub command: CallCommand,
}

/// What the call's holder answers.
#[derive(Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum CommandOutcome {
    Done {
        turn: u64,
        /// The turn that waits for an answer, if one does.
        pending: Option<Box<CallNotification>>,
    },
    Superseded {
        turn: u64,
    },
    Answered,
    NotYours,
}

/// What is known after an order was carried out.
pub struct CompletedCommand {
    pub turn: u64,
    pub pending: Option<CallNotification>,
}

impl CallCommand {
    /// Given twice, it is done once.
    fn is_repeatable(&self) -> bool {
        matches!(self, Self::Attend | Self::Answer { key: Some(_), .. })
    }

    /// Refuses what is too long to be spoken, or to be kept with the call.
    fn check(&self) -> Result<(), Failure> {
        let too_long = |field: &str, most: usize| {
            let text = format!("{field}: at most {most} characters");
            Err(Failure::new(Code::InvalidArgument, text).on(Channel::Voice))
        };
        let is_long = |text: &Option<String>| text.as_ref().is_some_and(|text| text.chars().count() > MAX_TEXT);
        match self {
            Self::Answer { text, .. } if text.chars().count() > MAX_TEXT => too_long("text", MAX_TEXT),
            Self::Answer { key: Some(key), .. } if key.chars().count() > MAX_KEY => too_long("idempotencyKey", MAX_KEY),
            Self::HangUp { text } if is_long(text) => too_long("text", MAX_TEXT),
            Self::Transfer { announcement, .. } if is_long(announcement) => too_long("announcementText", MAX_TEXT),
            Self::Transfer { whisper, .. } if is_long(whisper) => too_long("summary", MAX_TEXT),
            _ => Ok(()),
        }
    }
}

/// Has it done, by whoever holds the call. A call that is just being handed over is waited for.
pub async fn send(
    comms: &Comms,
    agent: &AgentId,
    call: &CallId,
    command: CallCommand,
) -> Result<CompletedCommand, Failure> {
    command.check()?;
    let begun = Instant::now();
    loop {
        let nobody = match request(comms, agent, call, &command).await? {
            CommandReply::Done(done) => return Ok(*done),
            CommandReply::NoOwner => true,
            CommandReply::TimedOut => false,
        };
        let state = find_owned_call(comms, agent, call).await?;
        if !is_live(&state) {
            return Err(call_over());
        }
        if is_ringing(&state) {
            return Err(Failure::unavailable("nobody has answered the call yet").hint("wait for the call's first turn"));
        }
        if begun.elapsed() >= TAKEOVER_TIMEOUT || !(nobody || command.is_repeatable()) {
            return Err(moving());
        }
        tokio::time::sleep(RETRY_PAUSE).await;
    }
}

/// What came of asking once.
enum CommandReply {
    Done(Box<CompletedCommand>),
    /// No relay holds the call.
    NoOwner,
    /// It may have been done: the key tells, where there is one.
    TimedOut,
}

async fn request(
    comms: &Comms,
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
    match comms
        .bus
        .request(&subject, Headers::new(), payload.into(), REPLY_TIMEOUT)
        .await
    {
        Ok(answer) => read(&answer.payload).map(|done| CommandReply::Done(Box::new(done))),
        Err(BusError::NoResponders(_)) => Ok(CommandReply::NoOwner),
        Err(BusError::TimedOut(_)) => Ok(CommandReply::TimedOut),
        Err(error) => {
            tracing::warn!(%error, %call, "a call's relay can't be asked");
            Err(Failure::unavailable("the call can't be reached right now")
                .hint("try again with the same idempotencyKey"))
        }
    }
}

fn moving() -> Failure {
    Failure::unavailable("the call is being taken over by another relay").hint("try again with the same idempotencyKey")
}

/// Ends the call: by whoever holds it, after `text` has been heard; by the carrier, where there is no conversation yet, or
/// none any more.
pub async fn hang_up(comms: &Comms, agent: &AgentId, call: &CallId, text: Option<String>) -> Result<(), Failure> {
    let state = find_owned_call(comms, agent, call).await?;
    if !is_live(&state) {
        return Err(call_over());
    }
    let command = CallCommand::HangUp { text };
    if state.owner.is_some() && leads_away(&state) {
        // While the last words are said a relay still holds the call, and afterwards the carrier alone does.
        match request(comms, agent, call, &command).await? {
            CommandReply::Done(_) => return Ok(()),
            CommandReply::TimedOut => return Err(moving()),
            CommandReply::NoOwner => {}
        }
    } else if state.owner.is_some() {
        return send(comms, agent, call, command).await.map(drop);
    }
    let info = &state.info;
    let carrier_id = match &info.carrier_id {
        Some(id) => Some(id.clone()),
        None => {
            let found = comms.store.find_call(agent, call.as_str()).await;
            found?.and_then(|call| call.carrier_id)
        }
    };
    let voice = comms.carriers.find_voice(&info.carrier);
    let Some(((_, voice), carrier_id)) = voice.zip(carrier_id) else {
        return Err(Failure::unavailable("the carrier has not taken the call yet"));
    };
    match voice.hang_up(&carrier_id).await {
        Ok(()) => Ok(()),
        Err(ControlError::CallEnded) => Err(call_over()),
        Err(ControlError::Unreachable) => Err(Failure::unavailable("the carrier can't be reached right now")),
        Err(error @ ControlError::Refused(_)) => {
            tracing::warn!(%error, %call, "a call can't be ended");
            Err(Failure::new(
                Code::ProviderRefused,
                "the carrier refuses to end the call",
            ))
        }
    }
}

/// The agent's own call, as it stands.
pub async fn find_owned_call(comms: &Comms, agent: &AgentId, call: &CallId) -> Result<CallState, Failure> {
    if !butt_dial_domain::ids::is_valid_host_id(call.as_str()) {
        return Err(call_not_found());
    }
    let found = state::find(comms, call)
        .await
        .map_err(|error| state::unavailable(&error))?;
    found.filter(|state| &state.info.agent == agent).ok_or_else(call_not_found)
}

pub fn is_live(state: &CallState) -> bool {
    state.ended.is_none()
}

/// To somebody else, or to a beep: once the last words are heard, no relay has to do with the call.
fn leads_away(state: &CallState) -> bool {
    matches!(
        state.after_session,
        AfterSession::Transfer { .. } | AfterSession::Record
    )
}

/// A call of ours that nobody has answered yet.
fn is_ringing(state: &CallState) -> bool {
    state.owner.is_none() && state.info.direction == Direction::Outbound
}

/// The agent is with the call: it gets the turn that waits already. A call that still rings has none, and its first one
/// comes to whoever waits then.
pub async fn attend(comms: &Comms, agent: &AgentId, call: &CallId) -> Result<Option<CallNotification>, Failure> {
    let state = find_owned_call(comms, agent, call).await?;
    if is_live(&state) && is_ringing(&state) {
        return Ok(None);
    }
    Ok(send(comms, agent, call, CallCommand::Attend).await?.pending)
}

pub fn call_over() -> Failure {
    Failure::new(Code::CallOver, "the call is over").hint("comms_get_call tells how it ended")
}

fn read(payload: &[u8]) -> Result<CompletedCommand, Failure> {
    match serde_json::from_slice(payload) {
        Ok(CommandOutcome::Done { turn, pending }) => Ok(CompletedCommand {
            turn,
            pending: pending.map(|signal| *signal),
        }),
        Ok(CommandOutcome::Superseded { turn }) => Err(Failure::new(
            Code::TurnSuperseded,
            "the caller has spoken again since; nothing was said",
        )
        .hint("answer the turn that is named here, or the next one that you are told of")
        .detail("turnId", turn.to_string())),
        Ok(CommandOutcome::Answered) => Err(Failure::new(
            Code::TurnSuperseded,
            "the turn has its answer already, or the call is ending; nothing was said",
        )
        .hint("wait for the next turn")),
        Ok(CommandOutcome::NotYours) => Err(call_not_found()),
        Err(error) => {
            tracing::error!(%error, "a relay's answer can't be read");
            Err(Failure::internal())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_read_a_novel() {
        let answer = |text: usize, key: usize| CallCommand::Answer {
            turn: None,
            text: "ä".repeat(text),
            is_last: true,
            ends: false,
            key: Some("k".repeat(key)),
        };
        assert_eq!(answer(MAX_TEXT, MAX_KEY).check(), Ok(()));
        for command in [
            answer(MAX_TEXT + 1, 1),
            answer(1, MAX_KEY + 1),
            CallCommand::HangUp {
                text: Some("a".repeat(MAX_TEXT + 1)),
            },
        ] {
            assert_eq!(
                command.check().err().map(|failure| failure.code),
                Some(Code::InvalidArgument)
            );
        }
    }
}
