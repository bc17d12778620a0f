//! `POST /api/v1/alert-routes/{routeId}/test`: try out an alert route.

use butt_dial_domain::{Code, Failure, Scope};

use super::{Done, NamedRoute};
use crate::{Context, Hints, Operation, Route};

pub struct TestAlertRoute;

impl Operation for TestAlertRoute {
    const NAME: &'static str = "test_alert_route";
    const TITLE: &'static str = "Try out an alert route";
    const DESCRIPTION: &'static str = "Sends a message over a route of alerts, and returns once it is accepted.";
    const SCOPE: Scope = Scope::OrgAdmin;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = Some(Route {
        method: "POST",
        path: "/api/v1/alert-routes/{routeId}/test",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[&[Code::NotFound, Code::ChannelUnavailable]];

    type Args = NamedRoute;
    type Output = Done;

    async fn run(context: Context, args: NamedRoute) -> Result<Done, Failure> {
        context
            .product
            .alerts
            .test_route(&context.caller, &args.route_id)
            .await?;
        Ok(Done { success: true })
    }
}
