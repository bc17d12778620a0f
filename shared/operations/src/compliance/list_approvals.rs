//! `GET /api/v1/approvals`: messages that wait for the approval of a person.

use butt_dial_domain::{Channel, Code, Failure, Scope, bounds};
use butt_dial_messaging::outbound::HeldMessage;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Context, Hints, Operation, Route, views::time};

const DEFAULT_LIMIT: u32 = 50;

pub struct ListApprovals;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
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
pub struct Output {
    /// Oldest first.
    messages: Vec<HeldView>,
    /// Present when there are more.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HeldView {
    message_id: String,
    agent_id: String,
    channel: Channel,
    to: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<String>,
    media: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    template_id: Option<String>,
    /// The rule that demands the approval.
    rule: String,
    created_at: String,
    /// The message fails if it is not approved by then.
    expires_at: String,
}

impl Operation for ListApprovals {
    const NAME: &'static str = "list_approvals";
    const TITLE: &'static str = "List messages that wait for an approval";
    const DESCRIPTION: &'static str = "Lists the messages of the organization that a rule holds until a person approves them, oldest first, with their text.";
    const SCOPE: Scope = Scope::OrgAdmin;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = Some(Route {
        method: "GET",
        path: "/api/v1/approvals",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[];

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, args: Args) -> Result<Output, Failure> {
        let limit = args.limit.unwrap_or(DEFAULT_LIMIT);
        let org = context.caller.org()?;
        let outbound = &context.product.outbound;
        // One more shows whether there is a next page.
        let mut held = outbound.list_held(org, args.after.as_deref(), limit + 1).await?;
        let has_more = held.len() > limit as usize;
        held.truncate(limit as usize);
        Ok(Output {
            next_cursor: held.last().filter(|_| has_more).map(|last| last.id.as_str().to_owned()),
            messages: held.into_iter().map(view).collect(),
        })
    }
}

fn view(held: HeldMessage) -> HeldView {
    let content = held.content.unwrap_or_default();
    HeldView {
        message_id: held.id.into_string(),
        agent_id: held.agent.host_id().to_owned(),
        channel: held.channel,
        to: held.to,
        subject: content.subject,
        body: content.body,
        media: content.media,
        template_id: content.template.map(|template| template.id),
        rule: held.rule,
        created_at: time(held.created_at),
        expires_at: time(held.expires_at),
    }
}
