//! `GET /api/v1/alerts`: list alerts.

use butt_dial_domain::{Code, Failure, Scope, bounds};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::AlertView;
use crate::{Context, Hints, Operation, Route};

pub struct ListAlerts;

const DEFAULT_LIMIT: u32 = 50;

#[derive(Deserialize, JsonSchema)]
pub struct Args {
    /// Resolved alerts as well.
    #[serde(default)]
    all: bool,
    /// The last id of the previous page.
    #[serde(default)]
    before: Option<String>,
    /// 1 to 200; the default is 50.
    #[serde(default)]
    #[schemars(range(min = 1, max = bounds::PAGE))]
    limit: Option<u32>,
}

#[derive(Serialize, JsonSchema)]
pub struct Output {
    alerts: Vec<AlertView>,
}

impl Operation for ListAlerts {
    const NAME: &'static str = "list_alerts";
    const TITLE: &'static str = "List alerts";
    const DESCRIPTION: &'static str =
        "Lists alerts of the organization, newest first, in pages. An alert is one cause while it lasts.";
    const SCOPE: Scope = Scope::OrgAdmin;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = Some(Route {
        method: "GET",
        path: "/api/v1/alerts",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[];

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, args: Args) -> Result<Output, Failure> {
        let limit = args.limit.unwrap_or(DEFAULT_LIMIT);
        let alerts = &context.product.alerts;
        let listed = alerts
            .list(&context.caller, !args.all, args.before.as_deref(), limit)
            .await?;
        Ok(Output {
            alerts: listed.into_iter().map(AlertView::from).collect(),
        })
    }
}
