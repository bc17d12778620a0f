//! `comms_set_channel_block`: blocks a channel in one direction or both.

use butt_dial_domain::{Channel, Code, Failure, Scope};
use butt_dial_messaging::delivery::BlockChannel;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Context, Hints, Operation, Route};

pub struct SetChannelBlock;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    #[schemars(extend("enum" = ["sms", "whatsapp", "email", "line", "voice"]))]
    channel: String,
    /// The default is both.
    #[serde(default)]
    #[schemars(extend("enum" = ["inbound", "outbound", "both"]))]
    direction: Option<String>,
    /// true blocks the channel, false unblocks it.
    blocked: bool,
    /// For administrators: the agent that has the channel. The default is your own.
    #[serde(default)]
    agent_id: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    success: bool,
    agent_id: String,
    channel: Channel,
    direction: &'static str,
    blocked: bool,
}

impl Operation for SetChannelBlock {
    const NAME: &'static str = "comms_set_channel_block";
    const TITLE: &'static str = "Block a channel";
    const DESCRIPTION: &'static str = "Blocks or unblocks one of your channels. While inbound is blocked, messages are acknowledged to the carrier and dropped. \
        While outbound is blocked, nothing is sent. [scope: agent; another agent's: org-admin]";
    const BRIEF: &'static str = "Blocks or unblocks one of your channels.";
    const SCOPE: Scope = Scope::Agent;
    const HINTS: Option<Hints> = Some(Hints {
        read_only: false,
        idempotent: true,
        open_world: false,
    });
    const ROUTE: Option<Route> = Some(Route {
        method: "PUT",
        path: "/api/v1/channel-blocks",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[&[Code::AgentNotFound, Code::NoChannelAssigned]];

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, args: Args) -> Result<Output, Failure> {
        let channel = Channel::parse(&args.channel).ok_or_else(|| {
            Failure::new(
                Code::InvalidArgument,
                "channel must be one of sms, whatsapp, email, line, voice",
            )
        })?;
        let blocked = Some(args.blocked);
        let (direction, inbound, outbound) = match args.direction.as_deref().unwrap_or("both") {
            "inbound" => ("inbound", blocked, None),
            "outbound" => ("outbound", None, blocked),
            "both" => ("both", blocked, blocked),
            _ => {
                return Err(Failure::new(
                    Code::InvalidArgument,
                    "direction must be one of inbound, outbound, both",
                ));
            }
        };
        let request = BlockChannel {
            channel,
            inbound,
            outbound,
        };
        let delivery = &context.product.delivery;
        let agent = delivery
            .block_channel(&context.caller, args.agent_id.as_deref(), &request)
            .await?;
        Ok(Output {
            success: true,
            agent_id: agent.host_id().to_owned(),
            channel,
            direction,
            blocked: args.blocked,
        })
    }
}
