//! `/api/v1/takeovers`: conversations that a person answers in place of the agent.

use butt_dial_accounts::parse_contact;
use butt_dial_domain::{Address, Channel, Code, Failure, Scope, bounds};
use butt_dial_messaging::{TAKEOVER_HOURS, Takeover};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Context, Hints, Operation, Route, views::time};

const DEFAULT_LIMIT: u32 = 50;

pub struct ListTakeovers;
pub struct TakeOverConversation;
pub struct ReturnConversation;

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TakeoverView {
    takeover_id: String,
    agent_id: String,
    contact: String,
    /// The member or the token that answers: the messages of no one else are sent.
    taken_over_by: String,
    /// The address of the member.
    #[serde(skip_serializing_if = "Option::is_none")]
    taken_over_by_name: Option<String>,
    taken_over_at: String,
    /// The agent answers again from then on.
    taken_over_until: String,
}

impl From<Takeover> for TakeoverView {
    fn from(takeover: Takeover) -> Self {
        Self {
            agent_id: takeover.agent().host_id().to_owned(),
            takeover_id: takeover.id,
            contact: takeover.contact,
            taken_over_by: takeover.taken_by,
            taken_over_by_name: takeover.taker,
            taken_over_at: time(takeover.taken_at),
            taken_over_until: time(takeover.until_at),
        }
    }
}

#[derive(Deserialize, JsonSchema)]
pub struct ListArgs {
    /// nextCursor of the page before.
    #[serde(default)]
    after: Option<String>,
    /// 1 to 200; the default is 50.
    #[serde(default)]
    #[schemars(range(min = 1, max = bounds::PAGE))]
    limit: Option<u32>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListOutput {
    takeovers: Vec<TakeoverView>,
    /// Present when there are more.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

impl Operation for ListTakeovers {
    const NAME: &'static str = "list_takeovers";
    const TITLE: &'static str = "List conversations that are taken over";
    const DESCRIPTION: &'static str = "Lists the conversations that a person answers in place of the agent. Messages of the agent to the contact are refused \
        with CONVERSATION_TAKEN_OVER meanwhile. Pass nextCursor as after for more. Requires a team token.";
    const SCOPE: Scope = Scope::OrgAdmin;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = Some(Route {
        method: "GET",
        path: "/api/v1/takeovers",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[];

    type Args = ListArgs;
    type Output = ListOutput;

    async fn run(context: Context, args: ListArgs) -> Result<ListOutput, Failure> {
        let limit = args.limit.unwrap_or(DEFAULT_LIMIT);
        let (inbox, org) = (&context.product.inbox, context.caller.org()?);
        // One more shows whether there is a next page.
        let mut found = inbox
            .list_takeovers(org, args.after.as_deref().unwrap_or_default(), limit + 1)
            .await?;
        let has_more = found.len() > limit as usize;
        found.truncate(limit as usize);
        Ok(ListOutput {
            next_cursor: found.last().filter(|_| has_more).map(|last| last.id.clone()),
            takeovers: found.into_iter().map(TakeoverView::from).collect(),
        })
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TakeArgs {
    agent_id: String,
    /// An address of the person. It holds for all channels of a telephone number.
    contact: String,
    /// Afterwards the agent answers again. The default is 24.
    #[serde(default)]
    #[schemars(range(min = 1, max = bounds::TAKEOVER_HOURS))]
    hours: Option<u32>,
}

impl Operation for TakeOverConversation {
    const NAME: &'static str = "take_over_conversation";
    const TITLE: &'static str = "Take a conversation over";
    const DESCRIPTION: &'static str = "Takes the conversation of an agent with a contact over, on all channels: only your messages (with agentId) are sent, and those \
        of the agent are refused. The agent still gets the messages of the contact, with takenOver, and the event conversation.taken_over. It ends \
        after the given hours, or when someone gives the conversation back. Repeat it to extend it. Calls that are running, and those that the contact makes, go on. Requires a team token.";
    const SCOPE: Scope = Scope::OrgAdmin;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = Some(Route {
        method: "POST",
        path: "/api/v1/takeovers",
        status: 201,
    });
    const ERRORS: &'static [&'static [Code]] = &[&[Code::AgentNotFound, Code::Conflict, Code::InvalidRecipient]];

    type Args = TakeArgs;
    type Output = TakeoverView;

    async fn run(context: Context, args: TakeArgs) -> Result<TakeoverView, Failure> {
        let (inbox, hours) = (&context.product.inbox, args.hours.unwrap_or(TAKEOVER_HOURS));
        // A short code or a name is no address that can be written to first.
        let contact = match parse_contact(&args.contact) {
            Ok((_, address)) => address,
            Err(failure) => Address::parse_sender(Channel::Sms, &args.contact).map_err(|_| failure)?,
        };
        let key = contact.contact_key();
        let taken = inbox.take_over(&context.caller, &args.agent_id, &key, hours);
        Ok(taken.await?.into())
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReturnArgs {
    takeover_id: String,
}

#[derive(Serialize, JsonSchema)]
pub struct ReturnOutput {
    success: bool,
}

impl Operation for ReturnConversation {
    const NAME: &'static str = "return_conversation";
    const TITLE: &'static str = "Give a conversation back";
    const DESCRIPTION: &'static str = "Gives a conversation back to its agent, also one that someone else has taken over: the agent gets the event conversation.returned and may write to \
        the contact again. Requires a team token.";
    const SCOPE: Scope = Scope::OrgAdmin;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = Some(Route {
        method: "DELETE",
        path: "/api/v1/takeovers/{takeoverId}",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[&[Code::NotFound]];

    type Args = ReturnArgs;
    type Output = ReturnOutput;

    async fn run(context: Context, args: ReturnArgs) -> Result<ReturnOutput, Failure> {
        context
            .product
            .inbox
            .give_back(&context.caller, &args.takeover_id)
            .await?;
        Ok(ReturnOutput { success: true })
    }
}
