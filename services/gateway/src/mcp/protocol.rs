//! Facts of the protocol that several transports need.

use rmcp::{
    RoleServer,
    model::{ClientNotification, ProtocolVersion},
    service::RequestContext,
};

/// Returns whether the request uses the revision of 2026-07-28 or a later one.
pub fn is_stateless(context: &RequestContext<RoleServer>) -> bool {
    let version = context.protocol_version();
    version.is_some_and(|version| version.as_str() >= ProtocolVersion::V_2026_07_28.as_str())
}

pub fn is_initialized(notification: &ClientNotification) -> bool {
    matches!(notification, ClientNotification::InitializedNotification(_))
}
