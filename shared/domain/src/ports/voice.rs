//! The port to a carrier's calls: what it is told to do with one, and the socket of a conversation, over which the carrier
//! brings what a caller says as text and speaks what it is sent. An adapter translates; it keeps no state and decides nothing.

use async_trait::async_trait;
use http::HeaderMap;

use super::webhook::{VerificationError, UnreadableRequest, WebhookRequest};
use crate::{
    Micros,
    call::{CallReport, CallStatus},
    clock::Timestamp,
};

/// What the carrier is to do with a call, one step after the other. When the last is done, it hangs up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Script(pub Vec<Step>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    Say(Speech),
    /// A sound file behind a URL that the carrier can fetch.
    Play(String),
    Pause {
        seconds: u32,
    },
    /// Until the conversation's socket ends; then the carrier asks `action_url` what to do next.
    Converse(Box<ConversationSocket>),
    /// Records the caller after a beep, then asks `action_url` what to do next. Where nothing was said, the next step follows.
    Record {
        max_seconds: u32,
        action_url: String,
        /// Told once the recording can be fetched.
        recording_url: String,
    },
    /// Records both sides from now on, beside what follows.
    StartRecording {
        recording_url: String,
    },
    Dial(Dial),
    /// Asks there what to do next.
    Redirect {
        url: String,
    },
    Conference(Conference),
    /// Does not take the call; `is_busy`: with the busy tone. Not paid for.
    Reject {
        is_busy: bool,
    },
    Hangup,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Speech {
    pub text: String,
    /// BCP 47.
    pub language: Option<String>,
    /// The carrier's name for it.
    pub voice: Option<String>,
}

/// A conversation over a socket that the carrier opens to us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConversationSocket {
    /// `wss://`; holds the conversation's token.
    pub socket_url: String,
    /// Asked what to do next when the socket has ended, however it has. Without it the call would end with the socket.
    pub action_url: String,
    /// Spoken at once by the carrier, before anything comes over the socket. `None` where a conversation goes on.
    pub greeting: Option<String>,
    /// BCP 47, of both sides, to begin with.
    pub language: String,
    pub voice: Option<String>,
    /// More languages that may be spoken.
    pub languages: Vec<String>,
    /// Words that are likely to be said, to be recognized better.
    pub hints: Vec<String>,
    /// What is being said is told before it has been said to the end.
    pub partial_transcripts: bool,
}

/// Calls somebody and connects both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dial {
    pub to: String,
    pub caller_id: Option<String>,
    pub ring_seconds: u32,
    pub limit_seconds: Option<u32>,
    /// Asked what to do next when the connection is over, or was never made.
    pub action_url: String,
    /// Asked for what the one who is called hears before both are connected.
    pub whisper_url: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conference {
    pub name: String,
    /// The conference begins when this participant comes.
    pub starts: bool,
    /// The conference ends when this participant goes.
    pub ends: bool,
    pub is_muted: bool,
}

/// A script in the carrier's own language.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    pub content_type: &'static str,
    pub body: String,
}

/// What the carrier says over a conversation's socket.
#[derive(Clone, PartialEq, Eq)]
pub enum IncomingFrame {
    /// The first frame.
    Opened {
        /// The carrier's id of this session.
        session: String,
        carrier_id: String,
        from: String,
        to: String,
    },
    /// What the caller says; with `is_last` false it is still being said, and each tells all of it so far.
    Said {
        text: String,
        language: Option<String>,
        is_last: bool,
    },
    /// The caller began to speak, or pressed a key, and everything that was queued has been thrown away. `heard` is what was
    /// spoken of the piece that was cut, and of that piece only.
    Interrupted {
        heard: String,
    },
    Key(char),
    /// A piece has been spoken to its end, or to where it was cut.
    Played(String),
    Speaking {
        who: Speaker,
        is_speaking: bool,
    },
    /// The carrier could not do what it was told, or the session can't go on: its code, where it gives one. What else it
    /// tells may quote what was said.
    Fault(Option<u32>),
    /// Something that we do not know, or have no use for.
    Other,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaker {
    Caller,
    Us,
}

/// What we say over a conversation's socket.
#[derive(Clone, PartialEq, Eq)]
pub enum OutgoingFrame {
    Speak {
        text: String,
        /// Nothing follows that belongs to it.
        is_last: bool,
        language: Option<String>,
        /// Whether the caller may interrupt it.
        interruptible: Option<bool>,
        /// It may be cut by what comes after it.
        preemptible: bool,
    },
    Play {
        url: String,
        preemptible: bool,
    },
    Digits(String),
    /// From now on both sides speak this language, BCP 47: one that the conversation was begun with.
    Language(String),
    /// Ends the session; the call goes on with the action, which is told `handoff`.
    End {
        handoff: Option<String>,
    },
}

/// A frame that is not what the carrier sends: the socket is to be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a frame can't be read: {0}")]
pub struct MalformedFrame(pub &'static str);

/// What came of an order about a live call. All of them may be given again: they say what is to be, not what is to change.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    /// The call is over, or there is none.
    #[error("the call is over")]
    Over,
    #[error("the carrier refused: {0}")]
    Refused(String),
    #[error("the carrier does not answer")]
    Unreachable,
}

/// A live call as the carrier knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CarrierCall {
    pub carrier_id: String,
    pub status: CallStatus,
    pub created_at: Timestamp,
    pub ended_at: Option<Timestamp>,
    /// How long it lasted, once it is over.
    pub duration_seconds: Option<u32>,
    /// Carriers know it some time after the end.
    pub price: Option<Micros>,
}

/// A carrier with calls. CallOptions one is `Messaging::send` on `Channel::Voice`: it passes the outbound pipeline.
#[async_trait]
pub trait Voice: Send + Sync {
    fn render(&self, script: &Script) -> Rendered;

    /// What a callback about a call says. The request has been verified. Costs no I/O.
    fn parse_report(&self, request: &WebhookRequest) -> Result<CallReport, UnreadableRequest>;

    /// Whether the carrier opens this socket. `url` is the one that it was told, with `wss://`. Costs no I/O.
    fn verify_socket(&self, url: &str, headers: &HeaderMap) -> Result<(), VerificationError>;

    fn parse_frame(&self, text: &str) -> Result<IncomingFrame, MalformedFrame>;

    fn encode_frame(&self, frame: &OutgoingFrame) -> String;

    /// The live call goes on with this script, whatever it is doing.
    async fn redirect(&self, carrier_id: &str, script: &Script) -> Result<(), ControlError>;

    async fn hang_up(&self, carrier_id: &str) -> Result<(), ControlError>;

    /// Begins to record a live call, both sides. Told at `recording_url` once it can be fetched.
    async fn start_recording(&self, carrier_id: &str, recording_url: &str) -> Result<(), ControlError>;

    /// Calls somebody into a conference.
    async fn invite(&self, conference: &str, from: &str, to: &str, status_url: &str) -> Result<(), ControlError>;

    /// Where the call stands by now.
    async fn fetch_call(&self, carrier_id: &str) -> Result<CarrierCall, ControlError>;
}
