//! The send pipeline: one path for every message and call, whether it comes from MCP, REST or a schedule.
//!
//! Each stage consumes the result of the stage before it, so that none can be skipped or reordered:
//! [`SendRequest`] -> `Authorized` -> `ValidMessage` -> `NewMessage` -> `CompliantMessage` -> `ReservedMessage` ->
//! `Dispatched` -> [`SendReceipt`].
//!
//! `pipeline.rs` has the entry [`Outbound::send`] and the order of the stages; a stage is one file. `scheduled_sends.rs` sends
//! what is due, `reconcile.rs` settles sends with an unknown outcome.

mod approval_link;
mod approvals;
mod authorize;
mod chat_actions;
mod choose_sender;
mod colleagues;
mod comply;
pub(crate) mod deferred;
mod disclose;
mod dispatch;
mod fall_back;
mod fallback_chain;
mod fields;
mod find_carrier;
mod granted;
mod handle;
mod help_reply;
mod idempotency;
mod internal_carrier;
mod length;
mod lookup;
mod mail_headers;
mod mail_options;
mod organization;
mod parts;
mod pipeline;
mod preflight;
mod receipt;
mod reconcile;
mod record;
mod refusals;
mod request;
mod reserve;
mod schedule;
mod scheduled_sends;
mod send_time;
mod status_event;
mod validate;

pub use approval_link::ApprovalLink;
pub use approvals::HeldMessage;
pub use butt_dial_store::{Message, ScheduledSend};
pub use chat_actions::{ChatCommand, ChatTarget, PerformedAction};
pub use choose_sender::find_own_sender;
pub(crate) use deferred::DeferredSend;
pub use fall_back::may_help as may_fall_back;
pub use fields::parse_recipient;
pub use handle::{Outbound, OutboundSettings};
pub(crate) use help_reply::build_help_reply;
pub(crate) use internal_carrier::ID as INTERNAL_CARRIER;
pub use mail_options::MailRequest;
pub use organization::{
    Attempt, Fallback, Found, Look, MessageCounts, MessageFilter, MessageHistory, MessagesFound, StatusReport,
    TraceStep,
};
pub use preflight::Preflight;
pub use receipt::{PartReceipt, SendReceipt, describe};
pub use refusals::{error_code, explain, hint_after_receipt};
pub use request::{Allowance, SendRequest};
pub(crate) use reserve::StoredContent;
pub use status_event::UNCONFIRMED_HINT;
