//! `get_message_timeline`: one message with its way through the pipeline and the carrier's reports.

use butt_dial_domain::{Code, Failure, Scope, message::Status};
use butt_dial_messaging::outbound::{
    Attempt, Fallback, Found, Look, MessageHistory, StatusReport, TraceStep, UNCONFIRMED_HINT, explain,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::message_view::MessageView;
use crate::{Context, Hints, Operation, Route, time};

pub struct GetMessageTimeline;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    /// The messageId, or the carrier's id.
    external_id: String,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    #[serde(flatten)]
    message: MessageView,
    idempotency_key: String,
    /// How long the stages of the send took, in their order. Empty: no outcome yet, or of a former release.
    stages: Vec<Stage>,
    /// Oldest first.
    timeline: Vec<Step>,
    /// The meaning of the failure, and the way out.
    #[serde(skip_serializing_if = "Option::is_none")]
    explanation: Option<Explanation>,
    /// When the reconciler looks at the message again.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_check_at: Option<String>,
    /// Checks by the reconciler that the carrier answered.
    checks: i64,
}

#[derive(Serialize, JsonSchema)]
pub struct Explanation {
    text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    remediation: Option<String>,
}

/// A stage of a send.
#[derive(Serialize, JsonSchema)]
pub struct Stage {
    /// authorize, validate, deduplicate, comply, reserve (limits, content, budget; the message is stored) or dispatch (the request to the
    /// carrier).
    stage: &'static str,
    microseconds: u64,
}

/// A step of a message.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// stored (the rules allowed it, its cost is reserved), attempt, look (the
    /// reconciler looks at the carrier), fallback (sent on another channel instead), told (the agent was told of a status), or report.
    kind: &'static str,
    at: String,
    /// The end of an attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    milliseconds: Option<i64>,
    /// The number of the attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    number: Option<i64>,
    /// The outcome of an attempt, a status, what a look has found (outcome, nothing or no_answer), or the channel of a fallback.
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    /// The process that made the attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    replica: Option<String>,
    /// The agent has received the event.
    #[serde(skip_serializing_if = "Option::is_none")]
    is_delivered: Option<bool>,
    /// The message of a fallback.
    #[serde(skip_serializing_if = "Option::is_none")]
    message_id: Option<String>,
}

impl Step {
    fn new(kind: &'static str, at: String) -> Self {
        Self {
            kind,
            at,
            until: None,
            milliseconds: None,
            number: None,
            outcome: None,
            detail: None,
            replica: None,
            is_delivered: None,
            message_id: None,
        }
    }
}

impl From<Attempt> for Step {
    fn from(attempt: Attempt) -> Self {
        let took = attempt.finished_at.map(|end| end - attempt.started_at);
        Self {
            until: attempt.finished_at.map(time),
            milliseconds: took.map(|took| took.num_milliseconds()),
            number: Some(attempt.number),
            outcome: attempt.outcome,
            detail: attempt.detail,
            replica: Some(attempt.replica),
            ..Self::new("attempt", time(attempt.started_at))
        }
    }
}

impl From<StatusReport> for Step {
    fn from(report: StatusReport) -> Self {
        Self {
            outcome: Some(report.status.into()),
            is_delivered: Some(report.is_delivered),
            ..Self::new("told", time(report.at))
        }
    }
}

impl From<Look> for Step {
    fn from(look: Look) -> Self {
        let found = match look.found {
            Found::Outcome => "outcome",
            Found::Nothing => "nothing",
            Found::NoAnswer => "no_answer",
        };
        Self {
            milliseconds: Some(i64::try_from(look.took.as_millis()).unwrap_or(i64::MAX)),
            outcome: Some(found.to_owned()),
            ..Self::new("look", time(look.at))
        }
    }
}

impl From<Fallback> for Step {
    fn from(fallback: Fallback) -> Self {
        Self {
            outcome: Some(fallback.channel),
            message_id: Some(fallback.message),
            ..Self::new("fallback", time(fallback.at))
        }
    }
}

/// Returns the measured stages of a message, and the looks at the carrier as steps.
fn split(trace: Vec<TraceStep>) -> (Vec<Stage>, Vec<Step>) {
    let (mut stages, mut looks) = (Vec::new(), Vec::new());
    for step in trace {
        match step {
            TraceStep::Sent(times) => {
                stages = times
                    .iter()
                    .map(|(stage, took)| Stage {
                        stage,
                        microseconds: u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
                    })
                    .collect();
            }
            TraceStep::Looked(look) => looks.push(look.into()),
        }
    }
    (stages, looks)
}

impl From<MessageHistory> for Output {
    fn from(history: MessageHistory) -> Self {
        let message = history.message;
        let stored = Step {
            outcome: Some(message.verdict.clone()),
            detail: message.rule.clone(),
            ..Step::new("stored", time(message.created_at))
        };
        let report = history.reported_at.zip(message.stage.clone()).map(|(at, stage)| Step {
            outcome: Some(stage),
            detail: message.stage_error.clone(),
            ..Step::new("report", time(at))
        });
        let attempts = history.attempts.into_iter().map(Step::from);
        let reports = history.reports.into_iter().map(Step::from);
        let (stages, looks) = split(history.trace);
        let mut timeline: Vec<Step> = [stored]
            .into_iter()
            .chain(attempts)
            .chain(looks)
            .chain(report)
            .chain(history.fallback.map(Step::from))
            .chain(reports)
            .collect();
        timeline.sort_by(|one, other| one.at.cmp(&other.at));
        let failure = message.failure.as_deref().and_then(|code| code.parse::<Code>().ok());
        let explanation = match (failure.map(explain), message.status) {
            (Some(failure), _) => Some(Explanation {
                text: failure.message.to_string(),
                remediation: failure.remediation.map(|text| text.to_string()),
            }),
            (None, Status::Unconfirmed) => Some(Explanation {
                text: "the carrier does not list the message, and its answer was lost".into(),
                remediation: Some(UNCONFIRMED_HINT.into()),
            }),
            (None, _) => None,
        };
        Self {
            idempotency_key: history.idempotency_key,
            stages,
            timeline,
            explanation,
            next_check_at: message.check_at.map(time),
            checks: message.checks,
            message: message.into(),
        }
    }
}

impl Operation for GetMessageTimeline {
    const NAME: &'static str = "get_message_timeline";
    const TITLE: &'static str = "One message of my organization";
    const DESCRIPTION: &'static str = "Returns one message of any agent of the organization with the durations of its stages, its attempts, the looks of the reconciler, the \
        carrier's reports, its fallback, and an explanation of its failure. Requires a team token.";
    const SCOPE: Scope = Scope::OrgAdmin;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = Some(Route {
        method: "GET",
        path: "/api/v1/messages/{externalId}/timeline",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[&[Code::MessageNotFound]];

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, args: Args) -> Result<Output, Failure> {
        let org = context.caller.org()?;
        let history = context.product.outbound.message_history(org, &args.external_id).await?;
        Ok(history.into())
    }
}
