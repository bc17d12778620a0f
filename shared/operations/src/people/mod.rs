//! Agents of the same organization, the own profile, and contacts.

pub mod find_agent;
pub mod get_contact_profile;
pub mod message_agent;
pub mod update_profile;
