//! How an event reaches its agent: live, by its callback, or by waiting for it.

pub mod listeners;
pub mod live;
pub mod log;
pub mod view;
