//! Commands of an agent for a live call. Any gateway sends them over the bus; the relay that owns the call executes them and
//! replies with an outcome.

mod client;
mod relay;
mod types;

pub use client::{attend, call_over, find_owned_call, hang_up, send};
pub(crate) use relay::publish;
pub use relay::{CommandReplier, CommandStream, ReceivedCommand, subscribe};
pub use types::{CallCommand, CommandEnvelope, CommandOutcome, CompletedCommand};
