//! `PUT /api/v1/alert-routes/{routeId}`: change an alert route.

use butt_dial_domain::{Code, Failure, Scope};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{RouteItem, RouteSettings};
use crate::{Context, Hints, Operation, Route};

pub struct UpdateAlertRoute;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    route_id: String,
    #[serde(flatten)]
    settings: RouteSettings,
}

impl Operation for UpdateAlertRoute {
    const NAME: &'static str = "update_alert_route";
    const TITLE: &'static str = "Change an alert route";
    const DESCRIPTION: &'static str = "Replaces the settings of a route. The secret of a webhook stays.";
    const SCOPE: Scope = Scope::OrgAdmin;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = Some(Route {
        method: "PUT",
        path: "/api/v1/alert-routes/{routeId}",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[&[Code::NotFound]];

    type Args = Args;
    type Output = RouteItem;

    async fn run(context: Context, args: Args) -> Result<RouteItem, Failure> {
        let settings = args.settings.parse()?;
        let updated = context
            .product
            .alerts
            .update_route(&context.caller, &args.route_id, settings)
            .await?;
        Ok(updated.route.into())
    }
}
