//! `GET /api/v1/tasks`: the tasks of the organization.

use butt_dial_domain::{Code, Failure, Scope, bounds};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::views::TaskView;
use crate::{Context, Hints, Operation, Route};

const DEFAULT_LIMIT: u32 = 100;

pub struct ListTasks;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    /// nextCursor of the page before.
    #[serde(default)]
    after: Option<String>,
    /// 1 to 500; the default is 100.
    #[serde(default)]
    #[schemars(range(min = 1, max = bounds::TASKS_PAGE))]
    limit: Option<u32>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    /// In the order of their ids.
    tasks: Vec<TaskView>,
    /// Present when there are more.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

impl Operation for ListTasks {
    const NAME: &'static str = "list_tasks";
    const TITLE: &'static str = "List tasks";
    const DESCRIPTION: &'static str = "Lists the tasks of the organization with what they have spent and may spend. Pass nextCursor as after for more.";
    const SCOPE: Scope = Scope::OrgAdmin;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = Some(Route {
        method: "GET",
        path: "/api/v1/tasks",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[];

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, args: Args) -> Result<Output, Failure> {
        let limit = args.limit.unwrap_or(DEFAULT_LIMIT);
        let org = context.caller.org()?;
        // One more shows whether there is a next page.
        let billing = &context.product.billing;
        let mut tasks = billing.list_tasks(org, args.after.as_deref(), limit + 1).await?;
        let has_more = tasks.len() > limit as usize;
        tasks.truncate(limit as usize);
        let next_cursor = tasks.last().filter(|_| has_more).map(|task| task.id.clone());
        Ok(Output {
            tasks: tasks.into_iter().map(TaskView::from).collect(),
            next_cursor,
        })
    }
}
