//! Test support: real servers, a proxy that breaks connections, and the conformance suites of the ports. A dev-dependency
//! only: no program links it.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a failed expectation is a failed test"
)]

pub mod conformance;
pub mod proxy;
pub mod servers;
