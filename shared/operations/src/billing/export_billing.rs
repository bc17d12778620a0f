//! `GET /api/v1/billing/export`: the bill of the organization as a table.

use butt_dial_billing::{Export, ExportRequest};
use butt_dial_domain::{Code, Failure, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Context, Hints, Operation, Route};

pub struct ExportBilling;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    /// The first day, such as 2026-11-01.
    from: String,
    /// The last day, included. At most 366 days.
    to: String,
    /// The unit of a line. The default is day.
    #[serde(default)]
    #[schemars(extend("enum" = ["day", "agent", "channel", "task"]))]
    by: Option<String>,
}

/// Lines with day, agent, channel, task, actions, cost, billed, currency. The columns that a line does not tell apart are empty.
#[derive(Serialize, JsonSchema)]
#[serde(transparent)]
pub struct Table(String);

impl Operation for ExportBilling {
    const NAME: &'static str = "export_billing";
    const TITLE: &'static str = "Export the bill";
    const DESCRIPTION: &'static str = "Returns what the organization used from one day to another as a table (CSV), with the cost and with what it is billed at.";
    const SCOPE: Scope = Scope::OrgAdmin;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = Some(Route {
        method: "GET",
        path: "/api/v1/billing/export",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[];
    const CONTENT_TYPE: &'static str = "text/csv; charset=utf-8";

    type Args = Args;
    type Output = Table;

    fn text(output: &Table) -> Option<String> {
        Some(output.0.clone())
    }

    async fn run(context: Context, args: Args) -> Result<Table, Failure> {
        let request = ExportRequest {
            from: &args.from,
            to: &args.to,
            by: args.by.as_deref().unwrap_or("day"),
        };
        let Export { csv } = context.product.billing.export(context.caller.org()?, request).await?;
        Ok(Table(csv))
    }
}
