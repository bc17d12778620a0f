//! `POST /api/v1/alerts/{alertId}/resolve`: resolve an alert.

use butt_dial_domain::{Code, Failure, Scope};

use super::{Done, NamedAlert};
use crate::{Context, Hints, Operation, Route};

pub struct ResolveAlert;

impl Operation for ResolveAlert {
    const NAME: &'static str = "resolve_alert";
    const TITLE: &'static str = "Resolve an alert";
    const DESCRIPTION: &'static str = "Resolves an alert. The same cause opens another one.";
    const SCOPE: Scope = Scope::OrgAdmin;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = Some(Route {
        method: "POST",
        path: "/api/v1/alerts/{alertId}/resolve",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[&[Code::NotFound]];

    type Args = NamedAlert;
    type Output = Done;

    async fn run(context: Context, args: NamedAlert) -> Result<Done, Failure> {
        context.product.alerts.resolve(&context.caller, &args.alert_id).await?;
        Ok(Done { success: true })
    }
}
