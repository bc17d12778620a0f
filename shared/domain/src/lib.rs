//! The domain types of Butt-Dial, their pure rules, and the ports to the outside world. No I/O and no async runtime, so
//! that everything here is tested with plain values.

pub mod address;
pub mod bounds;
pub mod call;
pub mod client_stream;
pub mod clock;
pub mod delivery_status;
pub mod destination;
pub mod failure;
pub mod grants;
pub mod ids;
pub mod inbound;
pub mod keys;
pub mod limits;
mod mail_details;
pub mod message;
pub mod money;
pub mod numbers;
pub mod parts;
pub mod ports;
pub mod purpose;
pub mod redacted;
pub mod rich;
pub mod scope;
pub mod senders;
pub mod sms;
pub mod spoken_revocation;
pub mod subjects;
pub mod text;

pub use address::{Address, Channel};
pub use clock::Clock;
pub use destination::Destination;
pub use failure::{Code, Failure};
pub use grants::{Grants, Restriction, TokenBudget};
pub use ids::{
    AgentId, CallId, ChallengeId, ChannelId, MessageId, NumberRegistrationId, OrgId, ProviderAccountId, ReplicaId,
    SenderOrderId, TokenId,
};
pub use money::Micros;
pub use purpose::SendPurpose;
pub use scope::{Principal, Scope};
