//! Telephone calls, as agents make them and talk in them. What a call is, and who says what in it when, stands in
//! `butt_dial_comms::calls`.

pub mod attend_call;
pub mod bridge_call;
pub mod call_on_behalf;
pub mod call_reply;
pub mod end_call;
pub mod generate_tts;
pub mod get_call;
pub mod list_calls;
mod listening;
pub mod make_call;
pub mod say;
pub mod send_voice_message;
pub mod set_voice_callback;
pub mod transfer_call;
mod views;

pub use listening::{Next, next, next_turn, open_ear, patience};
pub use views::{CallView, FullCall, TurnView};
