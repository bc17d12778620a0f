//! The database: the truth about everything that outlives a request. One struct for both engines and one SQL text wherever
//! the engines agree; the few places where they do not stand in `sends/` and behind `engine.rs`.

mod agents;
mod audit;
mod calls;
mod channels;
mod charges;
mod contacts;
mod costs;
mod deferred_bodies;
mod deliveries;
mod encryption;
mod engine;
mod error;
mod events;
mod group_commit;
mod inbound;
mod incomplete_events;
mod limits;
mod messages;
mod migrations;
mod organizations;
mod recipients;
mod retention;
mod routes;
mod scheduled;
mod sends;
#[cfg(test)]
mod tests;
mod tokens;
mod usage;

pub use agents::{Agent, AgentStatus, Profile};
pub use audit::AuditEntry;
pub use calls::{Call, CallCursor, CallEntry};
pub use channels::OwnedChannel;
pub use contacts::{ContactState, Suppression, UNREACHABLE};
pub use deferred_bodies::EventAwaitingBody;
pub use deliveries::DeliveryClaim;
pub use engine::Store;
pub use error::StoreError;
pub use events::{AgentEvent, EventLease, EventPositions, NewEvent};
pub use inbound::{
    Applied, CallChange, Conclusion, FollowUp, InboundBatch, InboundRow, ReceiptEntry, StatusTransition,
};
pub use incomplete_events::IncompleteEvent;
pub use messages::{Attempt, Message, Unsettled};
pub use organizations::Organization;
pub use recipients::{InboundFilter, Recipient, Subscription};
pub use routes::InboundRoute;
pub use scheduled::{NewScheduledSend, ScheduledSend};
pub use sends::{Acceptance, AcceptedSend, SendResult, SettledSend};
pub use tokens::{NewToken, Token};
pub use usage::{Spend, UsageRow};
