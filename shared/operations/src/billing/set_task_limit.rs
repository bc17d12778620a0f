//! `POST /api/v1/task-limits`: how much a task may spend.

use butt_dial_domain::{Code, Failure, Scope, bounds};
use schemars::JsonSchema;
use serde::Deserialize;

use super::views::TaskView;
use crate::{Context, Hints, Operation, Route};

pub struct SetTaskLimit;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    /// 1 to 64 letters, digits, -, _, . or :.
    task_id: String,
    /// US dollars that the messages and calls of the task may cost in all; 0 stops them.
    #[serde(default)]
    #[schemars(range(min = 0, max = bounds::SPEND))]
    max_spend: Option<f64>,
    /// true: remove the limit.
    #[serde(default)]
    remove: bool,
}

impl Operation for SetTaskLimit {
    const NAME: &'static str = "set_task_limit";
    const TITLE: &'static str = "Set the limit of a task";
    const DESCRIPTION: &'static str = "Sets how much the messages and calls with a taskId may cost in all, over every agent of the organization. It is in force \
        at once on every replica. Returns the task with its spend.";
    const SCOPE: Scope = Scope::OrgAdmin;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = Some(Route {
        method: "POST",
        path: "/api/v1/task-limits",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[&[Code::NotFound]];

    type Args = Args;
    type Output = TaskView;

    async fn run(context: Context, args: Args) -> Result<TaskView, Failure> {
        let caller = &context.caller;
        if caller.principal.agent.is_some() {
            return Err(
                Failure::new(Code::AuthForbidden, "an agent can't change the limit of a task").hint("use a team token"),
            );
        }
        let limit = match (args.max_spend, args.remove) {
            (Some(limit), false) => Some(limit),
            (None, true) => None,
            (None, false) => {
                return Err(
                    Failure::new(Code::MissingFields, "maxSpend is required, or remove: true")
                        .detail("fields", ["maxSpend"]),
                );
            }
            (Some(_), true) => {
                return Err(Failure::new(
                    Code::InvalidArgument,
                    "maxSpend and remove exclude each other",
                ));
            }
        };
        let (org, actor) = (caller.org()?, &caller.principal.token);
        let task = context.product.billing.set_task_limit(org, actor, &args.task_id, limit);
        Ok(task.await?.into())
    }
}
