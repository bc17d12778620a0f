//! `POST /api/v1/anomalies/{anomalyId}/dismiss`: dismiss an anomaly.

use butt_dial_domain::{Code, Failure, Scope};

use super::{AnomalyView, NamedAnomaly};
use crate::{Context, Hints, Operation, Route};

pub struct DismissAnomaly;

impl Operation for DismissAnomaly {
    const NAME: &'static str = "dismiss_anomaly";
    const TITLE: &'static str = "Dismiss an anomaly";
    const DESCRIPTION: &'static str = "Dismisses an open anomaly: a lower limit, the approval of messages or the pause of a contact ends, its alert is resolved, and the \
        program does not react to it again. A suspended agent stays suspended until it is activated.";
    const SCOPE: Scope = Scope::OrgAdmin;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = Some(Route {
        method: "POST",
        path: "/api/v1/anomalies/{anomalyId}/dismiss",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[&[Code::NotFound]];

    type Args = NamedAnomaly;
    type Output = AnomalyView;

    async fn run(context: Context, args: NamedAnomaly) -> Result<AnomalyView, Failure> {
        let anomalies = &context.product.anomalies;
        Ok(anomalies.dismiss(&context.caller, &args.anomaly_id).await?.into())
    }
}
