//! `GET /api/v1/contact-pauses`: contacts to which messages are paused.

use butt_dial_anomalies::ContactPause;
use butt_dial_domain::{AgentId, Code, Failure, Scope, bounds};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Context, Hints, Operation, Route, views::time};

const DEFAULT_LIMIT: u32 = 50;

pub struct ListContactPauses;

#[derive(Deserialize, JsonSchema)]
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
    pauses: Vec<PauseView>,
    /// Present when there are more.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct PauseView {
    pause_id: String,
    agent_id: String,
    contact: String,
    paused_until: String,
}

impl From<ContactPause> for PauseView {
    fn from(pause: ContactPause) -> Self {
        Self {
            pause_id: pause.id,
            agent_id: AgentId::from(pause.agent_id).host_id().to_owned(),
            contact: pause.contact,
            paused_until: time(pause.until_at),
        }
    }
}

impl Operation for ListContactPauses {
    const NAME: &'static str = "list_contact_pauses";
    const TITLE: &'static str = "List paused contacts";
    const DESCRIPTION: &'static str = "Lists the contacts to which messages of an agent are paused, because a program seems to answer there: sends are \
        refused with CONTACT_PAUSED. Pass nextCursor as after for more.";
    const SCOPE: Scope = Scope::OrgAdmin;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = Some(Route {
        method: "GET",
        path: "/api/v1/contact-pauses",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[];

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, args: Args) -> Result<Output, Failure> {
        let limit = args.limit.unwrap_or(DEFAULT_LIMIT);
        let after = args.after.unwrap_or_default();
        // One more shows whether there is a next page.
        let anomalies = &context.product.anomalies;
        let mut pauses = anomalies.list_pauses(&context.caller, &after, limit + 1).await?;
        let has_more = pauses.len() > limit as usize;
        pauses.truncate(limit as usize);
        let next_cursor = pauses.last().filter(|_| has_more).map(|pause| pause.id.clone());
        Ok(Output {
            pauses: pauses.into_iter().map(PauseView::from).collect(),
            next_cursor,
        })
    }
}
