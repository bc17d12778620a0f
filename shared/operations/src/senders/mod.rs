//! Operations about senders, numbers and provider accounts.

pub mod add_comm_channel;
pub mod check_comm_channel;
pub mod delete_comm_channel;
pub mod deprovision;
pub mod deprovision_channels;
pub mod expand_client_pool;
pub mod list_available_numbers;
pub mod list_comm_channels;
pub mod list_providers;
pub mod manage_agent_channels;
pub mod manage_channel;
mod named_channel;
pub mod onboard;
pub mod onboard_customer;
pub mod pool;
mod provider_view;
pub mod provision;
mod provisioning;
pub mod register_provider;
pub mod release_number;
pub mod remove_provider;
pub mod set_sender_modes;
pub mod stuck_orders;
pub mod update_comm_channel;
mod views;

use crate::Deprecation;

/// The routes that provision an agent in one request.
const DEPRECATED: Deprecation = Deprecation {
    sunset: "Mon, 27 Jul 2026 00:00:00 GMT",
    successor: "/api/v1/agents",
};
