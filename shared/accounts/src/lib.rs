//! Organizations and their agents: bootstrap, registration and token rotation.
//!
//! [`Agents`] serves an organization's administrators. [`Bootstrap`] creates the first organization and agent of an
//! installation. Every change is written to the audit log.

mod agents;
mod bootstrap;

pub use agents::{Agents, NewAgent};
pub use bootstrap::{Addresses, Bootstrap, Bootstrapped};
