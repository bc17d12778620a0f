//! `GET /api/v1/anomalies`: list anomalies.

use butt_dial_anomalies::{AnomalyFilter, AnomalyState};
use butt_dial_domain::{Code, Failure, Scope, bounds};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::AnomalyView;
use crate::{Context, Hints, Operation, Route};

pub struct ListAnomalies;

const DEFAULT_LIMIT: u32 = 50;

#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum State {
    Open,
    Dismissed,
    Ended,
}

impl From<State> for AnomalyState {
    fn from(state: State) -> Self {
        match state {
            State::Open => Self::Open,
            State::Dismissed => Self::Dismissed,
            State::Ended => Self::Ended,
        }
    }
}

#[derive(Deserialize, JsonSchema)]
pub struct Args {
    /// Anomalies that have ended as well.
    #[serde(default)]
    all: bool,
    /// Those of one agent.
    #[serde(default, rename = "agentId")]
    agent_id: Option<String>,
    /// Those of one detector, such as volume_spike.
    #[serde(default)]
    detector: Option<String>,
    /// Those in one state.
    #[serde(default)]
    state: Option<State>,
    /// The last id of the previous page.
    #[serde(default)]
    before: Option<String>,
    /// 1 to 200; the default is 50.
    #[serde(default)]
    #[schemars(range(min = 1, max = bounds::PAGE))]
    limit: Option<u32>,
}

#[derive(Serialize, JsonSchema)]
pub struct Output {
    anomalies: Vec<AnomalyView>,
}

impl Operation for ListAnomalies {
    const NAME: &'static str = "list_anomalies";
    const TITLE: &'static str = "List anomalies";
    const DESCRIPTION: &'static str = "Lists anomalies of the organization, newest first, in pages: unusual traffic and signs of abuse, with the \
        numbers that tripped the detectors. The orchestrator sees those of all organizations and of the installation.";
    const SCOPE: Scope = Scope::OrgAdmin;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = Some(Route {
        method: "GET",
        path: "/api/v1/anomalies",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[&[Code::AgentNotFound]];

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, args: Args) -> Result<Output, Failure> {
        let limit = args.limit.unwrap_or(DEFAULT_LIMIT);
        let anomalies = &context.product.anomalies;
        let agent = match &args.agent_id {
            Some(named) => Some(context.product.agents.get(&context.caller, named).await?.agent.id),
            None => None,
        };
        let filter = AnomalyFilter {
            org: None,
            only_open: !args.all && args.state.is_none(),
            agent: agent.as_ref(),
            detector: args.detector.as_deref(),
            state: args.state.map(AnomalyState::from),
            before: args.before.as_deref(),
        };
        let listed = anomalies.list(&context.caller, filter, limit).await?;
        Ok(Output {
            anomalies: listed.into_iter().map(AnomalyView::from).collect(),
        })
    }
}
