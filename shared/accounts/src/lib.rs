//! Organizations and their agents: bootstrap, registration, status, tokens, accounts at vendors, and senders.
//!
//! [`Agents`] and [`TeamTokens`] serve an organization's administrators. [`Bootstrap`] creates the first organization and
//! agent of an installation. Every change is written to the audit log.

mod agents;
mod audit;
mod bootstrap;
mod challenges;
mod provider_accounts;
mod senders;
mod team_tokens;

pub use agents::{Agents, NewAgent, StatusChange};
pub use bootstrap::{Addresses, Bootstrap, Bootstrapped};
pub use butt_dial_store::{AccountStatus, AgentStatus, Challenge, ChallengeOwner, Sender, SenderChange};
pub use challenges::{Challenges, CodeRequest, SentCode};
pub use provider_accounts::{AccountView, NewAccount, OwnVendor, ProviderAccounts};
pub use senders::{AddChannel, ChannelKind, NumberOrder, OrderedSender, SenderSettings, Senders};
pub use team_tokens::TeamTokens;
