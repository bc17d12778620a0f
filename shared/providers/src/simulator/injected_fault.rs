//! A fault that a vendor's simulator applies to a send request or to a model's reply.

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum InjectedFault {
    /// Accepts the message and never responds.
    TimeoutAfterAccept,
    /// Neither accepts the message nor responds.
    StallBeforeAccept,
    /// Responds 429; not accepted.
    RateLimit {
        /// Seconds, for `Retry-After`.
        #[serde(default)]
        retry_after: Option<u64>,
    },
    /// Responds 503; not accepted.
    ServerError,
    /// Responds 500, although the message was accepted.
    ServerErrorAfterAccept,
    /// Accepts the message and resets the connection without a response.
    ResetAfterAccept,
    /// Responds 200 with an HTML page, like a captive portal; not accepted.
    Nonsense,
    /// Accepts the message and responds late.
    Slow { delay_ms: u64 },
    /// Responds with one of the vendor's errors; not accepted.
    Refuse { status: u16, code: String },
    /// Models only: starts the reply and then stalls.
    StallMidStream,
    /// Models only: ends the stream in the middle of the reply.
    EndMidStream,
    /// Models only: resets the connection in the middle of the reply.
    ResetMidStream,
    /// Models only: sends one of the vendor's errors in the middle of the reply.
    ErrorMidStream { code: String },
    /// Models only: waits this long before each chunk.
    Trickle { delay_ms: u64 },
    /// Models only: declines to reply.
    Decline,
}
