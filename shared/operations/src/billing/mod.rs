//! Operations of billing: what agents and tasks cost and earn, their tiers and limits, and the voices that calls can have.

pub mod export_billing;
pub mod get_billing_summary;
pub mod get_income;
pub mod get_task;
pub mod list_tasks;
pub mod list_voices;
pub mod set_billing_config;
pub mod set_client_limits;
pub mod set_task_limit;
mod views;
