//! The state of one live call. It is persisted outside the relay that holds the call's socket (`state_store.rs`), so that
//! another relay can continue the call. The serialized names of the fields must stay: two versions of the program read
//! and write them side by side.

use butt_dial_domain::{
    ReplicaId,
    call::{Direction, Purpose},
    clock::Timestamp,
    spoken_revocation::SpokenRevocation,
};
use serde::{Deserialize, Serialize};

pub use butt_dial_domain::call::CallInfo;

use super::{callee::Automaton, revocation};

/// Limits the size of the state of a long call.
const MAX_ENTRIES: usize = 400;
/// The first entries are kept: callers state who they are and why they call at the beginning.
const FIRST_ENTRIES: usize = 40;
/// Characters of a rest that was not heard. All entries together stay far below the size of one message on the bus.
const MAX_UNHEARD: usize = 300;

/// Characters of one turn.
const MAX_UNANSWERED: usize = 16_000;

/// The message that a caller left with the voicemail service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LeftMessage {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call_back: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
}

#[derive(Clone, Serialize, Deserialize)]
pub struct CallState {
    #[serde(rename = "facts")]
    pub info: CallInfo,
    /// The transcript, oldest entry first. Entries of the agent hold only text that was played to the caller.
    #[serde(default)]
    pub history: Vec<TranscriptEntry>,
    /// Number of turns of the caller. Replies to earlier turns are rejected.
    #[serde(default)]
    pub turn: u64,
    /// The current turn has no reply yet.
    #[serde(default)]
    pub is_pending: bool,
    /// The caller is in the middle of an utterance.
    #[serde(default)]
    pub is_caller_speaking: bool,
    /// The words of that utterance so far.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub partial: String,
    /// The caller's words and keys since the last reply, as the responder receives them.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub unanswered: String,
    /// The keys among them.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub unanswered_keys: String,
    /// The language of the caller's last words, if the carrier reports it (BCP 47).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heard_language: Option<String>,
    /// The automaton that has answered an outbound call, as far as its last words show.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub callee: Option<Automaton>,
    /// The revocation of consent that a person has spoken in this call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revocation: Option<SpokenRevocation>,
    /// A screening service has heard who calls, and why.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_introduced: bool,
    /// The reply that is being spoken.
    #[serde(default)]
    pub reply: Option<Reply>,
    #[serde(default, rename = "mind")]
    pub responder: Responder,
    #[serde(default)]
    pub is_greeted: bool,
    /// The agent has replied in this call, or waited for one of its turns.
    #[serde(default)]
    pub is_attended: bool,
    /// Number of socket sessions so far.
    #[serde(default)]
    pub sessions: u32,
    /// Start of the first session.
    #[serde(default)]
    pub answered_at: Option<Timestamp>,
    #[serde(default, rename = "next")]
    pub after_session: AfterSession,
    #[serde(default, rename = "machine")]
    pub voicemail: VoicemailProgress,
    /// Milliseconds from the end of the caller's utterance to the first piece of the reply, for each answered turn.
    #[serde(default)]
    pub latencies: Vec<u32>,
    /// End of the time that is paid for. `None`: the call costs the agent nothing.
    #[serde(default)]
    pub paid_until: Option<Timestamp>,
    /// The voicemail service's result.
    #[serde(default)]
    pub message: Option<LeftMessage>,
    /// The last turn with a complete reply.
    #[serde(default)]
    pub answered: Option<u64>,
    /// The relay that holds the socket, or held it last.
    #[serde(default)]
    pub owner: Option<ReplicaId>,
    /// The relay ended the session, and the carrier continues with `after_session`.
    #[serde(default, rename = "is_handed_back")]
    pub is_session_closed_by_us: bool,
    /// The end reason of a finished call.
    #[serde(default)]
    pub ended: Option<String>,
    /// Idempotency keys of accepted replies. A repeated request speaks nothing.
    #[serde(default)]
    pub keys: Vec<String>,
    /// The recording of the conversation. `None`: the call is not recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recording: Option<RecordingState>,
    /// The entries of the transcript before the recording resumed last.
    #[serde(default)]
    pub unrecorded_entries: usize,
}

/// The state of the recording of a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordingState {
    Running,
    /// The carrier has not confirmed the pause yet.
    Pausing,
    /// The caller has not given the card data yet.
    Paused,
    /// Paused, and the caller has given digits.
    DataGiven,
    /// It has ended before the call, and is kept.
    Ended,
    /// The caller objects, or card data was heard: it is deleted at the carrier.
    Discarded,
}

impl RecordingState {
    /// Returns whether the recording may be kept. One of which the pause is not confirmed may hold card data.
    pub fn is_kept(self) -> bool {
        matches!(self, Self::Running | Self::Paused | Self::DataGiven | Self::Ended)
    }
}

/// One entry of the transcript.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TranscriptEntry {
    pub by: Speaker,
    pub text: String,
    /// The caller interrupted it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_cut: bool,
    /// The rest of a reply that was cut, shortened: the caller did not hear it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unheard: Option<String>,
    pub at: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Speaker {
    Caller,
    Agent,
    #[serde(rename = "machine")]
    Voicemail,
}

/// Shortens the rest of a reply for the transcript. `None`: there is no rest.
pub fn shortened(rest: &str) -> Option<String> {
    let rest = rest.trim();
    let text = match rest.char_indices().nth(MAX_UNHEARD) {
        Some((end, _)) => format!("{}…", &rest[..end]),
        None => rest.to_owned(),
    };
    (!text.is_empty()).then_some(text)
}

/// A reply to a turn, with the progress of its playback.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    pub turn: u64,
    pub by: Speaker,
    pub planned: String,
    /// Bytes of `planned` that were played to the caller.
    #[serde(rename = "heard")]
    pub played: usize,
    /// No more pieces follow.
    pub is_complete: bool,
    /// BCP 47. `None`: the language of the call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
}

impl Reply {
    pub fn unplayed(&self) -> &str {
        self.planned.get(self.played..).unwrap_or_default()
    }

    pub fn played_text(&self) -> &str {
        self.planned.get(..self.played).unwrap_or(&self.planned)
    }

    pub fn is_played(&self) -> bool {
        self.unplayed().trim().is_empty()
    }
}

/// The party that replies to the caller's turns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Responder {
    #[default]
    Agent,
    /// A language model that takes a message (`voicemail.rs`).
    #[serde(rename = "machine")]
    Voicemail,
}

impl Responder {
    pub fn speaker(self) -> Speaker {
        match self {
            Self::Agent => Speaker::Agent,
            Self::Voicemail => Speaker::Voicemail,
        }
    }
}

/// Usage of the voicemail service in this call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VoicemailProgress {
    pub since: Option<Timestamp>,
    /// Number of its replies.
    pub turns: u32,
}

/// Instruction for the carrier after the end of a socket session.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "next", rename_all = "snake_case")]
pub enum AfterSession {
    /// The conversation continues on any relay.
    #[default]
    Resume,
    HangUp,
    /// The caller leaves a recorded message after a beep.
    Record,
    Transfer {
        to: String,
        /// Spoken to the callee before the two are connected.
        whisper: Option<String>,
        /// Keys that are pressed when the callee answers.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        digits: Option<String>,
    },
}

impl CallState {
    pub fn new(info: CallInfo) -> Self {
        let is_recorded = info.plan.is_recorded == Some(true) && info.plan.purpose == Purpose::Converse;
        Self {
            info,
            revocation: None,
            history: Vec::new(),
            turn: 0,
            is_pending: false,
            is_caller_speaking: false,
            partial: String::new(),
            unanswered: String::new(),
            unanswered_keys: String::new(),
            heard_language: None,
            callee: None,
            is_introduced: false,
            reply: None,
            responder: Responder::Agent,
            is_greeted: false,
            is_attended: false,
            sessions: 0,
            answered_at: None,
            after_session: AfterSession::Resume,
            voicemail: VoicemailProgress::default(),
            latencies: Vec::new(),
            paid_until: None,
            message: None,
            answered: None,
            owner: None,
            is_session_closed_by_us: false,
            ended: None,
            keys: Vec::new(),
            recording: is_recorded.then_some(RecordingState::Running),
            unrecorded_entries: 0,
        }
    }

    /// Starts the time limit of an outbound call when it is answered. Has no effect on later sessions.
    pub fn start_at(&mut self, now: Timestamp) {
        if self.sessions == 0 && self.info.direction == Direction::Outbound {
            self.info.limit_at += now - self.info.started_at;
        }
    }

    pub fn is_live(&self) -> bool {
        self.ended.is_none()
    }

    /// An outbound call that is not answered yet.
    pub fn is_ringing(&self) -> bool {
        self.owner.is_none() && self.info.direction == Direction::Outbound
    }

    /// A reply has begun, and more pieces of it are expected.
    pub fn is_replying(&self) -> bool {
        self.reply.as_ref().is_some_and(|reply| !reply.is_complete)
    }

    /// Appends an entry to the transcript. Blank text is ignored.
    pub fn record(&mut self, by: Speaker, text: &str, is_cut: bool, at: Timestamp) {
        let text = text.trim();
        if text.is_empty() {
            return;
        }
        if by == Speaker::Caller && self.callee.is_none() {
            // An automaton revokes nothing.
            let heard = revocation::heard(text);
            self.revocation = match (self.revocation, heard) {
                (Some(before), Some(heard)) => Some(before.and(heard)),
                (before, heard) => before.or(heard),
            };
        }
        if self.history.len() >= MAX_ENTRIES {
            self.history.remove(FIRST_ENTRIES);
        }
        self.history.push(TranscriptEntry {
            by,
            text: text.to_owned(),
            is_cut,
            unheard: None,
            at,
        });
    }

    /// Notes the rest of the reply that was recorded last. Empty: all of it was heard after all.
    pub fn set_unheard(&mut self, rest: &str) {
        if let Some(entry) = self.history.last_mut().filter(|entry| entry.by != Speaker::Caller) {
            entry.unheard = shortened(rest);
        }
    }

    /// Records what the caller has said or pressed, for the current or the next turn.
    pub fn hear(&mut self, text: &str, at: Timestamp) {
        self.record(Speaker::Caller, text, false, at);
        if !self.unanswered.is_empty() {
            self.unanswered.push(' ');
        }
        self.unanswered.push_str(text.trim());
        let excess = self.unanswered.chars().count().saturating_sub(MAX_UNANSWERED);
        if let Some((start, _)) = self.unanswered.char_indices().nth(excess).filter(|_| excess > 0) {
            self.unanswered.drain(..start);
        }
    }

    /// The caller's words have a reply: the next turn has only new ones.
    pub fn clear_unanswered(&mut self) {
        self.unanswered.clear();
        self.unanswered_keys.clear();
    }

    /// Returns the language of the caller: of the last words, else of the call (BCP 47).
    pub fn caller_language(&self) -> &str {
        self.heard_language.as_deref().unwrap_or(&self.info.language)
    }

    /// Moves the played part of the current reply to the transcript and drops the rest.
    pub fn finish_reply(&mut self, at: Timestamp) {
        if let Some(reply) = self.reply.take() {
            let is_cut = !reply.is_played() || !reply.is_complete;
            self.record(reply.by, reply.played_text(), is_cut, at);
        }
    }
}
