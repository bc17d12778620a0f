//! The program: all roles in one process or a single role, and the commands for operators.

mod agent;
mod audit;
pub mod bootstrap;
pub mod cli;
mod consents;
mod console_key;
mod data_lock;
mod dead_letters;
pub mod demo;
mod do_not_contact;
pub mod doctor;
pub mod health;
mod rewrap_keys;
mod rules;
pub mod serve;
pub mod simulator;
mod welcome;

/// Installs the TLS provider of the process. Without it the first HTTP client panics.
pub fn install_tls() {
    // Fails only if a provider is installed already.
    drop(rustls::crypto::ring::default_provider().install_default());
}
