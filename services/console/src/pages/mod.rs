//! The pages, one file per screen.

pub mod account;
pub mod agent;
pub mod agents;
pub mod call;
pub mod callbacks;
pub mod calls;
pub mod confirm;
pub mod dead_letters;
pub mod invitation;
pub mod keys;
pub mod members;
pub mod message;
pub mod messages;
pub mod numbers;
pub mod overview;
pub mod providers;
pub mod setup;
mod setup_forms;
mod setup_state;
pub mod sign_in;
pub mod spend;
pub mod system;
