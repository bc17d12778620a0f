//! Operations of billing: what agents cost and earn, their tiers and limits, and the voices that calls can have.

pub mod get_billing_summary;
pub mod get_income;
pub mod list_voices;
pub mod set_billing_config;
pub mod set_client_limits;
mod views;
