//! The commands and their outcomes, as they travel over the bus. Their serialized names must stay: two versions of the
//! program exchange them.

use butt_dial_domain::{AgentId, Channel, Code, Failure};
use serde::{Deserialize, Serialize};

use super::super::{
    notifications::CallNotification,
    voice_settings::{check_language, check_voice},
};

/// Twilio speaks at most 4,096 characters of a text, which is four minutes of speech.
const MAX_TEXT: usize = butt_dial_domain::bounds::SPOKEN_TEXT;
/// The same as for messages.
const MAX_KEY: usize = butt_dial_domain::bounds::IDEMPOTENCY_KEY;

#[derive(Clone, Serialize, Deserialize)]
#[serde(tag = "order", rename_all = "snake_case")]
pub enum CallCommand {
    Answer {
        /// The turn that it replies to. `None`: the current one.
        turn: Option<u64>,
        text: String,
        /// No more pieces of the reply follow.
        is_last: bool,
        /// The call ends once the text is played.
        ends: bool,
        /// Idempotency key: two commands with the same key are one.
        key: Option<String>,
        /// The language of both sides from here on, BCP 47. `None`: it stays.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        language: Option<String>,
        /// The carrier's name of a voice. `None`: it stays.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        voice: Option<String>,
    },
    /// The agent attends the call from now on.
    Attend,
    HangUp {
        /// Last words.
        text: Option<String>,
    },
    Transfer {
        to: String,
        /// Spoken to the caller before the transfer.
        announcement: Option<String>,
        /// Spoken to the callee before the two are connected.
        whisper: Option<String>,
        /// Keys that are pressed when the callee answers.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        digits: Option<String>,
    },
    Play {
        url: String,
    },
    Digits {
        digits: String,
        /// Idempotency key: two commands with the same key are one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<String>,
    },
    Language {
        language: String,
    },
    /// Another relay owns the call since this epoch. Owners with an earlier epoch stop.
    #[serde(rename = "moved")]
    OwnerChanged {
        epoch: u64,
    },
}

#[derive(Serialize, Deserialize)]
pub struct CommandEnvelope {
    /// The authenticated agent. A relay rejects commands for calls of other agents.
    pub agent: AgentId,
    #[serde(flatten)]
    pub command: CallCommand,
}

/// The reply of the relay that owns the call.
#[derive(Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum CommandOutcome {
    Done {
        turn: u64,
        /// The turn that waits for a reply, if there is one.
        pending: Option<Box<CallNotification>>,
    },
    Superseded {
        turn: u64,
    },
    Answered,
    /// The text has no words to speak.
    Silent,
    NotYours,
}

/// The state of the call after a command.
pub struct CompletedCommand {
    pub turn: u64,
    pub pending: Option<CallNotification>,
}

impl CallCommand {
    /// Executing it twice has the effect of executing it once.
    pub(super) fn is_idempotent(&self) -> bool {
        matches!(
            self,
            Self::Attend | Self::Answer { key: Some(_), .. } | Self::Digits { key: Some(_), .. }
        )
    }

    /// Rejects texts that are too long to be spoken, and keys that are too long to be stored.
    pub(super) fn validate(&self) -> Result<(), Failure> {
        let too_long = |field: &str, max: usize| {
            let text = format!("{field} must have at most {max} characters");
            Err(Failure::new(Code::InvalidArgument, text).on(Channel::Voice))
        };
        let is_long = |text: &Option<String>| text.as_ref().is_some_and(|text| text.chars().count() > MAX_TEXT);
        if let Self::Answer { language, voice, .. } = self {
            check_language(language.as_deref())?;
            check_voice(voice.as_deref())?;
        }
        match self {
            Self::Answer { text, .. } if text.chars().count() > MAX_TEXT => too_long("text", MAX_TEXT),
            Self::Answer { key: Some(key), .. } | Self::Digits { key: Some(key), .. }
                if key.chars().count() > MAX_KEY =>
            {
                too_long("idempotencyKey", MAX_KEY)
            }
            Self::HangUp { text } if is_long(text) => too_long("text", MAX_TEXT),
            Self::Transfer { announcement, .. } if is_long(announcement) => too_long("announcementText", MAX_TEXT),
            Self::Transfer { whisper, .. } if is_long(whisper) => too_long("summary", MAX_TEXT),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejects_texts_and_keys_that_are_too_long() {
        let answer = |text: usize, key: usize| CallCommand::Answer {
            turn: None,
            text: "ä".repeat(text),
            is_last: true,
            ends: false,
            key: Some("k".repeat(key)),
            language: None,
            voice: None,
        };
        assert_eq!(answer(MAX_TEXT, MAX_KEY).validate(), Ok(()));
        for command in [
            answer(MAX_TEXT + 1, 1),
            answer(1, MAX_KEY + 1),
            CallCommand::HangUp {
                text: Some("a".repeat(MAX_TEXT + 1)),
            },
        ] {
            assert_eq!(
                command.validate().err().map(|failure| failure.code),
                Some(Code::InvalidArgument)
            );
        }
    }
}
