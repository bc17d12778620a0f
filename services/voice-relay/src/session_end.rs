//! The reason for the end of a session.

use crate::persistence::LeaseLost;

#[derive(Debug)]
pub(crate) enum SessionEnd {
    /// The socket is closed, or the carrier does not read.
    SocketClosed,
    /// Another relay owns the call.
    OwnerChanged,
}

impl From<LeaseLost> for SessionEnd {
    fn from(_: LeaseLost) -> Self {
        Self::OwnerChanged
    }
}
