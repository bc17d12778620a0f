//! `GET /api/v1/anomalies/detectors`: the detectors of anomalies in force.

use butt_dial_anomalies::Detector;
use butt_dial_domain::{Code, Failure, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Context, Hints, Operation, Route};

pub struct ListDetectors;

#[derive(Deserialize, JsonSchema)]
pub struct Args {}

#[derive(Serialize, JsonSchema)]
pub struct Output {
    detectors: Vec<DetectorView>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DetectorView {
    name: &'static str,
    /// The title of its alerts.
    title: &'static str,
    /// The kind of its alerts.
    alert_kind: &'static str,
    /// enabled, severity, reaction and parameters, as in `deploy/anomalies.toml`.
    settings: Value,
}

impl Operation for ListDetectors {
    const NAME: &'static str = "list_anomaly_detectors";
    const TITLE: &'static str = "List the detectors of anomalies";
    const DESCRIPTION: &'static str =
        "Lists the detectors of anomalies with their parameters in force. `deploy/anomalies.toml` explains them.";
    const SCOPE: Scope = Scope::OrgAdmin;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = Some(Route {
        method: "GET",
        path: "/api/v1/anomalies/detectors",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[];

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, _: Args) -> Result<Output, Failure> {
        let parameters = context.product.anomalies.parameters();
        let view = |detector: &Detector| DetectorView {
            name: detector.name(),
            title: detector.title(),
            alert_kind: detector.alert_kind(),
            settings: parameters.view(*detector),
        };
        Ok(Output {
            detectors: Detector::ALL.iter().map(view).collect(),
        })
    }
}
