//! Phone calls from the side of the caller: the sounds that the caller hears, word by word, and the caller's actions.
//! The vendor's simulator handles the call: it takes the commands from here and records the results.

mod call;
mod caller_script;
pub mod control;
mod operations;
mod record;
mod switchboard;

pub use call::{ApiCommand, Call, Command, State as CallState};
pub use caller_script::{CalleeBehavior, CallerStep, PhoneCall};
pub use record::{
    HeardSound, RunningRecording, Session, SimulatedRecording, SocketDrop, Sound, Speaker, TranscriptLine,
};
pub use switchboard::NewCall;
pub(super) use switchboard::Switchboard;
