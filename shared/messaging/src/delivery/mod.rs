//! Delivery: brings events to an agent. `worker.rs` has the steps: a push to a connected session (`push.rs`), else the agent's
//! callback (`callback.rs`), else the event waits until the agent polls for it (`pending_events.rs`).
//!
//! All events of an agent form one log with sequence numbers (`event_log.rs`). Reading the log changes nothing;
//! acknowledging does.

mod callback;
mod callback_body;
mod claim;
mod event_log;
mod event_view;
pub mod filters;
mod handle;
mod listeners;
mod page_budget;
mod pending_events;
mod preferences;
mod push;
mod returning_agents;
mod worker;

pub use butt_dial_store::{CallbackAttempt, CallbackAttemptFilter};
pub use callback::CallbackSecrets;
pub use claim::DELIVERY_LEASE;
pub use event_log::{EventFeed, MAX_PAGE, Page, PageQuery};
pub use event_view::{
    AGENT_SUSPENDED, BUDGET_ALERT, CALL_ENDED, CALL_RECORDED, CONTACT_OPTED_OUT, CONTACT_PAUSED, CONVERSATION_RETURNED,
    CONVERSATION_TAKEN_OVER, EVENT_KINDS, MESSAGE_RECEIVED, MESSAGE_STATUS, RENT_OVER_BUDGET, view,
};
pub use handle::Delivery;
pub use listeners::{Listener, ReachedSessions};
pub use pending_events::{LeasedEvents, MAX_LEASED, PendingLease};
pub use preferences::{BlockChannel, InboundFilter, NewFilter, Subscription};
pub use push::{MAX_PUSH_BYTES, PushMessage};
pub use returning_agents::ReturningAgents;
