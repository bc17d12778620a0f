//! Telephone calls as the people on the line live them: what they hear, word by word, and what they do. How a carrier
//! handles a call is the carrier's simulator's to know; it takes the commands from here and writes down what came of them.

mod call;
mod caller_script;
pub mod control;
mod record;
mod switchboard;

pub use call::{ApiCommand, Call, Command, State as CallState};
pub use caller_script::{CalleeBehavior, CallerStep, PhoneCall};
pub use record::{HeardSound, Session, SimulatedRecording, SocketDrop, Sound, Speaker, TranscriptLine};
pub use switchboard::{NewCall, Switchboard};
