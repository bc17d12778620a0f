//! `get_inbox_thread`: the conversation with one person.

use butt_dial_domain::{Code, Failure, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::inbox_view::InboxEntryView;
use crate::{Context, Hints, Operation, Route};

pub struct GetInboxThread;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    /// An address of the person.
    contact: String,
    /// Only with this agent.
    #[serde(default)]
    agent_id: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    /// The newest 200 messages of each direction and the newest 200 calls, oldest first.
    entries: Vec<InboxEntryView>,
    count: usize,
    /// For how many days texts are kept; 0: none are.
    keep_texts_days: u32,
}

impl Operation for GetInboxThread {
    const NAME: &'static str = "get_inbox_thread";
    const TITLE: &'static str = "Conversation with a person";
    const DESCRIPTION: &'static str = "Returns the newest messages and calls between your agents and a person, over all channels, with how each was told to the agent. \
        Texts are included while they are kept. Requires a team token.";
    const SCOPE: Scope = Scope::OrgAdmin;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = Some(Route {
        method: "GET",
        path: "/api/v1/inbox/thread",
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
        let entries = product.inbox.thread(org, agent.as_ref(), &args.contact).await?;
        Ok(Output {
            count: entries.len(),
            entries: entries.into_iter().map(InboxEntryView::from).collect(),
            keep_texts_days: product.inbox.retention(org).await?,
        })
    }
}
