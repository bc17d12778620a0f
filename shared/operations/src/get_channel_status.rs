//! `comms_get_channel_status`: the state of the agent's channels.

use butt_dial_domain::{Channel, Code, Failure, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Context, Hints, Operation, Route};

pub struct GetChannelStatus;

#[derive(Deserialize, JsonSchema)]
pub struct Args {}

#[derive(Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChannelView {
    /// active, paused, unavailable (no carrier is configured) or not_provisioned.
    status: &'static str,
    /// Inbound messages are acknowledged and dropped. comms_set_channel_block ends the block.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    inbound_blocked: bool,
    /// Outbound messages are refused.
    outbound_blocked: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    number: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    phone_number: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<String>,
}

#[derive(Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Channels {
    phone: ChannelView,
    whatsapp: ChannelView,
    email: ChannelView,
    voice_ai: ChannelView,
}

/// The Python client reads the channels at the top level. Clients of the older server read them nested.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    agent_id: String,
    #[serde(flatten)]
    top: Channels,
    channels: Channels,
}

impl Operation for GetChannelStatus {
    const NAME: &'static str = "comms_get_channel_status";
    const TITLE: &'static str = "Status of my channels";
    const DESCRIPTION: &'static str = "Returns for each channel whether you can use it, your address on it, and whether it is blocked. [scope: agent]";
    const BRIEF: &'static str = "Returns which channels you can use.";
    const SCOPE: Scope = Scope::Agent;
    const HINTS: Option<Hints> = Some(Hints {
        read_only: true,
        idempotent: true,
        open_world: false,
    });
    const ROUTE: Option<Route> = Some(Route {
        method: "GET",
        path: "/api/v1/channel-status",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[];

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, _: Args) -> Result<Output, Failure> {
        let profile = context.caller.agent()?;
        let view = |channel: Channel| {
            let owned = profile.channel(channel);
            let status = match owned {
                None => "not_provisioned",
                Some(owned) if owned.paused => "paused",
                Some(_) if context.product.outbound.carriers().find(channel).is_none() => "unavailable",
                Some(_) => "active",
            };
            let address = owned.map(|owned| owned.address.clone());
            let on = |channels: &[Channel]| address.clone().filter(|_| channels.contains(&channel));
            ChannelView {
                status,
                inbound_blocked: owned.is_some_and(|owned| owned.blocks_inbound),
                outbound_blocked: owned.is_some_and(|owned| owned.blocks_outbound),
                number: on(&[Channel::Sms, Channel::Voice]),
                phone_number: on(&[Channel::Whatsapp]),
                address: on(&[Channel::Email]),
            }
        };
        let channels = Channels {
            phone: view(Channel::Sms),
            whatsapp: view(Channel::Whatsapp),
            email: view(Channel::Email),
            voice_ai: view(Channel::Voice),
        };
        Ok(Output {
            agent_id: profile.agent.id.host_id().to_owned(),
            top: channels.clone(),
            channels,
        })
    }
}
