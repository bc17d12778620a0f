//! What tests need: real servers, a proxy that breaks connections, and the suites that every backend of a port passes.
//! A dev-dependency only: no program may link it.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "here a failed expectation is a failed test"
)]

pub mod conformance;
pub mod proxy;
pub mod servers;
