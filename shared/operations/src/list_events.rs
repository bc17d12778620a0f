//! `comms_list_events`: a page of the agent's log.

use butt_dial_domain::{Code, Failure, Scope, bounds};
use butt_dial_messaging::delivery::PageQuery;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    Context, Hints, Operation, Route,
    pages::{Cursor, PageView, kinds},
};

const DEFAULT_LIMIT: u32 = 50;

pub struct ListEvents;

#[derive(Deserialize, JsonSchema)]
pub struct Args {
    /// The page starts after this cursor. 0 is the start of the log; the default is the last acknowledged event.
    #[serde(default)]
    cursor: Option<Cursor>,
    /// 1 to 200; the default is 50.
    #[serde(default)]
    #[schemars(range(min = 1, max = bounds::PAGE))]
    limit: Option<u32>,
    /// Only these kinds, such as message.received and message.status. Empty: all kinds.
    #[serde(default)]
    #[schemars(extend("examples" = [["message.received"]]))]
    types: Vec<String>,
}

impl Operation for ListEvents {
    const NAME: &'static str = "comms_list_events";
    const TITLE: &'static str = "List events";
    const DESCRIPTION: &'static str = "Lists your events after a cursor, oldest first, without waiting. It acknowledges no event. The contents of an event are \
        available until the event is acknowledged; after that only its metadata is. [scope: agent]";
    const BRIEF: &'static str = "Lists your events after a cursor without waiting.";
    const SCOPE: Scope = Scope::Agent;
    const HINTS: Option<Hints> = Some(Hints {
        read_only: true,
        idempotent: true,
        open_world: false,
    });
    const ROUTE: Option<Route> = None;
    const ERRORS: &'static [&'static [Code]] = &[];

    type Args = Args;
    type Output = PageView;

    async fn run(context: Context, args: Args) -> Result<PageView, Failure> {
        let profile = context.caller.agent()?;
        let query = PageQuery {
            after: args.cursor.map(|cursor| cursor.position()).transpose()?,
            kinds: kinds(args.types),
            limit: args.limit.unwrap_or(DEFAULT_LIMIT),
        };
        let (org, agent) = (&profile.agent.org_id, &profile.agent.id);
        let page = context.product.delivery.list_events(org, agent, &query).await?;
        Ok(page.into())
    }
}
