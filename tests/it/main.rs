//! The integration tests: stories that an agent, an operator or a carrier could tell, over real sockets and with real
//! servers. Only the carriers are simulated, and they are spoken to over HTTP as the real ones are.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "here a failed expectation is a failed test"
)]

#[macro_use]
mod support;

mod answering;
mod attending;
mod auth;
mod call_reports;
mod callbacks;
mod calls;
mod cli;
mod compliance;
mod fallbacks;
mod faults;
mod handing_over;
mod hostile_sockets;
mod idempotency;
mod inbound;
mod inbound_faults;
mod keywords;
mod killed;
mod later;
mod lifecycle;
mod limits;
mod mcp_transports;
mod media;
mod observability;
mod outages;
mod placing;
mod receipts;
mod relays;
mod relays_in_numbers;
mod relays_in_trouble;
mod rest;
mod sampling;
mod sanitizer;
mod sending;
mod slow_agents;
mod taking_over;
mod telephone;
mod tenancy;
mod traces;
mod webhooks_hostile;
