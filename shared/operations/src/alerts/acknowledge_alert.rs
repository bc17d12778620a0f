//! `POST /api/v1/alerts/{alertId}/acknowledge`: acknowledge an alert.

use butt_dial_domain::{Code, Failure, Scope};

use super::{Done, NamedAlert};
use crate::{Context, Hints, Operation, Route};

pub struct AcknowledgeAlert;

impl Operation for AcknowledgeAlert {
    const NAME: &'static str = "acknowledge_alert";
    const TITLE: &'static str = "Acknowledge an alert";
    const DESCRIPTION: &'static str =
        "Acknowledges an alert: it is not escalated, and no further message about it leaves.";
    const SCOPE: Scope = Scope::OrgAdmin;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = Some(Route {
        method: "POST",
        path: "/api/v1/alerts/{alertId}/acknowledge",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[&[Code::NotFound]];

    type Args = NamedAlert;
    type Output = Done;

    async fn run(context: Context, args: NamedAlert) -> Result<Done, Failure> {
        context
            .product
            .alerts
            .acknowledge(&context.caller, &args.alert_id)
            .await?;
        Ok(Done { success: true })
    }
}
