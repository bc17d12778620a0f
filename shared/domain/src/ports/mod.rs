//! The ports: traits for which two real implementations exist. Their conformance suites stand in `shared/testkit`.

pub mod bus;
pub mod carrier;
pub mod kv;
pub mod model;
pub mod speech;
pub mod voice;
pub mod webhook;
