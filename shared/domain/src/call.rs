//! Telephone calls: the options of an outbound call and the reports of the carrier.

mod automata;
mod voice_settings;

use serde::{Deserialize, Serialize};

use crate::{AgentId, CallId, Micros, OrgId, ProviderAccountId, clock::Timestamp};

pub use automata::{AutomatonAction, AutomatonActions};
pub use voice_settings::VoiceSettings;

#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
    strum::EnumString,
    strum::IntoStaticStr,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Direction {
    Inbound,
    Outbound,
}

impl Direction {
    /// Returns the caller and the callee, in this order.
    pub fn caller_and_callee<T>(self, local: T, remote: T) -> (T, T) {
        match self {
            Self::Inbound => (remote, local),
            Self::Outbound => (local, remote),
        }
    }

    pub fn as_str(self) -> &'static str {
        self.into()
    }

    pub fn parse(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

/// The status of a call. Reports arrive in any order; a lower `rank` never replaces a higher one.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
    strum::EnumString,
    strum::IntoStaticStr,
)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
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
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    pub fn parse(text: &str) -> Option<Self> {
        text.parse().ok()
    }

    /// Returns the rank. A report is applied only when its rank is higher than that of every earlier report.
    pub fn rank(self) -> i64 {
        match self {
            Self::Queued => 0,
            Self::Initiated => 1,
            Self::Ringing => 2,
            Self::InProgress => 3,
            Self::Completed | Self::Busy | Self::NoAnswer | Self::Canceled | Self::Failed => 4,
        }
    }

    /// Returns whether the call has ended, for any reason.
    pub fn is_over(self) -> bool {
        self.rank() == Self::Completed.rank()
    }
}

/// The carrier's machine detection of an outbound call.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
    strum::EnumString,
    strum::IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum AnsweredBy {
    Human,
    /// An answering machine has begun to speak.
    MachineStart,
    /// The answering machine has finished; a message can be left now.
    MachineEnd,
    Fax,
    Unknown,
}

impl AnsweredBy {
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    pub fn parse(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

/// The options of an outbound call. Contains an agent's texts: stored encrypted with the attempt, never logged.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallOptions {
    /// The limit of ringing.
    pub ring_seconds: u32,
    /// The limit of the call's duration.
    pub limit_seconds: u32,
    /// Whether the carrier detects answering machines.
    pub detects_machine: bool,
    /// Keys to send once the call is answered: `0-9 * # w`, where `w` is a pause.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digits: Option<String>,
    pub plan: Plan,
}

/// The plan of a call once it is answered.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    pub purpose: Purpose,
    /// Spoken first, after the disclosure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub greeting: Option<String>,
    /// The agent's instructions about the call, sent to its client with each turn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system_prompt: Option<String>,
    /// The carrier's name of a voice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub voice: Option<String>,
    /// BCP 47.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// Likely words, for speech recognition.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hints: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interrupt_sensitivity: Option<InterruptSensitivity>,
    /// Keys of which each ends the input of digits; empty: none does. `None`: `#`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finish_on_key: Option<String>,
    /// Numbers, prices, dates and addresses are written the way people say them. `None`: no.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spoken_forms: Option<bool>,
    /// The conversation is recorded, after an announcement. `None`: no.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_recorded: Option<bool>,
    #[serde(default, skip_serializing_if = "AutomatonActions::is_default")]
    pub automata: AutomatonActions,
}

impl Plan {
    /// Fills what the plan leaves open with the settings of the agent.
    pub fn with_defaults(mut self, settings: &VoiceSettings) -> Self {
        self.voice = self.voice.or_else(|| match &self.language {
            // A voice speaks its own language only.
            Some(language) if settings.language.as_ref() != Some(language) => None,
            _ => settings.voice.clone(),
        });
        self.language = self.language.or_else(|| settings.language.clone());
        if self.hints.is_empty() {
            self.hints.clone_from(&settings.hints);
        }
        self.interrupt_sensitivity = self.interrupt_sensitivity.or(settings.interrupt_sensitivity);
        self.finish_on_key = self.finish_on_key.or_else(|| settings.finish_on_key.clone());
        self.spoken_forms = self.spoken_forms.or(settings.spoken_forms);
        self.is_recorded = self.is_recorded.or(settings.records_calls);
        self.automata = self.automata.or(settings.automata);
        self.system_prompt = self.system_prompt.or_else(|| settings.system_prompt.clone());
        self
    }
}

/// Returns whether the text has the form of a BCP 47 tag. `multi` is one: carriers detect the language then.
pub fn is_language_tag(tag: &str) -> bool {
    let is_part = |part: &str| (1..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric());
    tag.len() <= crate::bounds::LANGUAGE && tag.split('-').all(is_part)
}

/// Returns the language of a BCP 47 tag without its region and script, in lower case.
pub fn primary_language(tag: &str) -> String {
    let primary = tag.split(['-', '_']).next().unwrap_or_default();
    primary.to_ascii_lowercase()
}

/// The speech that ends the agent's. `High`: any word. The others: words, but no acknowledgement such as "uh-huh"; `Low` needs
/// clear speech.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
    strum::EnumString,
    strum::IntoStaticStr,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum InterruptSensitivity {
    Low,
    #[default]
    Medium,
    High,
}

#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Purpose {
    /// The agent converses with the callee.
    #[default]
    Converse,
    /// A message is spoken to a human, or after the beep of an answering machine. Then the call ends.
    Message {
        text: String,
        /// An audio file with the message. `None`: the carrier speaks the text.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sound_url: Option<String>,
    },
    /// The callee is connected with this number.
    Connect { to: String },
}

/// Immutable facts about one call: its identity, its two ends, and what it is for. Persisted with the call's state.
#[derive(Clone, Serialize, Deserialize)]
pub struct CallInfo {
    pub call: CallId,
    pub org: OrgId,
    pub agent: AgentId,
    pub carrier: String,
    /// The account of the organization at the carrier. `None`: the installation's account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<ProviderAccountId>,
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

/// The handler of a finished call: the agent or its voicemail. The values are stored with the call.
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

/// A carrier's report about a call, from one callback. Serialized into the durable stream; contains no speech.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallReport {
    /// The carrier's id of the call.
    pub carrier_id: String,
    pub direction: Direction,
    /// Normalized if it is a number; unchanged otherwise, such as `anonymous`.
    pub from: String,
    /// Normalized.
    pub to: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<CallStatus>,
    /// The carrier's sequence number of the report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence: Option<u64>,
    /// The duration of an ended call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_seconds: Option<u32>,
    /// The carrier's time of the event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answered_by: Option<AnsweredBy>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Micros>,
    /// The end of the conversation's socket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionEnd>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recording: Option<Recording>,
    /// The status of the leg that was dialed for a transfer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dialled: Option<CallStatus>,
    /// The keys that were pressed on request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digits: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_code: Option<String>,
}

/// The end of a conversation's socket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionEnd {
    /// The carrier's id of the session. A call can have several sessions, one after the other.
    pub id: String,
    pub outcome: SessionOutcome,
    /// The handoff data that we sent when we ended the session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handoff: Option<String>,
    /// The carrier's code of a failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_code: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SessionOutcome {
    /// The call has ended: hung up, or ended by us through the carrier's API.
    Completed,
    /// We have ended the session; the call continues with the next script.
    Ended,
    /// The socket was lost or could not be opened; the call continues.
    Failed,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recording {
    /// The carrier's id.
    pub id: String,
    /// Fetched with the carrier's credentials.
    pub url: Option<String>,
    pub is_completed: bool,
    pub duration_seconds: Option<u32>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_wire_strings_of_call_statuses() {
        for (status, text) in [
            (CallStatus::Queued, "queued"),
            (CallStatus::Initiated, "initiated"),
            (CallStatus::Ringing, "ringing"),
            (CallStatus::InProgress, "in-progress"),
            (CallStatus::Completed, "completed"),
            (CallStatus::Busy, "busy"),
            (CallStatus::NoAnswer, "no-answer"),
            (CallStatus::Canceled, "canceled"),
            (CallStatus::Failed, "failed"),
        ] {
            assert_eq!(status.as_str(), text);
            assert_eq!(CallStatus::parse(text), Some(status));
            assert_eq!(serde_json::to_value(status).unwrap(), text);
        }
        assert_eq!(CallStatus::parse("in_progress"), None);
        assert!(CallStatus::Completed.is_over() && !CallStatus::InProgress.is_over());
    }

    #[test]
    fn keeps_wire_strings_of_directions_and_detection() {
        for (direction, text) in [(Direction::Inbound, "inbound"), (Direction::Outbound, "outbound")] {
            assert_eq!(direction.as_str(), text);
            assert_eq!(Direction::parse(text), Some(direction));
            assert_eq!(serde_json::to_value(direction).unwrap(), text);
        }
        for (answered_by, text) in [
            (AnsweredBy::Human, "human"),
            (AnsweredBy::MachineStart, "machine_start"),
            (AnsweredBy::MachineEnd, "machine_end"),
            (AnsweredBy::Fax, "fax"),
            (AnsweredBy::Unknown, "unknown"),
        ] {
            assert_eq!(answered_by.as_str(), text);
            assert_eq!(AnsweredBy::parse(text), Some(answered_by));
            assert_eq!(serde_json::to_value(answered_by).unwrap(), text);
        }
    }
}
