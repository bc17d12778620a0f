//! Notifications and results of the Events extension, for `events.rs` and `call_events.rs`.

use std::time::Duration;

use butt_dial_domain::Failure;
use rmcp::{
    ErrorData, RoleServer,
    model::{CustomNotification, CustomResult, ErrorCode, ServerNotification},
    service::RequestContext,
};
use serde_json::{Value, json};

pub const EXTENSION: &str = "io.modelcontextprotocol/events";
const SUBSCRIPTION_ID: &str = "io.modelcontextprotocol/subscriptionId";

pub const FORBIDDEN: ErrorCode = ErrorCode(-32012);

/// Clients close a stream that is silent for 30 s.
pub const HEARTBEAT: Duration = Duration::from_secs(25);
/// Precedes the log's own kinds in names of events.
pub const PREFIX: &str = "comms.";

pub fn complete(mut result: Value) -> CustomResult {
    result["resultType"] = json!("complete");
    CustomResult::new(result)
}

pub fn error_of(failure: &Failure) -> ErrorData {
    ErrorData::internal_error(failure.message.clone(), Some(failure.envelope()))
}

pub fn forbidden(failure: Failure) -> ErrorData {
    ErrorData::new(FORBIDDEN, failure.message.clone(), Some(failure.envelope()))
}

/// Sends the notifications of one stream.
pub struct EventStream<'a> {
    pub context: &'a RequestContext<RoleServer>,
}

impl EventStream<'_> {
    /// Sends one notification. Fails when the client is gone.
    pub async fn send(&self, kind: &str, mut params: Value) -> Result<(), ErrorData> {
        params["_meta"] = json!({ SUBSCRIPTION_ID: self.context.id });
        let notification = CustomNotification::new(format!("notifications/events/{kind}"), Some(params));
        self.context
            .peer
            .send_notification(ServerNotification::CustomNotification(notification))
            .await
            .map_err(|_| ErrorData::internal_error("the client has closed the stream", None))
    }

    /// Ends the stream because the token was revoked.
    pub async fn send_revoked(&self) -> Result<(), ErrorData> {
        let error = json!({ "code": FORBIDDEN.0, "message": "the token has been revoked" });
        self.send("terminated", json!({ "error": error })).await
    }
}
