//! The organization, for its administrators: an overview, and the messages and calls of all its agents.

pub mod get_message_timeline;
pub mod get_organization_call;
pub mod get_overview;
pub mod list_callback_attempts;
pub mod list_messages;
pub mod list_organization_calls;
mod message_view;
