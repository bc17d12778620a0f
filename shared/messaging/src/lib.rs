//! Messages in both directions.
//!
//! - [`outbound`]: the pipeline that sends a message or call exactly once, scheduled sends, and the reconciler.
//! - [`inbound`]: carrier webhooks, the durable stream, and the consumer that turns webhook events into agents' events.
//! - [`delivery`]: brings events to agents: push, callback, or polling.
//! - [`media`]: attachments and speech files, stored encrypted and read through signed links.
//!
//! Each has one handle ([`Outbound`], [`Inbound`], [`Delivery`], [`Media`]) that holds the backends it needs. Calls are built
//! on top of this crate; the pipeline reaches them through [`CallHook`] only.

mod account_carriers;
mod backlogs;
mod call_hook;
mod carriers;
mod conversations;
pub mod delivery;
mod egress;
mod event_content;
pub mod inbound;
pub mod inbox;
mod inbox_takeovers;
mod mail;
pub mod media;
mod metrics;
pub mod outbound;
mod provenance;
mod public_urls;
mod retention;
mod rewrap;
mod sealed_token;
mod taint;
mod tainted_texts;
mod takeovers;
#[cfg(any(test, feature = "testing"))]
#[expect(clippy::unwrap_used, reason = "for tests only")]
pub mod testing;

pub use account_carriers::{AccountCarrier, AccountCarriers, AccountServices};
pub use backlogs::{Backlogs, DueKind};
pub use butt_dial_store::{ConversationStatus, Takeover};
pub use call_hook::{AcceptedCall, CallHook, PendingCall};
pub use carriers::{Carrier, Carriers};
pub use conversations::{
    ConversationDetails, Conversations, HistoryEntry, OpenedConversation, Participant, ParticipantKind, is_conversation,
};
pub use delivery::Delivery;
pub use egress::{Egress, Forbidden};
pub use event_content::{EventContent, StoredAttachment};
pub use inbound::Inbound;
pub use inbox::{Inbox, InboxCall, InboxContact, InboxEntry};
pub use inbox_takeovers::TAKEOVER_HOURS;
pub use media::Media;
pub use metrics::Metrics;
pub use outbound::{Allowance, MailRequest, Outbound, SendReceipt, SendRequest};
pub use public_urls::PublicUrls;
pub use retention::{KeepTimes, Retention};
pub use rewrap::{Rewrap, RewrapProgress};
pub use takeovers::check_not_taken_over;
