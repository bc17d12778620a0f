//! State and limits that the MCP transports share.

use std::time::Duration;

use butt_dial_sessions::Sessions;

use super::{client_ref::ClientStates, handler::Handler};
use crate::base_path::BasePath;

/// Interval of comments on an idle stream, so that proxies and clients keep it open. The Python client waits 300 s.
pub const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// 4 MiB: an e-mail with a long text fits.
pub const MAX_BODY: usize = 4 * 1024 * 1024;

#[derive(Clone)]
pub struct McpState {
    /// For revisions that begin with a handshake.
    pub legacy: Handler,
    pub sessions: Sessions,
    pub clients: ClientStates,
    pub base_path: BasePath,
}
