//! `DELETE /api/v1/alert-routes/{routeId}`: delete an alert route.

use butt_dial_domain::{Code, Failure, Scope};

use super::{Done, NamedRoute};
use crate::{Context, Hints, Operation, Route};

pub struct DeleteAlertRoute;

impl Operation for DeleteAlertRoute {
    const NAME: &'static str = "delete_alert_route";
    const TITLE: &'static str = "Delete an alert route";
    const DESCRIPTION: &'static str = "Deletes a route of alerts.";
    const SCOPE: Scope = Scope::OrgAdmin;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = Some(Route {
        method: "DELETE",
        path: "/api/v1/alert-routes/{routeId}",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[&[Code::NotFound]];

    type Args = NamedRoute;
    type Output = Done;

    async fn run(context: Context, args: NamedRoute) -> Result<Done, Failure> {
        context
            .product
            .alerts
            .delete_route(&context.caller, &args.route_id)
            .await?;
        Ok(Done { success: true })
    }
}
