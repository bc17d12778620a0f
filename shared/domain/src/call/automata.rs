//! The reactions of outbound calls to an automaton that answers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The reaction of a call to an announcement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AutomatonAction {
    /// The disclosure and the greeting are spoken again, once. Later announcements are a turn of the agent.
    Introduce,
    /// The call waits for a person and speaks no words.
    Wait,
    /// The announcement is a turn of the agent.
    Tell,
    /// The call ends.
    End,
}

/// The reaction to each kind of automaton. `None`: the default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AutomatonActions {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub screening: Option<AutomatonAction>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold: Option<AutomatonAction>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub menu: Option<AutomatonAction>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub voicemail: Option<AutomatonAction>,
}

impl AutomatonActions {
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Returns the reactions, and those of `other` where there is none.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            screening: self.screening.or(other.screening),
            hold: self.hold.or(other.hold),
            menu: self.menu.or(other.menu),
            voicemail: self.voicemail.or(other.voicemail),
        }
    }

    pub fn on_screening(&self) -> AutomatonAction {
        self.screening.unwrap_or(AutomatonAction::Introduce)
    }

    pub fn on_hold(&self) -> AutomatonAction {
        self.hold.unwrap_or(AutomatonAction::Wait)
    }

    pub fn on_menu(&self) -> AutomatonAction {
        self.menu.unwrap_or(AutomatonAction::Tell)
    }

    pub fn on_voicemail(&self) -> AutomatonAction {
        self.voicemail.unwrap_or(AutomatonAction::Tell)
    }
}
