//! What an agent hears: the notifications that the server pushes to it, in their order.
#![expect(
    deprecated,
    reason = "the Python client listens to notifications/message, which 2026-07-28 gives up"
)]

use rmcp::{
    ClientHandler, RoleClient,
    model::{ClientConfig, LoggingMessageNotificationParam},
    service::NotificationContext,
};
use serde_json::Value;
use tokio::sync::mpsc;

/// The client's side of the connection: hands on what it hears.
pub struct Ear(pub mpsc::UnboundedSender<Value>);

impl ClientHandler for Ear {
    fn get_info(&self) -> ClientConfig {
        ClientConfig::default()
    }

    async fn on_logging_message(&self, heard: LoggingMessageNotificationParam, _: NotificationContext<RoleClient>) {
        // The demo may have heard enough.
        let _ = self.0.send(heard.data);
    }
}
