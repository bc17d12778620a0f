//! The one program: all roles in one process, or one of them; and what operators do from a shell.

pub mod bootstrap;
pub mod cli;
pub mod demo;
pub mod doctor;
pub mod serve;
pub mod simulator;
mod welcome;

/// The process-wide TLS provider: without it, the first HTTP client panics.
pub fn install_tls() {
    // It fails only when there is one already, which is as good.
    drop(rustls::crypto::ring::default_provider().install_default());
}
