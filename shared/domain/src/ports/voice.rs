//! The port to a carrier's calls: scripts, live-call commands, and the socket of a conversation, over which the carrier
//! sends the caller's speech as text and speaks the text that it receives. An adapter translates; it holds no state and
//! decides nothing.

use async_trait::async_trait;
use http::HeaderMap;

use super::webhook::{UnreadableRequest, VerificationError, WebhookRequest};
use crate::{
    Micros,
    call::{CallReport, CallStatus, InterruptSensitivity},
    clock::Timestamp,
};

/// The steps that the carrier runs on a call, in order. After the last one it hangs up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Script(pub Vec<Step>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    Say(Speech),
    /// Plays the audio file at a URL that the carrier can fetch.
    Play(String),
    /// Runs a conversation until its socket ends. Then the carrier requests the next script from `action_url`.
    Converse(Box<ConversationSocket>),
    /// Records the caller after a beep. Then the carrier requests the next script from `action_url`. After silence it
    /// continues with the next step.
    Record {
        max_seconds: u32,
        action_url: String,
        /// Notified when the recording can be fetched.
        recording_url: String,
    },
    /// Records both sides from now on, until the call ends. The script continues at once.
    StartRecording {
        /// Notified when the recording can be fetched, and when there is none.
        status_url: String,
    },
    Dial(Dial),
    /// Requests the next script from the URL.
    Redirect {
        url: String,
    },
    /// Rejects the call without charge.
    Reject,
    Hangup,
}

/// A text for the carrier's speech synthesizer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Speech {
    pub text: String,
    /// BCP 47.
    pub language: Option<String>,
    /// The carrier's name of a voice.
    pub voice: Option<String>,
}

/// The settings of a conversation over a socket that the carrier opens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConversationSocket {
    /// `wss://`; contains the ticket of the conversation.
    pub socket_url: String,
    /// Returns the next script after the end of the socket, for any reason. Without it the call would end with the
    /// socket.
    pub action_url: String,
    /// Spoken by the carrier at once, before the first frame. `None` for a resumed conversation.
    pub greeting: Option<String>,
    /// The first language of both sides, BCP 47.
    pub language: String,
    pub voice: Option<String>,
    /// Other languages that the conversation may switch to, BCP 47.
    pub languages: Vec<String>,
    /// Likely words, for speech recognition.
    pub hints: Vec<String>,
    /// Whether the carrier also sends transcripts of unfinished utterances.
    pub partial_transcripts: bool,
    /// The speech that ends ours.
    pub interrupt_sensitivity: InterruptSensitivity,
}

/// Calls another number and connects it with the call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dial {
    pub to: String,
    pub caller_id: Option<String>,
    pub ring_seconds: u32,
    pub limit_seconds: Option<u32>,
    /// Returns the next script when the connection has ended or failed.
    pub action_url: String,
    /// Returns the script that the callee hears before both are connected.
    pub whisper_url: Option<String>,
    /// Keys that are pressed when the callee answers: `0-9 * # w`, where `w` is a pause.
    pub digits: Option<String>,
}

/// A script in the carrier's format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    pub content_type: &'static str,
    pub body: String,
}

/// A frame from the carrier on the socket of a conversation.
#[derive(Clone, PartialEq, Eq)]
pub enum IncomingFrame {
    /// The first frame. The URL of the socket identifies the call, so no member is necessary.
    Opened {
        /// The carrier's id of the session.
        session: Option<String>,
        carrier_id: Option<String>,
        from: Option<String>,
        to: Option<String>,
    },
    /// The transcript of the caller's utterance. With `is_last` false the utterance continues, and the next transcript
    /// repeats its beginning.
    Transcript {
        text: String,
        language: Option<String>,
        is_last: bool,
    },
    /// The caller began to speak, or pressed a key, and the carrier has discarded its speech queue. `spoken` is the spoken
    /// part of the interrupted text only. Empty: the carrier does not tell it.
    Interrupted {
        spoken: String,
    },
    /// Pressed keys, in order. Carriers send one at a time.
    Keys(String),
    /// A text was spoken to its end, or until its interruption.
    Played(String),
    Speaking {
        who: Speaker,
        is_speaking: bool,
    },
    /// The carrier could not execute a frame, or the session can't continue. The carrier's code, if it sends one. Its text
    /// is dropped, because it may quote the caller.
    Fault(Option<u32>),
    /// An unknown or irrelevant frame.
    Other,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaker {
    Caller,
    Us,
}

/// A frame to the carrier on the socket of a conversation.
#[derive(Clone, PartialEq, Eq)]
pub enum OutgoingFrame {
    Speak {
        text: String,
        /// The end of the utterance.
        is_last: bool,
        language: Option<String>,
        /// Whether the caller can interrupt the text. `None`: the carrier's default.
        interruptible: Option<bool>,
        /// Whether the next frame can cut the text off.
        preemptible: bool,
    },
    Play {
        url: String,
        preemptible: bool,
    },
    Digits(String),
    /// Switches the language of both sides, BCP 47, and the voice.
    Language {
        language: String,
        /// The carrier's name of a voice. `None`: its default for the language.
        voice: Option<String>,
    },
    /// Ends the session. The call continues with the script of `action_url`, which receives `handoff`.
    End {
        handoff: Option<String>,
    },
}

/// An invalid frame. It is ignored and counted: a person is on the phone, and the next frame may be valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the frame can't be parsed: {0}")]
pub struct MalformedFrame(pub &'static str);

/// A change of the running recording of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordingChange {
    /// Silence is recorded until it resumes.
    Pause,
    Resume,
    /// Ends the recording for good.
    Stop,
}

/// The failure of a command for a live call. All commands are idempotent: they set a state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    /// The call has ended or never existed.
    #[error("the call has ended")]
    CallEnded,
    #[error("the carrier refused the command: {0}")]
    Refused(String),
    #[error("the carrier did not respond")]
    Unreachable,
}

/// A call in the carrier's records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CarrierCall {
    pub carrier_id: String,
    pub status: CallStatus,
    pub created_at: Timestamp,
    pub ended_at: Option<Timestamp>,
    /// The duration of an ended call.
    pub duration_seconds: Option<u32>,
    /// Available some time after the end.
    pub price: Option<Micros>,
}

/// The call API of a carrier. Outbound calls are placed by `Messaging::send` on `Channel::Voice`, so that they pass the
/// outbound pipeline.
#[async_trait]
pub trait Voice: Send + Sync {
    fn render(&self, script: &Script) -> Rendered;

    /// Parses the report of a verified callback. No I/O.
    fn parse_report(&self, request: &WebhookRequest) -> Result<CallReport, UnreadableRequest>;

    /// Returns the account at the carrier that a verified callback speaks for, if it is not the installation's own. No I/O.
    fn other_account(&self, _request: &WebhookRequest) -> Option<String> {
        None
    }

    /// Verifies that the carrier opens this socket. `url` is the URL of the script, with `wss://`. No I/O.
    fn verify_socket(&self, url: &str, headers: &HeaderMap) -> Result<(), VerificationError>;

    fn parse_frame(&self, text: &str) -> Result<IncomingFrame, MalformedFrame>;

    fn encode_frame(&self, frame: &OutgoingFrame) -> String;

    /// Replaces the running script of a live call.
    async fn redirect(&self, carrier_id: &str, script: &Script) -> Result<(), ControlError>;

    async fn hang_up(&self, carrier_id: &str) -> Result<(), ControlError>;

    /// Changes the running recording of a live call. Succeeds if the call has none.
    async fn change_recording(&self, _carrier_id: &str, _change: RecordingChange) -> Result<(), ControlError> {
        Ok(())
    }

    /// Fetches the current state of a call.
    async fn fetch_call(&self, carrier_id: &str) -> Result<CarrierCall, ControlError>;
}
