//! The database: the truth about everything that outlives a request. One struct for both engines and one SQL text wherever
//! the engines agree; the few places where they do not stand in `sends/` and behind `engine.rs`.

mod agents;
mod audit;
mod bookings;
mod calls;
mod channels;
mod contacts;
mod costs;
mod deliveries;
mod encryption;
mod engine;
mod error;
mod events;
mod group;
mod inbound;
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
mod textless;
mod tokens;
mod unready;
mod usage;

pub use agents::{Agent, AgentStatus, Profile};
pub use audit::AuditEntry;
pub use calls::{Call, CallEntry, CallPlace};
pub use channels::OwnedChannel;
pub use contacts::{ContactState, Suppression, UNREACHABLE};
pub use deliveries::DeliveryClaim;
pub use engine::Store;
pub use error::StoreError;
pub use events::{Event, Hold, LogEnds, NewEvent};
pub use inbound::{Applied, CallChange, Conclusion, FollowUp, InboundBatch, InboundRow, Moved, ReceiptEntry};
pub use messages::{Attempt, Message, Unsettled};
pub use organizations::Organization;
pub use recipients::{InboundFilter, Recipient, Subscription};
pub use routes::InboundRoute;
pub use scheduled::{NewScheduled, Scheduled};
pub use sends::{Acceptance, AcceptedSend, SendResult, SettledSend};
pub use textless::TextlessEvent;
pub use tokens::{NewToken, Token};
pub use unready::UnreadyEvent;
pub use usage::{Spend, UsageRow};
