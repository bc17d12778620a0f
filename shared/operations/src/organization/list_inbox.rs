//! `list_inbox`: the people of the newest messages of the organization.

use butt_dial_domain::{Code, Failure, Scope};
use butt_dial_messaging::InboxContact;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::inbox_view::InboxEntryView;
use crate::{Context, Hints, Operation, Route};

pub struct ListInbox;

#[derive(Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Args {
    /// Only of this agent.
    agent_id: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    /// The most recent first: at most 100, from the newest messages.
    contacts: Vec<ContactView>,
    count: usize,
    /// For how many days texts are kept; 0: none are.
    keep_texts_days: u32,
}

/// A person with the newest message.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ContactView {
    /// The address that stands for the person in every spelling.
    contact: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    channels: Vec<String>,
    /// Messages of the person that no agent has got yet.
    waiting: usize,
    last: InboxEntryView,
}

impl From<InboxContact> for ContactView {
    fn from(contact: InboxContact) -> Self {
        Self {
            contact: contact.contact,
            name: contact.name,
            channels: contact.channels.into_iter().collect(),
            waiting: contact.waiting,
            last: contact.last.into(),
        }
    }
}

impl Operation for ListInbox {
    const NAME: &'static str = "list_inbox";
    const TITLE: &'static str = "Conversations of my organization";
    const DESCRIPTION: &'static str = "Lists the people of the newest messages, over all channels, each with the newest one. Texts are \
        included while they are kept. Requires a team token.";
    const SCOPE: Scope = Scope::OrgAdmin;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = Some(Route {
        method: "GET",
        path: "/api/v1/inbox",
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
        let found = product.inbox.list(org, agent.as_ref()).await?;
        Ok(Output {
            count: found.len(),
            contacts: found.into_iter().map(ContactView::from).collect(),
            keep_texts_days: product.inbox.retention(org).await?,
        })
    }
}
