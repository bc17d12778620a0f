//! `comms_get_waiting_messages`: events that arrived while the agent was away. They are acknowledged once the response is
//! sent; after a failed response they are returned again.

use butt_dial_domain::{Channel, Code, Failure, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Context, Hints, Operation, Route};

const DEFAULT_LIMIT: u32 = 50;

pub struct GetWaitingMessages;

#[derive(Deserialize, JsonSchema)]
pub struct Args {
    /// The default is 50. More than 200 count as 200.
    #[serde(default)]
    limit: Option<u32>,
    /// Only this channel.
    #[serde(default)]
    #[schemars(extend("enum" = ["sms", "whatsapp", "email", "line", "voice"]))]
    channel: Option<String>,
}

#[derive(Serialize, JsonSchema)]
pub struct Output {
    messages: Vec<Map<String, Value>>,
    count: usize,
}

impl Operation for GetWaitingMessages {
    const NAME: &'static str = "comms_get_waiting_messages";
    const TITLE: &'static str = "Waiting messages";
    const DESCRIPTION: &'static str = "Returns the events that wait for you, oldest first: messages from people, and status changes of your messages. Each event \
        is returned once. Use it when you start or reconnect. [scope: agent]";
    const BRIEF: &'static str = "Takes the events that wait for you.";
    const SCOPE: Scope = Scope::Agent;
    const HINTS: Option<Hints> = Some(Hints {
        read_only: false,
        idempotent: false,
        open_world: false,
    });
    const ROUTE: Option<Route> = Some(Route {
        method: "GET",
        path: "/api/v1/waiting-messages",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[];

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, args: Args) -> Result<Output, Failure> {
        // The Python client may request telegram, which has no events.
        let channel = match args.channel.as_deref() {
            None => None,
            Some("telegram") => {
                return Ok(Output {
                    messages: Vec::new(),
                    count: 0,
                });
            }
            Some(text) => Some(Channel::parse(text).ok_or_else(|| {
                Failure::new(
                    Code::InvalidArgument,
                    "channel must be one of sms, whatsapp, email, voice, line",
                )
            })?),
        };
        let (delivery, profile) = (context.product.delivery.clone(), context.caller.agent()?);
        let (org, limit) = (&profile.agent.org_id, args.limit.unwrap_or(DEFAULT_LIMIT));
        let leased = delivery.lease_pending(org, &profile.agent.id, channel, limit).await?;
        if !leased.is_empty() {
            let lease = leased.lease();
            let confirm = async move { delivery.confirm_pending(lease).await };
            context.request.on_sent.then(confirm);
        }
        let messages = leased.events;
        Ok(Output {
            count: messages.len(),
            messages,
        })
    }
}
