//! The organization, for its administrators: an overview, and the messages and calls of all its agents.

pub mod get_inbox_thread;
pub mod get_message_timeline;
pub mod get_organization_call;
pub mod get_overview;
mod inbox_view;
pub mod list_callback_attempts;
pub mod list_inbox;
pub mod list_messages;
pub mod list_organization_calls;
mod message_view;
pub mod takeovers;
pub mod text_retention;
