//! `comms_list_scheduled_messages`: the agent's messages that are still to be sent.

use butt_dial_domain::{Channel, Code, Failure, MessageId, Scope, bounds};
use butt_dial_messaging::outbound::ScheduledSend;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Context, Hints, Operation, Route, views::time};

const DEFAULT_LIMIT: u32 = 50;

pub struct ListScheduled;

#[derive(Deserialize, JsonSchema)]
pub struct Args {
    /// 1 to 200; the default is 50.
    #[serde(default)]
    #[schemars(range(min = 1, max = bounds::PAGE))]
    limit: Option<u32>,
    /// The last messageId of the previous page.
    #[serde(default)]
    after: Option<String>,
}

#[derive(Serialize, JsonSchema)]
pub struct Output {
    /// The next ones first.
    messages: Vec<Item>,
    count: usize,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Item {
    message_id: String,
    channel: Channel,
    to: String,
    scheduled_at: String,
    created_at: String,
}

impl Operation for ListScheduled {
    const NAME: &'static str = "comms_list_scheduled_messages";
    const TITLE: &'static str = "List scheduled messages";
    const DESCRIPTION: &'static str = "Lists your messages that are scheduled and have not been sent, the next ones first, in pages. Cancel one with \
        comms_cancel_scheduled_message. [scope: agent]";
    const BRIEF: &'static str = "Lists your scheduled messages.";
    const SCOPE: Scope = Scope::Agent;
    const HINTS: Option<Hints> = Some(Hints {
        read_only: true,
        idempotent: true,
        open_world: false,
    });
    const ROUTE: Option<Route> = Some(Route {
        method: "GET",
        path: "/api/v1/scheduled-messages",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[];

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, args: Args) -> Result<Output, Failure> {
        let (outbound, agent) = (&context.product.outbound, &context.caller.agent()?.agent.id);
        let after = args.after.as_deref().map(MessageId::from);
        let limit = args.limit.unwrap_or(DEFAULT_LIMIT);
        let found = outbound.list_scheduled(agent, after.as_ref(), limit).await?;
        let messages: Vec<Item> = found.into_iter().map(view).collect::<Result<_, _>>()?;
        Ok(Output {
            count: messages.len(),
            messages,
        })
    }
}

fn view(scheduled: ScheduledSend) -> Result<Item, Failure> {
    Ok(Item {
        message_id: scheduled.id().into_string(),
        channel: Channel::parse(&scheduled.channel).ok_or_else(Failure::internal)?,
        to: scheduled.recipient,
        scheduled_at: time(scheduled.due_at),
        created_at: time(scheduled.created_at),
    })
}
