//! The ports: traits with at least two real implementations. Their conformance suites are in `shared/testkit`.

pub mod bus;
pub mod carrier;
pub mod kv;
pub mod mail_domains;
pub mod model;
pub mod numbers;
pub mod registrations;
pub mod speech;
pub mod transcription;
pub mod voice;
pub mod webhook;
