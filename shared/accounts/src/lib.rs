//! Organizations and their agents: bootstrap, registration, status and tokens.
//!
//! [`Agents`] and [`TeamTokens`] serve an organization's administrators. [`Bootstrap`] creates the first organization and
//! agent of an installation. Every change is written to the audit log.

mod agents;
mod audit;
mod bootstrap;
mod challenges;
mod team_tokens;

pub use agents::{Agents, NewAgent, StatusChange};
pub use bootstrap::{Addresses, Bootstrap, Bootstrapped};
pub use butt_dial_store::{AgentStatus, Challenge, ChallengeOwner};
pub use challenges::{Challenges, CodeRequest, SentCode};
pub use team_tokens::TeamTokens;
