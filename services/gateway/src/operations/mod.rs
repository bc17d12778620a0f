//! What callers can do. An operation is one file: its arguments, its result, its scope, and what it runs. The list below is
//! all that MCP tools, REST routes and the OpenAPI document are made from.

mod ack_events;
pub mod call;
pub mod calls;
mod definition;
mod get_agent;
mod get_channel_status;
mod get_me;
mod get_message_status;
mod get_usage_dashboard;
mod get_waiting_messages;
mod list_agent_tokens;
mod list_agents;
mod list_events;
mod manage_inbound_filter;
mod pages;
mod ping;
mod regenerate_agent_token;
mod register_agent;
mod replay_callback;
mod send_message;
mod set_agent_limits;
mod set_callback_url;
mod set_channel_block;
mod subscribe_inbound;
mod views;
mod wait_events;

use std::sync::LazyLock;

pub use call::{After, Call, Progress};
pub use definition::{Context, Definition, Hints, Operation, Route, read_args};
pub use pages::PageView;
pub use views::time;

/// Tools in the order in which an agent should meet them, then what only REST has.
static ALL: LazyLock<Vec<Definition>> = LazyLock::new(|| {
    vec![
        Definition::of::<ping::Ping>(),
        Definition::of::<get_me::GetMe>(),
        Definition::of::<send_message::SendMessage>(),
        Definition::of::<get_message_status::GetMessageStatus>(),
        Definition::of::<get_channel_status::GetChannelStatus>(),
        Definition::of::<calls::make_call::MakeCall>(),
        Definition::of::<calls::attend_call::AttendCall>(),
        Definition::of::<calls::call_reply::CallReply>(),
        Definition::of::<calls::say::Say>(),
        Definition::of::<calls::end_call::EndCall>(),
        Definition::of::<calls::transfer_call::TransferCall>(),
        Definition::of::<calls::call_on_behalf::CallOnBehalf>(),
        Definition::of::<calls::send_voice_message::SendVoiceMessage>(),
        Definition::of::<calls::generate_tts::GenerateTts>(),
        Definition::of::<calls::get_call::GetCall>(),
        Definition::of::<calls::list_calls::ListCalls>(),
        Definition::of::<calls::bridge_call::BridgeCall>(),
        Definition::of::<wait_events::WaitEvents>(),
        Definition::of::<list_events::ListEvents>(),
        Definition::of::<ack_events::AckEvents>(),
        Definition::of::<get_waiting_messages::GetWaitingMessages>(),
        Definition::of::<subscribe_inbound::SubscribeInbound>(),
        Definition::of::<manage_inbound_filter::ManageInboundFilter>(),
        Definition::of::<set_channel_block::SetChannelBlock>(),
        Definition::of::<get_usage_dashboard::GetUsageDashboard>(),
        Definition::of::<set_agent_limits::SetAgentLimits>(),
        Definition::of::<set_callback_url::SetCallbackUrl>(),
        Definition::of::<calls::set_voice_callback::SetVoiceCallback>(),
        Definition::of::<replay_callback::ReplayCallback>(),
        Definition::of::<register_agent::RegisterAgent>(),
        Definition::of::<list_agents::ListAgents>(),
        Definition::of::<get_agent::GetAgent>(),
        Definition::of::<list_agent_tokens::ListAgentTokens>(),
        Definition::of::<regenerate_agent_token::RegenerateAgentToken>(),
    ]
});

pub fn all() -> &'static [Definition] {
    &ALL
}

/// The tool with this name.
pub fn find_tool(name: &str) -> Option<&'static Definition> {
    ALL.iter()
        .find(|definition| definition.name == name && definition.hints.is_some())
}
