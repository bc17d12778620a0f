//! `GET /api/v1/alert-routes`: list alert routes.

use butt_dial_domain::{Code, Failure, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::RouteItem;
use crate::{Context, Hints, Operation, Route};

pub struct ListAlertRoutes;

#[derive(Deserialize, JsonSchema)]
pub struct Args {}

#[derive(Serialize, JsonSchema)]
pub struct Output {
    routes: Vec<RouteItem>,
}

impl Operation for ListAlertRoutes {
    const NAME: &'static str = "list_alert_routes";
    const TITLE: &'static str = "List alert routes";
    const DESCRIPTION: &'static str = "Lists the routes of alerts to people and programs, without their secrets.";
    const SCOPE: Scope = Scope::OrgAdmin;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = Some(Route {
        method: "GET",
        path: "/api/v1/alert-routes",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[];

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, _: Args) -> Result<Output, Failure> {
        let routes = context.product.alerts.list_routes(&context.caller).await?;
        Ok(Output {
            routes: routes.into_iter().map(RouteItem::from).collect(),
        })
    }
}
