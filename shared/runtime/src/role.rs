//! A role is the work of one service. A process runs one role or all of them.

use axum::Router;
use futures::future::BoxFuture;

use crate::{Platform, platform::StartError};

/// A service that is built from a platform. It returns its routes, and spawns its tasks on the platform's lifecycle.
pub struct Role {
    /// The subcommand that starts the role, such as `gateway`.
    pub name: &'static str,
    pub build: fn(Platform) -> BoxFuture<'static, Result<Router, StartError>>,
}
