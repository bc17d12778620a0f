//! Making organizations and agents, and giving agents their tokens.

pub mod agents;
pub mod bootstrap;
