//! Telephone calls: what the carrier tells us of one, and what it is to do with it.

use serde::{Deserialize, Serialize};

use crate::{AgentId, CallId, Micros, OrgId, clock::Timestamp};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    Inbound,
    Outbound,
}

impl Direction {
    /// Who calls and who is called, of our own end and the other one.
    pub fn caller_and_callee<T>(self, local: T, remote: T) -> (T, T) {
        match self {
            Self::Inbound => (remote, local),
            Self::Outbound => (local, remote),
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Inbound => "inbound",
            Self::Outbound => "outbound",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [Self::Inbound, Self::Outbound]
            .into_iter()
            .find(|direction| direction.as_str() == text)
    }
}

/// Where a call is. Callbacks come in any order; a call never goes back (`rank`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CallStatus {
    Queued,
    Initiated,
    Ringing,
    InProgress,
    Completed,
    Busy,
    NoAnswer,
    Canceled,
    Failed,
}

impl CallStatus {
    pub const ALL: [Self; 9] = [
        Self::Queued,
        Self::Initiated,
        Self::Ringing,
        Self::InProgress,
        Self::Completed,
        Self::Busy,
        Self::NoAnswer,
        Self::Canceled,
        Self::Failed,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Initiated => "initiated",
            Self::Ringing => "ringing",
            Self::InProgress => "in-progress",
            Self::Completed => "completed",
            Self::Busy => "busy",
            Self::NoAnswer => "no-answer",
            Self::Canceled => "canceled",
            Self::Failed => "failed",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }

    /// A report counts only when its rank is higher than that of every report before.
    pub fn rank(self) -> i64 {
        match self {
            Self::Queued => 0,
            Self::Initiated => 1,
            Self::Ringing => 2,
            Self::InProgress => 3,
            Self::Completed | Self::Busy | Self::NoAnswer | Self::Canceled | Self::Failed => 4,
        }
    }

    pub fn is_over(self) -> bool {
        self.rank() == Self::Completed.rank()
    }
}

/// Who, or what, took a call of ours, as far as the carrier can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AnsweredBy {
    Human,
    /// A machine has begun to speak.
    MachineStart,
    /// It has finished: now a message can be left.
    MachineEnd,
    Fax,
    Unknown,
}

impl AnsweredBy {
    pub const ALL: [Self; 5] = [
        Self::Human,
        Self::MachineStart,
        Self::MachineEnd,
        Self::Fax,
        Self::Unknown,
    ];

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|who| who.as_str() == text)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Human => "human",
            Self::MachineStart => "machine_start",
            Self::MachineEnd => "machine_end",
            Self::Fax => "fax",
            Self::Unknown => "unknown",
        }
    }
}

/// How a call of ours is to go. Holds what an agent says: kept, encrypted, with the attempt, and never logged.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallOptions {
    /// How long it may ring.
    pub ring_seconds: u32,
    /// The longest that it may last.
    pub limit_seconds: u32,
    /// Whether the carrier is to find out who, or what, answers.
    pub detects_machine: bool,
    /// Pressed once it is answered: `0-9 * # w`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digits: Option<String>,
    pub plan: Plan,
}

/// What is to happen once somebody answers.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    pub purpose: Purpose,
    /// The first words, after the disclosure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub greeting: Option<String>,
    /// What the agent's client is told about the call with each turn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system_prompt: Option<String>,
    /// The carrier's name of a voice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub voice: Option<String>,
    /// BCP 47.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Purpose {
    /// The agent talks with whoever answers.
    Converse,
    /// Something is said, to a human or after a machine's beep, and that is all.
    Message {
        text: String,
        /// A sound file that says it; `None`: the carrier speaks the text.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sound_url: Option<String>,
    },
    /// Whoever answers is connected with this number.
    Connect { to: String },
}

/// Immutable facts about one call: its identity, its two ends, and what it is for. Persisted with the call's state.
#[derive(Clone, Serialize, Deserialize)]
pub struct CallInfo {
    pub call: CallId,
    pub org: OrgId,
    pub agent: AgentId,
    pub carrier: String,
    /// The carrier's id. An outbound call has none until the carrier has accepted it.
    pub carrier_id: Option<String>,
    pub direction: Direction,
    /// The agent's number.
    pub local: String,
    /// The number of the other person.
    pub remote: String,
    /// The name under which the agent calls or answers.
    pub name: String,
    pub plan: Plan,
    /// BCP 47.
    pub language: String,
    pub started_at: Timestamp,
    /// The time at which the call must end.
    pub limit_at: Timestamp,
}

/// Who handled a finished call for the agent. The values are stored with the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HandledBy {
    Agent,
    /// Only the voicemail service talked with the caller, who left no message: a missed call.
    #[serde(rename = "machine")]
    Voicemail,
    /// The caller left a message.
    Message,
    /// The call was connected with another number.
    Transfer,
}

impl HandledBy {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Voicemail => "machine",
            Self::Message => "message",
            Self::Transfer => "transfer",
        }
    }
}

/// What one callback tells of a call. Serialized into the durable stream; holds no speech.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallReport {
    /// The carrier's id of the call.
    pub carrier_id: String,
    pub direction: Direction,
    /// Normalized where it is a number; `anonymous` and the like as they come.
    pub from: String,
    /// Normalized.
    pub to: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<CallStatus>,
    /// The carrier's own order of its reports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence: Option<u64>,
    /// How long it lasted, once it is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_seconds: Option<u32>,
    /// When it happened, as the carrier says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answered_by: Option<AnsweredBy>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Micros>,
    /// The conversation's socket has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionEnd>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recording: Option<Recording>,
    /// What became of a leg that was dialled for a transfer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dialled: Option<CallStatus>,
    /// Keys that were pressed where keys were asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digits: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_code: Option<String>,
}

/// How a conversation's socket ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionEnd {
    /// The carrier's id of this socket's session: a call can have several, one after the other.
    pub id: String,
    pub outcome: SessionOutcome,
    /// What we gave it to hand on, where we ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handoff: Option<String>,
    /// The carrier's code, where it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_code: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SessionOutcome {
    /// The call is over: hung up, or ended by us over the carrier's API.
    Completed,
    /// We ended the session; the call goes on with what it is told to do next.
    Ended,
    /// The socket was lost or could not be opened; the call goes on.
    Failed,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recording {
    /// The carrier's id.
    pub id: String,
    /// To be fetched with the carrier's credentials.
    pub url: Option<String>,
    pub is_completed: bool,
    pub duration_seconds: Option<u32>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_read_as_they_are_written() {
        for status in CallStatus::ALL {
            assert_eq!(CallStatus::parse(status.as_str()), Some(status));
            assert_eq!(serde_json::to_value(status).unwrap(), status.as_str());
        }
        for direction in [Direction::Inbound, Direction::Outbound] {
            assert_eq!(Direction::parse(direction.as_str()), Some(direction));
        }
        for who in AnsweredBy::ALL {
            assert_eq!(AnsweredBy::parse(who.as_str()), Some(who));
        }
        assert!(CallStatus::Completed.is_over() && !CallStatus::InProgress.is_over());
    }
}
