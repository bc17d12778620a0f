//! How an event reaches its agent: live, by its callback, or by waiting for it.

pub mod callback;
pub mod filters;
pub mod ladder;
pub mod listeners;
pub mod live;
pub mod log;
pub mod preferences;
pub mod view;
