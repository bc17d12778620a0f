//! `GET /api/v1/tasks/{taskId}`: what a task has spent.

use butt_dial_domain::{Code, Failure, Scope};
use schemars::JsonSchema;
use serde::Deserialize;

use super::views::TaskView;
use crate::{Context, Hints, Operation, Route};

pub struct GetTask;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    /// The taskId of messages and calls.
    task_id: String,
}

impl Operation for GetTask {
    const NAME: &'static str = "get_task";
    const TITLE: &'static str = "Spend of a task";
    const DESCRIPTION: &'static str =
        "Returns what the messages and calls of a task have cost, and how much it may spend.";
    const SCOPE: Scope = Scope::OrgAdmin;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = Some(Route {
        method: "GET",
        path: "/api/v1/tasks/{taskId}",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[&[Code::NotFound]];

    type Args = Args;
    type Output = TaskView;

    async fn run(context: Context, args: Args) -> Result<TaskView, Failure> {
        let org = context.caller.org()?;
        Ok(context.product.billing.find_task(org, &args.task_id).await?.into())
    }
}
