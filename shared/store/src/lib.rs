//! The database. `Store` serves Postgres and SQLite with one SQL text where the engines agree, and with two whole statements
//! (`engine::Sql`) where they differ. One file per table or topic. Callers never see SQL, rows or connections.

mod account_notices;
mod agents;
mod audit;
mod backlogs;
mod call_legs;
mod call_row;
mod calls;
mod challenges;
mod channels;
mod charges;
mod column;
mod consents;
mod contact_state;
mod contacts;
mod costs;
mod dead_letters;
mod deferred_bodies;
mod deliveries;
mod encryption;
mod engine;
mod erasure;
mod error;
mod event_leases;
mod events;
mod group_commit;
mod identities;
mod inbound;
mod incomplete_events;
mod limits;
mod memberships;
mod messages;
mod migrations;
mod one_time_tokens;
mod organizations;
mod partitions;
mod postgres_migrations;
mod provider_accounts;
mod recipients;
mod registrations;
mod retention;
mod routes;
mod scheduled;
mod sealed_contents;
mod sender_orders;
mod senders;
mod sends;
mod service_charges;
mod store;
#[cfg(test)]
mod tests;
mod tokens;
mod usage;
mod voice_settings;

pub use account_notices::{NewNotice, Notice, NoticeState};
pub use agents::{Agent, AgentStatus, Profile, StatusSetBy};
pub use audit::AuditEntry;
pub use backlogs::{Backlog, BacklogKind};
pub use call_legs::CallLeg;
pub use call_row::Call;
pub use calls::{CallCursor, CallEntry};
pub use challenges::{Challenge, ChallengeOwner, ChallengeState, NewChallenge};
pub use channels::{AccountRef, OwnedChannel};
pub use column::UnknownValue;

pub use contact_state::{ConsentStatus, ContactState, UNREACHABLE};
pub use contacts::Suppression;
pub use dead_letters::{DeadLetter, DeadLetterReason, NewDeadLetter};
pub use deferred_bodies::EventAwaitingBody;
pub use deliveries::DeliveryClaim;
pub use encryption::DatabaseKey;
pub use error::StoreError;
pub use event_leases::EventLease;
pub use events::{AgentEvent, EventPositions, EventReason, EventState, NewEvent};
pub use inbound::{
    Applied, AppliedEntry, CallChange, Conclusion, ContactEffects, FollowUp, InboundBatch, InboundRow, ReceiptEntry,
    StatusTransition,
};
pub use incomplete_events::IncompleteEvent;
pub use memberships::{Member, MemberChange, Membership, Role};
pub use messages::{Attempt, Message, Unsettled};
pub use one_time_tokens::{NewOneTimeToken, OneTimeKind, OneTimeToken};
pub use organizations::{NewTeam, OrgMode, OrgStatus, Organization, TeamEntry};
pub use provider_accounts::{AccountStatus, NewProviderAccount, ProviderAccount};
pub use recipients::{InboundFilter, InboundRules, Recipient, Subscription};
pub use registrations::{Activation, NewRegistration, NextStep, RegistrationDetails, RegistrationStep};
pub use retention::{AgentRows, TimedRows};
pub use routes::{InboundRoute, PoolRoute, SenderRoute};
pub use scheduled::{Cancellation, NewScheduledSend, ScheduledCap, ScheduledCaps, ScheduledSend, ScheduledState};
pub use sealed_contents::{SealedColumn, SealedContent, SealedCursor};
pub use sender_orders::{OrderState, OrderStep, SenderOrder};
pub use senders::{NewSender, Registration, Sender, SenderChange, SenderModes};
pub use sends::{Acceptance, AcceptedSend, AttemptOutcome, SendResult, SettledSend};
pub use store::Store;
pub use tokens::{NewToken, ReplacedTokens, Token};
pub use usage::{Spend, UsageRow};
