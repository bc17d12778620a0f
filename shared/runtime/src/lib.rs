//! The base of every service: settings, the platform assembled from them, the lifecycle, the HTTP edge, telemetry.

mod ai_vendors;
mod backend;
pub mod config;
pub mod health;
pub mod http;
pub mod installation_proof;
pub mod lifecycle;
pub mod phones;
pub mod platform;
pub mod role;
pub mod start;
pub mod telemetry;

pub use backend::Backend;
pub use config::Config;
pub use lifecycle::Lifecycle;
pub use platform::Platform;
pub use role::Role;
