//! The rights of a person: access, erasure and legal holds.

pub mod holds;
pub mod jobs;
