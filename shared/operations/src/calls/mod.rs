//! Operations of telephone calls: placing, attending, replying, transferring and listing them.

pub mod attend_call;
pub mod bridge_call;
pub mod call_on_behalf;
pub mod call_reply;
pub mod end_call;
pub mod generate_tts;
pub mod get_call;
pub mod list_calls;
pub mod make_call;
pub mod say;
pub mod send_digits;
pub mod send_voice_message;
pub mod set_voice_callback;
pub mod set_voice_settings;
pub mod transfer_call;
mod views;
mod wait_turn;

use butt_dial_domain::{Code, Failure};

use crate::Context;

pub use views::{CallView, FullCall, TurnView};
pub use wait_turn::{NextEvent, subscribe_to_calls, wait_event, wait_timeout, wait_turn};

/// Fails with `NotSupported` if calls are to be recorded and the recordings could not be stored.
fn require_storage(context: &Context, records: Option<bool>) -> Result<(), Failure> {
    match records == Some(true) && !context.product.media.has_storage() {
        true => Err(Failure::new(
            Code::NotSupported,
            "calls can't be recorded: no storage for recordings is set up",
        )
        .hint("have the operator set BLOB_URL")),
        false => Ok(()),
    }
}
