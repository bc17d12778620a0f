//! The integration tests: stories of agents, operators and carriers over real sockets and real servers. Only the carriers
//! are simulated, and the programs reach them over HTTP as they reach the real ones.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "in a test, a failed expectation is a failed test"
)]

#[macro_use]
mod support;

mod accounts;
mod accounts_access;
mod administration;
mod agent_takeover;
mod alerts;
mod anomalies;
mod api_snapshots;
mod approvals;
mod argument_bounds;
mod argument_names;
mod audit;
mod auth;
mod bills;
mod call_flows;
mod call_frames;
mod call_recordings;
mod call_reports;
mod call_tools;
mod callbacks;
mod carrier_faults;
mod cli;
mod colleagues;
mod compliance;
mod consent_ledger;
mod conversations;
mod crash_recovery;
mod error_bodies;
mod exhaustion;
mod fallbacks;
mod granted_events;
mod granted_people;
mod grants;
mod hostile_sockets;
mod hostile_webhooks;
mod hung_backends;
mod idempotency;
mod inbound;
mod inbound_calls;
mod inbound_faults;
mod keywords;
mod killed_orders;
mod lenient_clients;
mod lifecycle;
mod limits;
mod line_people;
mod long_texts;
mod mail;
mod mcp_transports;
mod media;
mod number_registrations;
mod observability;
mod operation;
mod otlp;
mod outages;
mod outbound_calls;
mod partitions;
mod postgres_access;
mod production_checks;
mod provisioning;
mod receipts;
mod redis_access;
mod relay_failover;
mod relay_failover_faults;
mod relay_failover_load;
mod rest;
mod sampling;
mod sanitizer;
mod scheduled;
mod senders;
mod sends;
mod slow_agents;
mod spoken_revocations;
mod subjects;
mod tainted_texts;
mod takeovers;
mod tasks;
mod tenancy;
mod tool_list;
mod traces;
mod transcription;
mod transfers;
mod trust;
mod twin_sends;
mod voicemail;
mod whatsapp_actions;
mod whatsapp_people;
