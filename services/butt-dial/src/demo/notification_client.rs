//! A client that forwards the notifications of the server to a channel, in their order.
#![expect(
    deprecated,
    reason = "the Python client uses notifications/message, which MCP 2026-07-28 deprecates"
)]

use rmcp::{
    ClientHandler, RoleClient,
    model::{ClientConfig, LoggingMessageNotificationParam},
    service::NotificationContext,
};
use serde_json::Value;
use tokio::sync::mpsc;

/// Sends the data of each notification to the channel.
pub struct NotificationClient(pub mpsc::UnboundedSender<Value>);

impl ClientHandler for NotificationClient {
    fn get_info(&self) -> ClientConfig {
        ClientConfig::default()
    }

    async fn on_logging_message(
        &self,
        notification: LoggingMessageNotificationParam,
        _: NotificationContext<RoleClient>,
    ) {
        // Fails only after the demo stopped to receive.
        let _ = self.0.send(notification.data);
    }
}
