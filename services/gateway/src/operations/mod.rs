//! The operations of agents and administrators. An operation is one file with its arguments, result, scope, errors and
//! pipeline call. `catalog.rs` lists them; MCP tools, REST routes and the OpenAPI document are made from that list.

mod ack_events;
mod arguments;
pub mod calls;
mod catalog;
mod create_team_token;
mod dead_letters;
mod definition;
pub mod errors;
mod get_agent;
mod get_channel_status;
mod get_me;
mod get_message_status;
mod get_usage_dashboard;
mod get_waiting_messages;
mod list_agent_tokens;
mod list_agents;
mod list_events;
mod list_team_tokens;
mod manage_inbound_filter;
mod pages;
mod ping;
mod regenerate_agent_token;
mod register_agent;
mod replay_callback;
mod request_context;
mod revoke_team_token;
mod rotate_callback_secret;
mod rotate_team_token;
mod send_message;
mod set_agent_limits;
mod set_agent_status;
mod set_callback_url;
mod set_channel_block;
mod subscribe_inbound;
mod views;
mod wait_events;
mod wait_slots;

pub use arguments::read_args;
pub use catalog::{all, find_tool};
pub use definition::{Context, Definition, Hints, Operation, Route};
pub use pages::PageView;
pub use request_context::{OnResponseSent, Progress, RequestContext, WaitOutcome};
pub use views::time;
pub use wait_slots::{WaitSlot, WaitSlots};
