//! `comms_subscribe_inbound`: subscribes the session to inbound messages.

use butt_dial_domain::{Code, Failure, Scope, bounds};
use butt_dial_messaging::delivery::Subscription;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Context, Hints, Operation, Route, send_message::MessageChannel};

pub struct SubscribeInbound;

#[derive(Deserialize, JsonSchema)]
pub struct Args {
    /// subscribe, unsubscribe or status.
    #[schemars(extend("enum" = ["subscribe", "unsubscribe", "status"]))]
    operation: String,
    /// Only these channels. Empty: all channels.
    #[serde(default)]
    #[schemars(with = "Vec<MessageChannel>", length(max = bounds::SUBSCRIPTIONS))]
    channels: Vec<String>,
    /// Only messages from these addresses. Empty: all contacts.
    #[serde(default)]
    #[schemars(length(max = bounds::SUBSCRIPTIONS))]
    contacts: Vec<String>,
}

#[derive(Serialize, JsonSchema)]
pub struct Output {
    subscribed: bool,
    /// Empty: all channels.
    channels: Vec<String>,
    /// Empty: all contacts.
    contacts: Vec<String>,
}

impl From<Option<Subscription>> for Output {
    fn from(subscription: Option<Subscription>) -> Self {
        let subscribed = subscription.is_some();
        let Subscription { channels, contacts } = subscription.unwrap_or_default();
        Self {
            subscribed,
            channels,
            contacts,
        }
    }
}

impl Operation for SubscribeInbound {
    const NAME: &'static str = "comms_subscribe_inbound";
    const TITLE: &'static str = "Subscribe to inbound messages";
    const DESCRIPTION: &'static str = "Subscribes this session to inbound messages, which are pushed while its stream is open (operation subscribe; channels and \
        contacts narrow it down). unsubscribe ends the subscription, and status returns it. Messages that are not pushed wait \
        for you. [scope: agent]";
    const BRIEF: &'static str = "Pushes inbound messages to this session.";
    const SCOPE: Scope = Scope::Agent;
    const HINTS: Option<Hints> = Some(Hints {
        read_only: false,
        idempotent: true,
        open_world: false,
    });
    const ROUTE: Option<Route> = None;
    const ERRORS: &'static [&'static [Code]] = &[];
    const ACCEPTS_EXTRA_ARGUMENTS: bool = true;

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, args: Args) -> Result<Output, Failure> {
        let (delivery, agent) = (&context.product.delivery, &context.caller.agent()?.agent.id);
        match args.operation.as_str() {
            "subscribe" => {
                let subscription = delivery
                    .subscribe_inbound(agent, &args.channels, &args.contacts)
                    .await?;
                context.request.on_sent.subscribe(true);
                Ok(Some(subscription).into())
            }
            "unsubscribe" => {
                delivery.unsubscribe_inbound(agent).await?;
                context.request.on_sent.subscribe(false);
                Ok(None.into())
            }
            "status" => Ok(delivery.find_subscription(agent).await?.into()),
            _ => Err(Failure::new(
                Code::InvalidArgument,
                "operation must be one of subscribe, unsubscribe, status",
            )),
        }
    }
}
