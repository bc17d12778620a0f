//! `POST /api/v1/alert-routes`: create an alert route.

use butt_dial_domain::{Code, Failure, Scope};
use schemars::JsonSchema;
use serde::Serialize;

use super::{RouteItem, RouteSettings};
use crate::{Context, Hints, Operation, Route};

pub struct CreateAlertRoute;

#[derive(Serialize, JsonSchema)]
pub struct Output {
    #[serde(flatten)]
    route: RouteItem,
    /// The secret of a webhook, which is shown once.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
}

impl Operation for CreateAlertRoute {
    const NAME: &'static str = "create_alert_route";
    const TITLE: &'static str = "Create an alert route";
    const DESCRIPTION: &'static str = "Creates a route of alerts: e-mail and SMS from the sender of the installation, signed webhooks (Standard Webhooks), PagerDuty or Slack.";
    const SCOPE: Scope = Scope::OrgAdmin;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = Some(Route {
        method: "POST",
        path: "/api/v1/alert-routes",
        status: 201,
    });
    const ERRORS: &'static [&'static [Code]] = &[];

    type Args = RouteSettings;
    type Output = Output;

    async fn run(context: Context, args: RouteSettings) -> Result<Output, Failure> {
        let created = context
            .product
            .alerts
            .create_route(&context.caller, args.parse()?)
            .await?;
        Ok(Output {
            route: created.route.into(),
            secret: created.secret,
        })
    }
}
