//! The settings of an agent for its calls.

use serde::{Deserialize, Serialize};

use super::{AutomatonActions, InterruptSensitivity};

/// How an agent speaks and listens on the phone, unless a call has separate settings. Stored with the agent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct VoiceSettings {
    /// BCP 47.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// The carrier's name of a voice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub voice: Option<String>,
    /// The first words to a caller, after the disclosure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub greeting: Option<String>,
    /// Likely words, for speech recognition.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hints: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interrupt_sensitivity: Option<InterruptSensitivity>,
    /// Keys of which each ends the input of digits; empty: none does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finish_on_key: Option<String>,
    /// Numbers, prices, dates and addresses are written the way people say them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spoken_forms: Option<bool>,
    /// Calls are recorded, after an announcement.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub records_calls: Option<bool>,
    /// The reactions to automata that answer outbound calls.
    #[serde(skip_serializing_if = "AutomatonActions::is_default")]
    pub automata: AutomatonActions,
    /// The instructions about calls that have none of their own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system_prompt: Option<String>,
    /// How the agent speaks of itself: `male`, `female` or `neutral`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gender: Option<String>,
    /// The gender of the voice, as the agent wants it. A voice by name comes first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub voice_gender: Option<String>,
}
