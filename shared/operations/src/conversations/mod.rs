//! Sessions: conversations of an agent with people and other agents.

pub mod close_session;
pub mod create_session;
pub mod get_session;
pub mod list_sessions;
mod views;
