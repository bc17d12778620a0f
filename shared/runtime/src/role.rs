//! A role: what one service does, whether it runs by itself or beside the others in one process.

use axum::Router;
use futures::future::BoxFuture;

use crate::{Platform, platform::StartError};

/// Built from a platform: routes to be served, and tasks that it starts on the platform's lifecycle.
pub struct Role {
    /// As on the command line: `gateway`.
    pub name: &'static str,
    pub build: fn(Platform) -> BoxFuture<'static, Result<Router, StartError>>,
}
