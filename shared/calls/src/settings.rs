//! Settings of calls.

use std::{sync::Arc, time::Duration};

use super::phrases::PromptCatalog;

#[derive(Clone, Debug)]
pub struct CallSettings {
    pub timeouts: Timeouts,
    /// Maximum length of a call.
    pub max_duration: Duration,
    /// Timeout of a request to the model of an agent's client.
    pub sampling_timeout: Duration,
    /// Time for a reply from an agent that was only notified by push.
    pub push_timeout: Duration,
    pub phrases: Arc<PromptCatalog>,
}

impl Default for CallSettings {
    fn default() -> Self {
        Self {
            timeouts: Timeouts::default(),
            max_duration: Duration::from_secs(3_600),
            sampling_timeout: Duration::from_secs(8),
            push_timeout: Duration::from_secs(6),
            phrases: Arc::default(),
        }
    }
}

/// Timeouts and limits of a conversation.
#[derive(Clone, Debug)]
pub struct Timeouts {
    /// Pause after the caller's utterance, before the first filler.
    pub filler_after: Duration,
    /// Pause between two fillers.
    pub filler_interval: Duration,
    /// Time for the first piece of the agent's reply. Afterwards the voicemail service takes over.
    pub reply_timeout: Duration,
    /// Time between two pieces of a reply.
    pub chunk_timeout: Duration,
    /// Silence on both sides before the caller is asked "are you still there?". After the same time again, the call ends.
    pub silence_timeout: Duration,
    /// Time for words after a barge-in.
    pub barge_in_timeout: Duration,
    /// Time for the next key after a key press.
    pub dtmf_timeout: Duration,
    /// Maximum number of replies by the voicemail service.
    pub voicemail_turns: u32,
    /// Maximum duration of the voicemail service.
    pub voicemail_timeout: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            filler_after: Duration::from_millis(1_200),
            filler_interval: Duration::from_secs(5),
            reply_timeout: Duration::from_secs(12),
            chunk_timeout: Duration::from_secs(8),
            silence_timeout: Duration::from_secs(20),
            barge_in_timeout: Duration::from_secs(3),
            dtmf_timeout: Duration::from_secs(2),
            voicemail_turns: 12,
            voicemail_timeout: Duration::from_secs(120),
        }
    }
}
