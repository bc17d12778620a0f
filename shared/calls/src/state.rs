//! What is known of a live call, wherever its socket is: kept in the key-value store, encrypted, and written only by the
//! replica that holds the call's lease. Whoever takes the call over goes on from here.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use butt_dial_domain::{
    CallId, Failure, OrgId, ReplicaId,
    call::Direction,
    clock::Timestamp,
    keys,
    ports::kv::{KvError, Lease},
};
use serde::{Deserialize, Serialize};

use crate::Comms;

pub use butt_dial_domain::call::CallInfo;

/// Longer than any call lasts (Twilio ends them after four hours, unless told otherwise).
pub const TTL: Duration = Duration::from_secs(6 * 3_600);

/// What a caller has left.
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
    /// What was said, in order. Of what we said: what was heard.
    #[serde(default)]
    pub history: Vec<TranscriptEntry>,
    /// How often the caller has spoken. Answers to older turns are dropped.
    #[serde(default)]
    pub turn: u64,
    /// The last turn has no answer yet.
    #[serde(default)]
    pub is_pending: bool,
    /// In the middle of a turn of theirs.
    #[serde(default)]
    pub is_caller_speaking: bool,
    /// What is being said.
    #[serde(default)]
    pub reply: Option<Reply>,
    #[serde(default, rename = "mind")]
    pub responder: Responder,
    #[serde(default)]
    pub is_greeted: bool,
    /// The agent has answered, or waited for a turn, in this call.
    #[serde(default)]
    pub is_attended: bool,
    /// Sockets that the call has had.
    #[serde(default)]
    pub sessions: u32,
    /// When the first of them began.
    #[serde(default)]
    pub answered_at: Option<Timestamp>,
    /// What the carrier is told when the socket has ended.
    #[serde(default, rename = "next")]
    pub after_session: AfterSession,
    #[serde(default, rename = "machine")]
    pub voicemail: VoicemailProgress,
    /// Milliseconds from the caller's last word to our first, of each answered turn.
    #[serde(default)]
    pub latencies: Vec<u32>,
    /// Until when the call is paid for; `None`: it costs the agent nothing.
    #[serde(default)]
    pub paid_until: Option<Timestamp>,
    /// What the answering machine has found out.
    #[serde(default)]
    pub message: Option<LeftMessage>,
    /// The last turn that has its whole answer.
    #[serde(default)]
    pub answered: Option<u64>,
    /// The relay that holds the socket, or held it last.
    #[serde(default)]
    pub owner: Option<ReplicaId>,
    /// We have ended the session: what comes next the carrier knows from us, or does already.
    #[serde(default, rename = "is_handed_back")]
    pub is_session_closed_by_us: bool,
    /// Why it is over, once it is.
    #[serde(default)]
    pub ended: Option<String>,
    /// Keys of answers that were given: a repeat says nothing twice.
    #[serde(default)]
    pub keys: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TranscriptEntry {
    pub by: Speaker,
    pub text: String,
    /// The caller did not let it be said to its end.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_cut: bool,
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

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    pub turn: u64,
    pub by: Speaker,
    pub planned: String,
    /// Bytes of `planned` that the caller has heard.
    #[serde(rename = "heard")]
    pub played: usize,
    /// Nothing comes to it any more.
    pub is_complete: bool,
}

impl Reply {
    pub fn unplayed(&self) -> &str {
        self.planned.get(self.played..).unwrap_or_default()
    }

    pub fn played_text(&self) -> &str {
        self.planned.get(..self.played).unwrap_or(&self.planned)
    }
}

/// Who answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Responder {
    #[default]
    Agent,
    #[serde(rename = "machine")]
    Voicemail,
}

/// How far the answering machine has come.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VoicemailProgress {
    pub since: Option<Timestamp>,
    /// What it has said.
    pub turns: u32,
}

/// What follows once the socket has ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "next", rename_all = "snake_case")]
pub enum AfterSession {
    /// The conversation goes on, on whichever replica.
    #[default]
    Resume,
    HangUp,
    /// The caller speaks after a beep.
    Record,
    Transfer {
        to: String,
        /// What the one who is called hears first.
        whisper: Option<String>,
    },
}

/// As it stands in the store: the organization in clear, to find the key by.
#[derive(Serialize, Deserialize)]
struct Sealed {
    org: OrgId,
    state: String,
}

impl CallState {
    pub fn new(info: CallInfo) -> Self {
        Self {
            info,
            history: Vec::new(),
            turn: 0,
            is_pending: false,
            is_caller_speaking: false,
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
        }
    }

    /// Somebody has answered a call of ours: its time begins now. Changes nothing the second time.
    pub fn start_at(&mut self, now: Timestamp) {
        if self.sessions == 0 && self.info.direction == Direction::Outbound {
            self.info.limit_at += now - self.info.started_at;
        }
    }

    pub fn seal(&self, comms: &Comms) -> String {
        let info = &self.info;
        // Made of strings, numbers and lists of them: both always serialize.
        let plain = serde_json::to_vec(self).unwrap_or_default();
        let sealed = Sealed {
            state: STANDARD.encode(comms.vault.encrypt(&info.org, info.call.as_str(), &plain)),
            org: info.org.clone(),
        };
        serde_json::to_string(&sealed).unwrap_or_default()
    }

    fn open(comms: &Comms, call: &CallId, text: &str) -> Option<Self> {
        let sealed: Sealed = serde_json::from_str(text).ok()?;
        let plain = STANDARD.decode(sealed.state).ok()?;
        let plain = comms.vault.decrypt(&sealed.org, call.as_str(), &plain);
        let plain = plain.inspect_err(|error| tracing::error!(%error, %call, "a call's state can't be opened"));
        serde_json::from_slice(&plain.ok()?).ok()
    }
}

/// `None`: there is no such call, or it is over for long.
pub async fn find(comms: &Comms, call: &CallId) -> Result<Option<CallState>, KvError> {
    let text = comms.kv.get(&keys::call_state(call)).await?;
    Ok(text.and_then(|text| CallState::open(comms, call, &text)))
}

/// Before anybody holds the call: as it begins.
pub async fn create(comms: &Comms, state: &CallState) -> Result<(), KvError> {
    let key = keys::call_state(&state.info.call);
    comms.kv.set(&key, &state.seal(comms), TTL).await
}

/// False when somebody else holds the call by now; nothing was written then. A store that has lost the lease gets it again.
pub async fn save(comms: &Comms, lease: &Lease, call: &CallId, sealed: &str) -> Result<bool, KvError> {
    let key = keys::call_state(call);
    if comms.kv.set_if_leased(lease, &key, sealed, TTL).await? {
        return Ok(true);
    }
    if !comms.kv.restore(lease, TTL).await? {
        return Ok(false);
    }
    tracing::warn!(%call, "the store had lost who holds a call; it is told again");
    comms.kv.set_if_leased(lease, &key, sealed, TTL).await
}

pub fn unavailable(error: &KvError) -> Failure {
    tracing::warn!(%error, "calls can't be looked up");
    Failure::unavailable("calls can't be looked up right now")
}
