//! `list_messages`: the messages of all agents of the organization, newest first.

use butt_dial_domain::{Code, Failure, Scope, bounds};
use butt_dial_messaging::outbound::MessageFilter;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::message_view::MessageView;
use crate::{Context, Hints, Operation, Route, time};

const DEFAULT_LIMIT: u32 = 50;
const STATUSES: [&str; 7] = [
    "pending",
    "accepted",
    "sent",
    "delivered",
    "read",
    "failed",
    "unconfirmed",
];

pub struct ListMessages;

#[derive(Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Args {
    /// Only of this agent.
    agent_id: Option<String>,
    /// sms, whatsapp, email, voice or another channel.
    channel: Option<String>,
    #[schemars(extend("enum" = STATUSES))]
    status: Option<String>,
    /// The recipient.
    contact: Option<String>,
    /// The compliance rule that decided.
    rule: Option<String>,
    /// The code of the failure, or the carrier's.
    code: Option<String>,
    thread_id: Option<String>,
    /// The carrier's id of the message.
    provider_message_id: Option<String>,
    /// nextCursor of the page before.
    before: Option<String>,
    /// A message: the result also counts the newer ones.
    newer_than: Option<String>,
    /// 1 to 200; the default is 50.
    #[schemars(range(min = 1, max = bounds::PAGE))]
    limit: Option<u32>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    /// Newest first.
    messages: Vec<MessageView>,
    count: usize,
    /// Pass it as before. Present when there may be more; a page of a filtered list may have no messages and a cursor.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
    /// A filtered list is searched back to this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    searched_to: Option<String>,
    /// The number of messages after newerThan, up to 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    newer: Option<i64>,
}

impl Operation for ListMessages {
    const NAME: &'static str = "list_messages";
    const TITLE: &'static str = "Messages of my organization";
    const DESCRIPTION: &'static str = "Lists messages of all agents of the organization, newest first, in pages. Each page looks at up to 5,000 messages. \
        Requires a team token.";
    const SCOPE: Scope = Scope::OrgAdmin;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = Some(Route {
        method: "GET",
        path: "/api/v1/messages",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[&[Code::AgentNotFound]];

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, args: Args) -> Result<Output, Failure> {
        let (product, org) = (&context.product, context.caller.org()?);
        let agent = match args.agent_id.as_deref() {
            Some(id) => Some(product.agents.get(&context.caller, id).await?.agent.id),
            None => None,
        };
        if let Some(status) = &args.status
            && !STATUSES.contains(&status.as_str())
        {
            let message = format!("status must be one of {}", STATUSES.join(", "));
            return Err(Failure::new(Code::InvalidArgument, message));
        }
        let filter = MessageFilter {
            agent: agent.as_ref(),
            channel: args.channel.as_deref(),
            status: args.status.as_deref(),
            contact: args.contact.as_deref(),
            rule: args.rule.as_deref(),
            code: args.code.as_deref(),
            thread: args.thread_id.as_deref(),
            carrier_id: args.provider_message_id.as_deref(),
        };
        let limit = args.limit.unwrap_or(DEFAULT_LIMIT);
        let newer = match &args.newer_than {
            Some(message) => Some(product.outbound.count_newer_messages(org, message).await?),
            None => None,
        };
        let found = product
            .outbound
            .list_messages(org, &filter, args.before.as_deref(), limit)
            .await?;
        let messages: Vec<MessageView> = found.messages.into_iter().map(MessageView::from).collect();
        Ok(Output {
            count: messages.len(),
            messages,
            next_cursor: found.next.map(|id| id.into_string()),
            searched_to: found.searched_to.map(time),
            newer,
        })
    }
}
