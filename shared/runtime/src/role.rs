//! A role is the work of one service. A process runs one role or all of them.

use axum::Router;
use futures::future::BoxFuture;

use crate::{Backend, Platform, platform::StartError};

/// A service that is built from a platform. It returns its routes, and spawns its tasks on the platform's lifecycle.
pub struct Role {
    /// The subcommand that starts the role, such as `gateway`.
    pub name: &'static str,
    /// The backends without which the role can't work: the process is not ready without them.
    pub needs: &'static [Backend],
    /// May be repeated after a temporary error, so it spawns tasks only after everything that can fail.
    pub build: fn(Platform) -> BoxFuture<'static, Result<Router, StartError>>,
}
